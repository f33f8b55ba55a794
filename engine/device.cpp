#include "engine/device.h"

#include <iostream>

namespace ito::engine {

namespace {

constexpr size_t kAlign = 64;  // a persistent piece is so much longer, for kernels that read whole lines

/// Why there is no CUDA to use; empty: there is.
std::string cuda_problem() {
#if defined(HAVE_CUDA)
  return kernels::cuda_problem();
#else
  return "this program was built without it (configure with -DITO_CUDA=ON)";
#endif
}

bool gpu_is_there() {
#if defined(HAVE_CUDA)
  return kernels::gpu_is_there();
#else
  return false;
#endif
}

}  // namespace

Backend choose_backend(DeviceChoice choice) {
  if (choice == DeviceChoice::cpu) return Backend::cpu;
  const std::string problem = cuda_problem();
  if (problem.empty()) return Backend::cuda;
  if (choice == DeviceChoice::cuda) fail_advising(cat("CUDA cannot be used: ", problem), {"{device} cpu"});
  // Nobody misses a GPU where there is none; where there is one, its owner does.
  if (gpu_is_there()) std::cerr << "on the CPU, because CUDA cannot be used: " << problem << std::endl;
  return Backend::cpu;
}

bool has_cudnn() {
#if defined(HAVE_CUDA)
  return kernels::cudnn_available();
#else
  return false;
#endif
}

Device::Device(const DeviceOptions& options)
    : backend_(options.backend),
      cpu_(options.threads),
      memory_(backend_ == Backend::cuda ? Arena::Kind::block : Arena::Kind::memory) {
#if defined(HAVE_CUDA)
  if (backend_ == Backend::cuda) {
    cuda_ = std::make_unique<kernels::CudaStream>();
    cuda_->state<kernels::ConvLibrary>().choice = options.conv;
  }
#else
  if (backend_ == Backend::cuda) fail(cat("CUDA cannot be used: ", cuda_problem()));
#endif
}

Device::~Device() {
  tape_.clear();  // what it holds belongs to the arena
  release(memory_.exchange_block(nullptr, 0));
}

#if defined(HAVE_CUDA)

std::string Device::conv_plan() { return cuda_ ? cuda_->state<kernels::ConvLibrary>().plan.to_text() : ""; }
void Device::set_conv_plan(const std::string& text) {
  if (cuda_) cuda_->state<kernels::ConvLibrary>().plan = kernels::ConvPlan::from_text(text);
}

#else

std::string Device::conv_plan() { return ""; }
void Device::set_conv_plan(const std::string&) {}

#endif

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
  query([](auto& s) { s.synchronize(); });
}
size_t Device::free_bytes() {
  return query([](auto& s) { return s.free_bytes(); }) + memory_.block_bytes();
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
