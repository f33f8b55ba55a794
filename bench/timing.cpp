#include "bench/timing.h"

#include <algorithm>

#include "bench/machine.h"
#include "kernels/base/clock.h"
#include "kernels/parallel.h"
#include "kernels/pointwise.h"

namespace ito::bench {

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double place = share * double(values.size() - 1);
  const size_t below = size_t(place), above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - double(below)) * (values[above] - values[below]);
}

Timing timing_of(const std::vector<double>& seconds) {
  const double median = quantile(seconds, 0.5), width = quantile(seconds, 0.9) - quantile(seconds, 0.1);
  return {median, median > 0 ? width / median : 0, int(seconds.size())};
}

struct Stopwatch::Marks {
  kernels::CudaEvent start, end;
};

namespace {
/// What is read to empty a GPU's caches counts as images of so many channels, whose sums are taken.
constexpr int64_t kFlushChannels = 64;
int64_t flush_images(const engine::Tensor& scratch) {
  return std::clamp<int64_t>(scratch.count() / kFlushChannels, 1, 4096);
}
}  // namespace

Stopwatch::Stopwatch(engine::Device& device, const Repeats& repeats, size_t flush_bytes)
    : device_(device), repeats_(repeats) {
  if (flush_bytes)
    scratch_ = engine::Tensor::persistent(device, {int64_t(flush_bytes / 4)}, engine::DType::f32);
  if (device.backend() == engine::Backend::cuda) {
    marks_ = std::make_unique<Marks>();
    if (flush_bytes)
      sums_ =
          engine::Tensor::persistent(device, {flush_images(scratch_) * kFlushChannels}, engine::DType::f32);
  }
}

Stopwatch::~Stopwatch() = default;

/// On the CPU written, by a kernel, so that every thread empties its own caches. On a GPU read: what it wrote
/// would wait in the L2 cache until what is timed drives it out.
void Stopwatch::flush() {
  if (!scratch_.defined()) return;
  device_.launch([&](auto& s) {
    if (device_.backend() == engine::Backend::cpu)
      return kernels::fill(s, scratch_.count(), 1, scratch_.out());
    const int64_t images = flush_images(scratch_), pixels = scratch_.count() / (images * kFlushChannels);
    kernels::add_channels_backward(s, int(images), int(pixels), kFlushChannels, scratch_.in(), sums_.out());
  });
}

double Stopwatch::once(const Runnable& run) {
  flush();
  if (marks_) {
    marks_->start.record(*device_.cuda_stream());
    run();
    marks_->end.record(*device_.cuda_stream());
    marks_->end.wait();
    return double(marks_->end.since(marks_->start)) * 1e-3;
  }
  const double before = now();
  run();
  return now() - before;
}

Timing Stopwatch::time(const Runnable& run) {
  run();
  device_.synchronize();
  std::vector<double> seconds;
  const double start = now();
  while (int(seconds.size()) < repeats_.least ||
         (int(seconds.size()) < repeats_.most && now() - start < repeats_.budget))
    seconds.push_back(once(run));
  return timing_of(seconds);
}

size_t flush_bytes(const engine::Device& device) {
  constexpr size_t kMebibyte = size_t(1) << 20;
  if (device.backend() == engine::Backend::cuda) return 256 * kMebibyte;  // twice the largest L2 so far
  return std::clamp(2 * last_level_cache_bytes(), 32 * kMebibyte, 512 * kMebibyte);
}

}  // namespace ito::bench
