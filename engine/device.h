#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "engine/arena.h"
#include "engine/recorder.h"
#include "engine/tape.h"
#include "engine/tensor.h"
#include "kernels/base/names.h"
#include "kernels/communicator.h"
#include "kernels/conv_policy.h"
#include "kernels/cuda_stream.h"

namespace ito::engine {

enum class Backend : uint8_t { cpu, cuda };

/// What a user asks for; automatic: CUDA where this program has it and there is a GPU that it can use.
enum class DeviceChoice : uint8_t { automatic, cpu, cuda };

/// Error: cuda is asked for and cannot be used; the text says why. Warns where automatic leaves a GPU unused.
Backend choose_backend(DeviceChoice choice, int gpu = 0);

/// What is changed to be compared with what normally runs: the one switch for all comparisons.
struct Comparison {
  bool capture = true;  // on a GPU; false: CapturedStep launches every step as it does the first two
  kernels::ConvComparison conv = {};
};

struct DeviceOptions {
  int threads = 0;  // of the CPU; 0: one a core
  Backend backend = Backend::cpu;
  kernels::Provider conv = kernels::Provider::own;  // of convolutions and matrix products, on a GPU
  Comparison comparison = {};
  int gpu = 0;                    // its number on this machine
  kernels::Wire* wire = nullptr;  // to the run's other processes; null: there are none
};

/// Where tensors live and kernels run: a stream, an arena and a tape. Made by main and reached through the
/// data; never global.
class Device {
 public:
  explicit Device(const DeviceOptions& options = {});
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// Calls f with this device's stream: the only place that chooses a backend. In a dry run nothing is
  /// called.
  template <class F>
  void launch(F&& f) {
    if (!dry_) query(std::forward<F>(f));
  }
  /// The same in a dry run, too: for what runs nothing (workspace sizes, chosen algorithms).
  template <class F>
  auto query(F&& f) {
    if constexpr (kernels::kCudaBuilt)
      if (cuda_) return f(*cuda_);
    return f(cpu_);
  }
  kernels::CpuStream& cpu_stream() { return cpu_; }
  /// Null where the backend is the CPU.
  kernels::CudaStream* cuda_stream() { return cuda_.get(); }
  /// Whether CapturedStep records steps and replays them.
  bool captures() const { return cuda_ && capture_; }

  /// How convolutions and matrix products are computed: passed to each call of their kernels.
  kernels::ConvPolicy& conv_policy() { return conv_policy_; }
  /// Before work that all ranks share: what is fastest is measured by rank 0, which runs `once` for that, and the
  /// others take its plan, since results depend on it. Does nothing where nothing is measured, or there are no other
  /// ranks.
  void share_conv_plan(const std::function<void()>& once);

  Backend backend() const { return backend_; }
  /// The GPU's name, or the processor's.
  std::string name();
  int threads() const { return cpu_.threads(); }

  // Memory that outlives steps, zeroed, and copies. copy() only queues on a GPU; upload() waits until the
  // host's memory has been read, download() until it has been written: neither belongs inside a step.
  void* allocate(size_t bytes);
  void release(void* memory) noexcept;
  void copy(void* to, const void* from, size_t bytes);
  void upload(void* to, const void* from, size_t bytes);
  void download(void* to, const void* from, size_t bytes);
  void zero(void* memory, size_t bytes);
  /// Waits until everything launched is done; where that may need the other ranks, their wire waits.
  void synchronize();
  /// Bytes that may still be asked for: of the GPU, or of the machine's memory.
  size_t free_bytes();
  /// Of these, what a plan may count on: an eighth stays for unaccounted memory (libraries' code, recorded
  /// steps, a grid's buffers).
  size_t usable_bytes() { return free_bytes() / 8 * 7; }

  Arena& arena() { return dry_ ? measuring_ : memory_; }
  /// Makes room for a step of `bytes` (CapturedStep::peak_bytes()) while the arena is empty.
  void reserve(size_t bytes);
  Tape& tape() { return tape_; }
  bool dry() const { return dry_; }
  /// Whether ops take the memory that kernels work in: not where a dry run counts values alone.
  bool has_workspaces() const { return has_workspaces_; }

  Recorder& recorder() { return recorder_; }

  /// The processes ("ranks") that work on the same run, each with a device of its own; alone: one.
  kernels::Wire& ranks() const { return communicator_.wire(); }
  kernels::Communicator& communicator() { return communicator_; }

  size_t persistent_bytes() const { return persistent_bytes_; }
  void count_persistent(ptrdiff_t bytes) { persistent_bytes_ += size_t(bytes); }

 private:
  friend class DryRun;
  Backend backend_;
  kernels::CpuStream cpu_;
  std::unique_ptr<kernels::CudaStream> cuda_;
  std::unique_ptr<kernels::CudaEvent> all_done_;  // with ranks
  kernels::Communicator communicator_;            // ends before the stream that it works on
  bool capture_;
  kernels::ConvPolicy conv_policy_;
  Arena memory_;
  Arena measuring_{Arena::Kind::measuring};
  size_t persistent_bytes_ = 0;
  Tape tape_;
  Recorder recorder_;
  bool dry_ = false, has_workspaces_ = true;
};

/// While it lives, ops compute shapes and take measured memory, and nothing runs: peak bytes without the
/// work.
class DryRun {
 public:
  /// values: without what kernels work in, so that the peak is the same for every number of threads and processor.
  enum class Counts : uint8_t { everything, values };

  explicit DryRun(Device& device, Counts counts = Counts::everything) : device_(device) {
    device_.dry_ = true;
    device_.has_workspaces_ = counts == Counts::everything;
    device_.measuring_.reset_peak();
  }
  ~DryRun() { device_.dry_ = false, device_.has_workspaces_ = true; }
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;
  size_t peak_bytes() const { return device_.measuring_.peak_bytes(); }

 private:
  Device& device_;
};

}  // namespace ito::engine

template <>
struct ito::Names<ito::engine::DeviceChoice> {
  using Choice = engine::DeviceChoice;
  static constexpr std::string_view kKind = "device";
  static constexpr Named<Choice> kTable[] = {
      {"auto", Choice::automatic}, {"cpu", Choice::cpu}, {"cuda", Choice::cuda}};
};
