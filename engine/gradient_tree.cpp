#include "engine/gradient_tree.h"

#include "engine/device.h"
#include "kernels/pointwise.h"
#include "kernels/tree_sum.h"

namespace ito::engine {

GradientTree::GradientTree(ParamStore& store, int leaves) : store_(store), leaves_(leaves), group_(leaves) {
  if (leaves < 1) fail(cat("a sum of ", leaves, " gradients"));
  while (group_ % 2 == 0) group_ /= 2;
  for (int groups = leaves / group_; groups > 1; groups /= 2) pending_.emplace_back();
}

void GradientTree::add_to_gradients(const Tensor& left) {
  const kernels::Out sum{store_.gradients(), DType::f32};
  store_.device().launch(
      [&](auto& s) { kernels::add_scaled(s, store_.gradient_count(), 1, left.in(), 1, sum, sum); });
}

void GradientTree::keep(Tensor& copy) {
  if (!copy.defined()) copy = Tensor(store_.device(), {store_.gradient_count()}, DType::f32);
  store_.device().copy(copy.data(), store_.gradients(), copy.bytes());
}

void GradientTree::add() {
  const int in_group = done_ % group_, group = done_ / group_;
  const bool is_last = ++done_ == leaves_;
  if (in_group > 0) add_to_gradients(left_of_group_);
  if (in_group + 1 < group_) return keep(left_of_group_);
  size_t level = 0;
  for (; group >> level & 1; ++level) add_to_gradients(pending_[level]);
  if (!is_last) keep(pending_[level]);
}

void sum_over_ranks(ParamStore& store, Reduction reduction) {
  Device& device = store.device();
  kernels::Communicator& ranks = device.communicator();
  if (ranks.size() == 1) return;
  const int64_t count = store.gradient_count(), shard = count / ranks.size();
  float* const sums = store.gradients();
  if (reduction == Reduction::nccl)
    return device.launch([&](auto& s) { ranks.all_reduce_sum(s, sums, count); });
  const Tensor parts(device, {count}, DType::f32);
  float* const own = sums + ranks.rank() * shard;
  device.launch([&](auto& s) {
    float* const shards = static_cast<float*>(parts.data());
    ranks.exchange(s, sums, shards, shard);
    kernels::tree_sum(s, ranks.size(), shard, shard, shards, own);
    ranks.gather(s, own, sums, shard);
  });
}

}  // namespace ito::engine
