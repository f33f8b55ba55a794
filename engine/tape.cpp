#include "engine/tape.h"

#include "engine/device.h"
#include "kernels/pointwise.h"

namespace ito::engine {

namespace {

Tensor sum(const Tensor& a, const Tensor& b, Tensor result) {
  a.device().launch(
      [&](auto& stream) { kernels::add_scaled(stream, a.count(), 1, a.in(), 1, b.in(), result.out()); });
  return result;
}

Tensor ones_like(const Tensor& x) {
  Tensor ones = like(x);
  x.device().launch([&](auto& stream) { kernels::fill(stream, ones.count(), 1, ones.out()); });
  return ones;
}

}  // namespace

int Tape::slot_of(const Tensor& x) const {
  if (!x.defined() || x.slot.index < 0) return -1;
  if (x.slot.epoch != epoch_)
    fail("a tensor of a finished step is used again: values that outlive a step must be persistent");
  return x.slot.index;
}

Tensor Tape::new_slot(Tensor x, Slot slot) {
  x.slot = {int(slots_.size()), epoch_};
  slots_.push_back(std::move(slot));
  return x;
}

Tensor Tape::record(const char* op, Tensor y, const std::vector<Tensor>& inputs, Vjp vjp) {
  if (!enabled_) return y;
  Node node{op, {}, -1, std::move(vjp)};
  bool needed = false;
  for (const Tensor& x : inputs) {
    node.inputs.push_back(slot_of(x));
    needed |= node.inputs.back() >= 0;
  }
  if (!needed) return y;
  y = new_slot(std::move(y), {});
  node.output = y.slot.index;
  nodes_.push_back(std::move(node));
  return y;
}

Tensor Tape::watch(const Tensor& x) { return enabled_ ? new_slot(x, {{}, {}, true}) : x; }
Tensor Tape::watch(const Tensor& x, const Tensor& sink) {
  return enabled_ ? new_slot(x, {{}, sink, true}) : x;
}

void Tape::add(int index, Tensor gradient) {
  Slot& slot = slots_[size_t(index)];
  if (slot.sink.defined()) {
    sum(slot.sink, gradient, slot.sink);
  } else if (!slot.gradient.defined()) {
    slot.gradient = std::move(gradient);
  } else {
    // An op may hand the same tensor to several inputs (an addition does): only an unshared one is
    // overwritten.
    Tensor result =
        slot.gradient.unshared() ? slot.gradient.with_shape(slot.gradient.shape()) : like(gradient);
    slot.gradient = sum(slot.gradient, gradient, result);
  }
}

void Tape::backward(const Tensor& y, Tensor dy) {
  const int start = slot_of(y);
  if (start < 0) fail("backward: the result depends on no parameter and no watched tensor");
  NoGrad off(y.device());
  add(start, dy.defined() ? std::move(dy) : ones_like(y));
  for (; !nodes_.empty(); nodes_.pop_back()) {
    Node& node = nodes_.back();
    Slot& output = slots_[size_t(node.output)];
    if (!output.gradient.defined()) continue;
    Wanted wanted;
    for (int input : node.inputs) wanted.push_back(input >= 0);
    Tensor gradient = std::move(output.gradient);
    output.gradient = {};
    Gradients gradients = node.vjp(gradient, wanted);
    gradient = {};
    node.vjp = nullptr;
    for (size_t i = 0; i < gradients.size(); ++i)
      if (wanted[i] && gradients[i].defined()) {
        Tensor dx = std::move(gradients[i]);
        gradients[i] = {};
        add(node.inputs[i], std::move(dx));
      }
  }
}

Tensor Tape::gradient(const Tensor& leaf) const {
  const int index = slot_of(leaf);
  if (index < 0 || !slots_[size_t(index)].leaf) fail("gradient: the tensor was not watched");
  return slots_[size_t(index)].gradient;
}

void Tape::clear() {
  nodes_.clear();
  slots_.clear();
  ++epoch_;
}

NoGrad::NoGrad(Device& device) : tape_(device.tape()), before_(tape_.enabled_) { tape_.enabled_ = false; }
NoGrad::~NoGrad() { tape_.enabled_ = before_; }

}  // namespace ito::engine
