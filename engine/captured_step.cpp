#include "engine/captured_step.h"

namespace ito::engine {

void CapturedStep::run_once() {
  step_();
  device_.tape().clear();
  if (const size_t live = device_.arena().live_bytes())
    fail(cat("a step left ", live, " bytes in the arena: what outlives a step must be persistent"));
}

void CapturedStep::run() {
  if (sealed_) return replay();
  if (eager_runs_ == 0 && device_.backend() != Backend::cpu) device_.reserve(peak_bytes());
  run_once();
  if (++eager_runs_ < 2) return;
  device_.arena().seal();
  sealed_ = true;
}

void CapturedStep::replay() {
  if (!device_.captures()) return run_once();
  kernels::CudaStream* const stream = device_.cuda_stream();
  if (!graph_) {
    stream->begin_capture();
    try {
      run_once();
    } catch (...) {
      stream->abandon_capture();
      throw;
    }
    graph_ = stream->end_capture();
  }
  stream->replay(graph_);
}

void CapturedStep::unseal() {
  if (sealed_) device_.arena().unseal();
  sealed_ = false, eager_runs_ = 0;
  graph_ = {};
}

size_t CapturedStep::peak_bytes() { return peak_bytes_ ? peak_bytes_ : measure_peak_bytes(); }

size_t CapturedStep::measure_peak_bytes() {
  DryRun dry(device_);
  run_once();
  return peak_bytes_ = dry.peak_bytes();
}

}  // namespace ito::engine
