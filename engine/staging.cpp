#include "engine/staging.h"

#include <algorithm>
#include <cstring>

namespace ito::engine {

/// Pinned memory of one step, and the mark behind the download of its results.
struct Staging::Slot {
  Slot(kernels::CudaStream& stream, size_t input_bytes, size_t result_bytes)
      : stream(stream),
        inputs(static_cast<std::byte*>(stream.allocate_host(input_bytes + result_bytes))),
        results(inputs + input_bytes) {}
  ~Slot() { stream.release_host(inputs); }

  kernels::CudaStream& stream;
  kernels::CudaEvent done;  // first: where it cannot be made, nothing else is there yet
  std::byte *inputs, *results;
};

Staging::Staging(Device& device, size_t input_bytes, size_t result_bytes)
    : device_(device),
      input_bytes_(input_bytes),
      result_bytes_(result_bytes),
      device_inputs_(Storage::persistent(device, std::max<size_t>(input_bytes, 1))) {
  if (kernels::CudaStream* const stream = device.cuda_stream())
    for (auto& slot : slots_) slot = std::make_unique<Slot>(*stream, input_bytes, result_bytes);
  else
    cpu_results_ = std::make_unique<std::byte[]>(result_bytes);
}

// The device may still be reading.
Staging::~Staging() {
  try {
    device_.synchronize();
  } catch (...) {  // reported before: destructors never throw
  }
}

int Staging::delay() const { return cpu_results_ ? 0 : int(slots_.size()); }

std::byte* Staging::open_inputs() {
  if (cpu_results_) return device_inputs_->data();
  Slot& slot = *slots_[steps_ % slots_.size()];
  device_.ranks().size() == 1 ? slot.done.wait()
                              : device_.ranks().wait_for([&] { return slot.done.passed(); });
  return slot.inputs;
}

void Staging::upload() {
  if (!cpu_results_)
    device_.copy(device_inputs_->data(), slots_[steps_ % slots_.size()]->inputs, input_bytes_);
}

void Staging::download(const void* on_device) {
  if (cpu_results_) {
    std::memcpy(cpu_results_.get(), on_device, result_bytes_);
  } else {
    Slot& slot = *slots_[steps_ % slots_.size()];
    device_.copy(slot.results, on_device, result_bytes_);
    slot.done.record(slot.stream);
  }
  ++steps_;
}

const std::byte* Staging::results(int64_t ago) const {
  return cpu_results_ ? cpu_results_.get() : slots_[(steps_ - size_t(ago)) % slots_.size()]->results;
}

}  // namespace ito::engine
