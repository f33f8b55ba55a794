#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "engine/device.h"

namespace ito::engine {

/// A step's inputs on their way to the device and its results on their way back, so that neither the host nor
/// the device waits: pinned (page-locked) host memory, double-buffered. On the CPU the step reads and writes
/// the host's memory itself.
///
///   std::byte* inputs = staging.open_inputs();   // waits for the step before the last at most
///   ... write *inputs; staging.upload(); step(); staging.download(results_on_device);
class Staging {
 public:
  Staging(Device&, size_t input_bytes, size_t result_bytes);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// How many steps ago a step must have been launched for its results to be here after open_inputs(); on the
  /// CPU 0, where they are here after download().
  int delay() const;
  /// The inputs of the next step, to be filled in.
  std::byte* open_inputs();
  /// Copies the inputs to device_inputs(), for the step that is launched next.
  void upload();
  /// Copies result_bytes of the device's memory, the results of the step launched last.
  void download(const void* on_device);
  /// The results of the step whose download() was `ago` downloads ago, 1 being the last; kept for
  /// max(1, delay()) of them, until upload().
  const std::byte* results(int64_t ago) const;

  /// Where the step reads its inputs; at a fixed address.
  const std::shared_ptr<Storage>& device_inputs() const { return device_inputs_; }

 private:
  struct Slot;
  Device& device_;
  size_t input_bytes_, result_bytes_;
  std::shared_ptr<Storage> device_inputs_;
  std::array<std::unique_ptr<Slot>, 2> slots_;  // empty on the CPU
  std::unique_ptr<std::byte[]> cpu_results_;
  size_t steps_ = 0;
};

}  // namespace ito::engine
