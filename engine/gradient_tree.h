#pragma once

#include <vector>

#include "engine/parameters.h"

namespace ito::engine {

/// Sums the gradients (and losses) of an update's batches, each complete by itself (a leaf), by one fixed tree, so that
/// the sum has the same bits however the leaves are shared out among ranks. Of q 2^p leaves, q odd, groups of q
/// neighbours are added from left to right, and the groups' sums by a balanced binary tree. For one leaf it does
/// nothing. Made for one step, whose arena holds its partial sums: at most p + 1 copies of the gradients.
class GradientTree {
 public:
  GradientTree(ParamStore& store, int leaves);

  /// Takes the next leaf from store.gradients(); the last one leaves the sum of all there.
  void add();

 private:
  void add_to_gradients(const Tensor& left);
  void keep(Tensor& copy);

  ParamStore& store_;
  int leaves_, group_;           // q
  int done_ = 0;                 // leaves
  Tensor left_of_group_;         // the sum of a group's leaves so far
  std::vector<Tensor> pending_;  // [level]: a left half of 2^level groups, whose right half is not there yet
};

/// How gradients are summed over ranks: exact is the fixed tree, by our own kernel, the same for every number of ranks
/// that is a power of two; nccl is the library's sum, in an order of its own.
enum class Reduction : uint8_t { exact, nccl };

/// Makes store.gradients() the sum over all ranks, the same bits on each: every rank receives its shard from all,
/// sums it by the tree over ranks (kernels/tree_sum.h), and sends the sum to all. Alone it does nothing.
void sum_over_ranks(ParamStore& store, Reduction reduction);

}  // namespace ito::engine

template <>
struct ito::Names<ito::engine::Reduction> {
  using Reduction = engine::Reduction;
  static constexpr std::string_view kKind = "reduction";
  static constexpr Named<Reduction> kTable[] = {{"exact", Reduction::exact}, {"nccl", Reduction::nccl}};
};
