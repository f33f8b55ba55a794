#include "engine/parameters.h"

#include <algorithm>

#include "engine/device.h"
#include "kernels/base/math.h"
#include "kernels/base/philox.h"
#include "kernels/pointwise.h"

namespace ito::engine {

namespace {

std::vector<float> initial(const ParameterSpec& spec, uint64_t seed, uint32_t index) {
  std::vector<float> to(static_cast<size_t>(spec.shape.count()));
  const RandomKey key{seed, Purpose::init, 0, index};
  for (size_t i = 0; i < to.size(); ++i) switch (spec.init.kind) {
      case Init::Kind::constant:
        to[i] = spec.init.bound;
        break;
      case Init::Kind::uniform:
        to[i] = spec.init.bound * float(2 * random_uniform(key, uint32_t(i)) - 1);
        break;
      case Init::Kind::normal:
        to[i] = spec.init.bound * float(random_normal(key, uint32_t(i)));
        break;
    }
  return to;
}

}  // namespace

bool ParamStore::keeps_half(DType compute) const {
  return compute == DType::bf16 && device_->backend() != Backend::cpu;
}

int ParamStore::add(ParameterSpec spec) {
  if (allocated()) fail(cat("parameter ", spec.name, " is declared after the store was allocated"));
  if (find(spec.name) >= 0) fail(cat("two parameters are named ", spec.name));
  if (!spec.auxiliary && !specs_.empty() && specs_.back().auxiliary)
    fail(cat("parameter ", spec.name, " is declared after auxiliary ones, which come last"));
  int64_t& end = spec.trainable ? flat_ : fixed_flat_;
  offsets_.push_back(end);
  end += align_up(spec.shape.count(), kernels::kParameterAlign);
  // Matrices and filters are decayed; biases and normalisation are not.
  const int flags =
      (spec.shape.rank() >= 2 ? kernels::kDecayed : 0) | (spec.is_hidden_matrix() ? kernels::kHidden : 0);
  if (spec.trainable) flags_.resize(size_t(flat_ / kernels::kParameterAlign), uint8_t(flags));
  if (!spec.auxiliary) model_ = flat_;
  specs_.push_back(std::move(spec));
  return int(specs_.size()) - 1;
}

int ParamStore::find(const std::string& name) const {
  for (size_t i = 0; i < specs_.size(); ++i)
    if (specs_[i].name == name) return int(i);
  return -1;
}

size_t ParamStore::bytes_to_allocate(Use use, DType compute) const {
  const size_t averages = power_averages_ ? kernels::kPowerAverages : 0;
  const size_t buffers = use == Use::training ? 5 + averages : 1, half = keeps_half(compute) ? 2 : 0;
  const size_t behind = use == Use::training ? size_t(gradient_count() - flat_) : 0;
  return size_t(flat_) * (buffers * sizeof(float) + half) + (size_t(fixed_flat_) + behind) * sizeof(float) +
         flags_.size();
}

void ParamStore::allocate(Use use, uint64_t seed, DType compute) {
  if (allocated()) fail("the parameter store is allocated already");
  const auto buffer = [&](int64_t count) {
    return Tensor::persistent(*device_, {std::max<int64_t>(count, 1)}, DType::f32);
  };
  master_ = buffer(flat_);
  fixed_ = buffer(fixed_flat_);
  if (use == Use::training) {
    gradient_ = buffer(gradient_count());
    ema_ = buffer(flat_);
    moment1_ = buffer(flat_);
    moment2_ = buffer(flat_);
    for (int k = 0; power_averages_ && k < kernels::kPowerAverages; ++k) averages_[k] = buffer(flat_);
  }
  flags_on_device_ = Buffer<uint8_t>(*device_, flags_);
  if (keeps_half(compute)) half_ = Tensor::persistent(*device_, {std::max<int64_t>(flat_, 1)}, DType::bf16);
  for (size_t i = 0; i < specs_.size(); ++i)
    write(int(i), Track::master, initial(specs_[i], seed, uint32_t(i)));
  if (use == Use::training) device_->copy(ema(), master(), size_t(flat_) * sizeof(float));
  refresh_half();
}

std::vector<float> ParamStore::read(int index, Track track) {
  std::vector<float> values(static_cast<size_t>(specs_[size_t(index)].shape.count()));
  device_->download(values.data(), data(index, track), values.size() * sizeof(float));
  return values;
}

void ParamStore::write(int index, Track track, const std::vector<float>& values) {
  device_->upload(data(index, track), values.data(), values.size() * sizeof(float));
}

void ParamStore::refresh_half() {
  if (!half_.defined()) return;
  device_->launch([&](auto& s) { kernels::add_scaled(s, flat_, 1, master_.in(), 0, {}, half_.out()); });
}

float* ParamStore::data(int index, Track track) {
  const size_t i = size_t(index);
  if (!specs_[i].trainable) return fixed() + offsets_[i];
  // Without an EMA of its own (inference) the one set of weights answers for both.
  return (track == Track::ema && ema_.defined() ? ema() : master()) + offsets_[i];
}

Tensor ParamStore::view(Tensor& flat, int index) {
  const size_t i = size_t(index);
  return flat.slice(offsets_[i], specs_[i].shape);
}

Tensor ParamStore::value(int index, Track track) {
  const ParameterSpec& spec = specs_[size_t(index)];
  if (!allocated()) fail(cat("parameter ", spec.name, " is read before the store was allocated"));
  if (!spec.trainable) return view(fixed_, index);
  if (track == Track::ema && ema_.defined()) return view(ema_, index);
  // Products read rounded weights where there are any; their gradients are kept in f32.
  Tensor w = view(half_.defined() && spec.shape.rank() >= 2 ? half_ : master_, index);
  return gradient_.defined() ? device_->tape().watch(w, view(gradient_, index)) : w;
}

int64_t ParamStore::trainable_count() const {
  int64_t count = 0;
  for (const ParameterSpec& spec : specs_)
    count += spec.trainable && !spec.auxiliary ? spec.shape.count() : 0;
  return count;
}

int64_t ParamStore::gradient_count() const {
  return align_up(flat_ + 1, int64_t(kernels::kParameterAlign) * device_->ranks().size());
}

void ParamStore::zero_gradients() { device_->zero(gradients(), size_t(gradient_count()) * sizeof(float)); }

Parameter Scope::get(ParameterSpec spec) const {
  spec.outer = outer_, spec.auxiliary = auxiliary_;
  if (!store_->allocated()) return {store_, store_->add(std::move(spec)), track_};
  const int index = store_->find(spec.name);
  if (index < 0) fail(cat("the model has no parameter named ", spec.name));
  const Shape& have = store_->specs()[size_t(index)].shape;
  if (have != spec.shape)
    fail(cat("parameter ", spec.name, " is ", have.str(), ", the network asks for ", spec.shape.str()));
  return {store_, index, track_};
}

}  // namespace ito::engine
