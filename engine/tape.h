#pragma once

#include <functional>
#include <vector>

#include "engine/tensor.h"

namespace ito::engine {

/// One gradient for each input of an op; undefined where it is not wanted or there is none.
using Gradients = std::vector<Tensor>;
/// wanted[i]: some leaf behind input i asks for its gradient.
using Wanted = std::vector<bool>;
/// The vector-Jacobian product of one op: from dL/dy to dL/d(input). Its captures are the op's activation
/// memory.
using Vjp = std::function<Gradients(const Tensor& dy, const Wanted& wanted)>;

/// What was computed, in creation order, which is topological: backward walks it once, from its end, and
/// drops every node (and with it the activations it holds) as soon as it has been used.
class Tape {
 public:
  /// Marks y as computed from `inputs`. Without a leaf behind any of them nothing is kept. Returns y.
  Tensor record(const char* op, Tensor y, const std::vector<Tensor>& inputs, Vjp vjp);

  /// A leaf whose gradient is kept until the next step: `gradient(leaf)` after backward.
  Tensor watch(const Tensor& x);
  /// A leaf whose gradient is added into `sink`, a persistent tensor of x's count.
  Tensor watch(const Tensor& x, const Tensor& sink);

  /// Adds dL/d(leaf) to every leaf for L = sum(y * dy); dy defaults to ones. Empties the tape; leaves stay
  /// readable.
  void backward(const Tensor& y, Tensor dy = {});
  /// dL/dx of a watched leaf; undefined if L does not depend on x.
  Tensor gradient(const Tensor& leaf) const;
  /// Forgets everything: the end of a step.
  void clear();

  bool recording() const { return enabled_; }
  size_t size() const { return nodes_.size(); }

 private:
  friend class NoGrad;
  struct Node {
    const char* op;
    std::vector<int> inputs;  // slots, -1 where no leaf is behind
    int output;
    Vjp vjp;
  };
  struct Slot {
    Tensor gradient;
    Tensor sink;
    bool leaf = false;
  };
  int slot_of(const Tensor&) const;
  Tensor new_slot(Tensor x, Slot slot);
  void add(int slot, Tensor gradient);

  std::vector<Node> nodes_;
  std::vector<Slot> slots_;
  uint32_t epoch_ = 1;
  bool enabled_ = true;
};

/// While it lives, nothing is recorded on the device's tape: evaluation and sampling keep no activations.
class NoGrad {
 public:
  explicit NoGrad(Device&);
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  Tape& tape_;
  bool before_;
};

}  // namespace ito::engine
