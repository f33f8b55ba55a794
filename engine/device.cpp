#include "engine/device.h"

#include "engine/agreement.h"
#include "kernels/base/warning.h"

namespace ito::engine {

namespace {

constexpr size_t kAlign = 64;  // a persistent piece is so much longer, for kernels that read whole lines

}  // namespace

Backend choose_backend(DeviceChoice choice, int gpu) {
  if (choice == DeviceChoice::cpu) return Backend::cpu;
  const std::string problem = kernels::cuda_problem(gpu);
  if (problem.empty()) return Backend::cuda;
  if (choice == DeviceChoice::cuda) fail_advising(cat("CUDA cannot be used: ", problem), {"{device} cpu"});
  // A machine without a GPU needs no warning; the owner of a GPU does.
  if (kernels::gpu_is_there()) warn("on the CPU, because CUDA cannot be used: " + problem);
  return Backend::cpu;
}

Device::Device(const DeviceOptions& options)
    : backend_(options.backend),
      cpu_(options.threads),
      communicator_(options.wire ? *options.wire : kernels::no_wire()),
      capture_(options.comparison.capture),
      conv_policy_{.provider = options.conv, .comparison = options.comparison.conv},
      memory_(backend_ == Backend::cuda ? Arena::Kind::block : Arena::Kind::memory) {
  if (backend_ == Backend::cuda) cuda_ = std::make_unique<kernels::CudaStream>(options.gpu);
  if (ranks().size() == 1 || !cuda_) return;
  query([&](auto& s) { communicator_.connect(s); });
  all_done_ = std::make_unique<kernels::CudaEvent>();
}

Device::~Device() {
  tape_.clear();  // what it holds belongs to the arena
  release(memory_.exchange_block(nullptr, 0));
}

std::string Device::name() {
  return query([](auto& s) { return s.name(); });
}
void* Device::allocate(size_t bytes) {
  return query([&](auto& s) {
    void* const memory = s.allocate(bytes + kAlign);
    try {
      s.zero(memory, bytes + kAlign);
    } catch (...) {
      s.release(memory);
      throw;
    }
    return memory;
  });
}
void Device::release(void* memory) noexcept {
  if (memory) query([&](auto& s) { s.release(memory); });
}
void Device::copy(void* to, const void* from, size_t bytes) {
  launch([&](auto& s) { s.copy(to, from, bytes); });
}
void Device::upload(void* to, const void* from, size_t bytes) {
  copy(to, from, bytes);
  synchronize();
}
void Device::download(void* to, const void* from, size_t bytes) {
  copy(to, from, bytes);
  synchronize();
}
void Device::zero(void* memory, size_t bytes) {
  launch([&](auto& s) { s.zero(memory, bytes); });
}
void Device::synchronize() {
  if (all_done_) {
    all_done_->record(*cuda_);
    ranks().wait_for([&] { return all_done_->passed(); });
  }
  query([](auto& s) { s.synchronize(); });
}
size_t Device::free_bytes() {
  return query([](auto& s) { return s.free_bytes(); }) + memory_.block_bytes();
}

void Device::share_conv_plan(const std::function<void()>& once) {
  kernels::Wire& ranks = this->ranks();
  if (ranks.size() == 1 || !cuda_ || conv_policy_.provider != kernels::Provider::fastest) return;
  together(ranks, [&] {
    if (ranks.rank() == 0) once();
  });
  conv_policy_.plan = kernels::ConvPlan::from_text(broadcast_text(ranks, conv_policy_.plan.to_text()));
}

void Device::reserve(size_t bytes) {
  if (backend_ == Backend::cpu || bytes <= memory_.block_bytes()) return;
  if (memory_.live_bytes() || memory_.sealed())
    fail(cat("a step needs ", bytes >> 20, " MiB of GPU memory, and ", memory_.block_bytes() >> 20,
             " MiB that it would replace are in use: reserve them before"));
  synchronize();
  release(memory_.exchange_block(nullptr, 0));
  memory_.exchange_block(query([&](auto& s) { return s.allocate(bytes); }), bytes);
}

}  // namespace ito::engine
