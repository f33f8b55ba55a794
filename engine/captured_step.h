#pragma once

#include <functional>

#include "engine/device.h"

namespace ito::engine {

/// A step that is run over and over: a dry run makes room for it; two eager runs, in which libraries choose
/// their plans; then the arena is sealed (growth is an error) and, on a GPU, the step is captured and
/// replayed. On the CPU it is simply called. The arena must be empty after it, and on a GPU it may neither
/// read what the device computes nor depend on anything but the device's memory.
class CapturedStep {
 public:
  CapturedStep(Device& device, std::function<void()> step) : device_(device), step_(std::move(step)) {}
  ~CapturedStep() { unseal(); }
  CapturedStep(const CapturedStep&) = delete;
  CapturedStep& operator=(const CapturedStep&) = delete;

  void run();
  /// Bytes of arena the step needs, found without running it; measured once.
  size_t peak_bytes();
  /// The same, measured again: for a step that has changed.
  size_t measure_peak_bytes();
  /// For other work between steps (sampling a grid): drops the plan; the next runs make another.
  void unseal();

 private:
  void run_once();
  void replay();
  Device& device_;
  std::function<void()> step_;
  size_t peak_bytes_ = 0;  // 0: not measured
  int eager_runs_ = 0;
  bool sealed_ = false;
  kernels::CudaGraph graph_;
};

}  // namespace ito::engine
