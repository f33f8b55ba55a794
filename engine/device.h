#pragma once

#include <utility>
#include <vector>

#include "engine/arena.h"
#include "engine/tape.h"
#include "engine/tensor.h"
#include "kernels/conv2d.h"
#include "kernels/stream.h"

namespace ito::engine {

struct DeviceOptions {
  int threads = 0;  // of the CPU; 0: one a core
};

/// A pass of a convolution that was asked for: what benchmarks repeat alone.
struct ConvCall {
  kernels::Conv2dDims dims;
  kernels::ConvPass pass;
};

/// Where tensors live and kernels run: a stream, an arena and a tape. Made by main and reached through the
/// data; never global.
class Device {
 public:
  explicit Device(const DeviceOptions& options = {});

  /// Calls f with this device's stream: the only place that chooses a backend. In a dry run nothing is
  /// called.
  template <class F>
  void launch(F&& f) {
    if (!dry_) f(stream_);
  }
  /// The same for questions that run nothing (workspace sizes, chosen algorithms): answered in a dry run,
  /// too.
  template <class F>
  auto query(F&& f) {
    return f(stream_);
  }
  /// For choosing what the CPU's libraries do (kernels::ConvPreference) before anything runs.
  kernels::CpuStream& cpu_stream() { return stream_; }

  Arena& arena() { return dry_ ? measuring_ : memory_; }
  Tape& tape() { return tape_; }
  int threads() const { return stream_.threads(); }
  bool dry() const { return dry_; }
  const char* name() const { return "cpu"; }

  /// Floating-point operations of the forward ops so far, dry or not: 2 for each multiply-add.
  double flops() const { return flops_; }
  void count_flops(double flops) { flops_ += flops; }

  /// From here on every convolution's passes are appended to `calls`, dry or not; null ends it.
  void trace_convolutions(std::vector<ConvCall>* calls) { conv_calls_ = calls; }
  void note_convolution(const kernels::Conv2dDims& dims, kernels::ConvPass pass) {
    if (conv_calls_) conv_calls_->push_back({dims, pass});
  }

  size_t persistent_bytes() const { return persistent_bytes_; }
  size_t* persistent_counter() { return &persistent_bytes_; }

 private:
  friend class DryRun;
  kernels::CpuStream stream_;
  Arena memory_{Arena::Kind::memory};
  Arena measuring_{Arena::Kind::measuring};
  size_t persistent_bytes_ = 0;
  Tape tape_;
  double flops_ = 0;
  std::vector<ConvCall>* conv_calls_ = nullptr;
  bool dry_ = false;
};

/// While it lives, ops compute shapes and take measured memory, and nothing runs: peak bytes without the
/// work.
class DryRun {
 public:
  explicit DryRun(Device& device) : device_(device) {
    device_.dry_ = true;
    device_.measuring_.reset_peak();
  }
  ~DryRun() { device_.dry_ = false; }
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;
  size_t peak_bytes() const { return device_.measuring_.peak_bytes(); }

 private:
  Device& device_;
};

}  // namespace ito::engine
