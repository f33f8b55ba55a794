#pragma once

#include <functional>
#include <vector>

#include "engine/device.h"

namespace ito::bench {

/// Work that is timed, and may be repeated.
using Runnable = std::function<void()>;

struct Timing {
  double seconds = 0;  // median
  double spread = 0;   // (90th - 10th percentile) / median
  int repeats = 0;
};

/// The value below which `share` of the values lie, interpolated; 0.5 is the median.
double quantile(std::vector<double> values, double share);
Timing timing_of(const std::vector<double>& seconds);

/// How often to repeat: `least` times, then until `budget` seconds have passed, flushes included, or `most`.
struct Repeats {
  int least = 5, most = 50;
  double budget = 0.25;
};

/// Times work on a device: on a GPU between two events in its queue, on the CPU by the clock. Before each
/// repetition, outside of what is timed, a buffer larger than the caches is written, on a GPU read.
class Stopwatch {
 public:
  /// flush_bytes = 0: nothing is flushed.
  Stopwatch(engine::Device&, const Repeats&, size_t flush_bytes);
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  /// Once untimed, then repeatedly.
  Timing time(const Runnable&);
  /// Seconds of one run.
  double once(const Runnable&);

 private:
  void flush();
  struct Marks;
  engine::Device& device_;
  Repeats repeats_;
  engine::Tensor scratch_, sums_;
  std::unique_ptr<Marks> marks_;
};

/// What Stopwatch should flush: more than the caches of a device hold.
size_t flush_bytes(const engine::Device&);

}  // namespace ito::bench
