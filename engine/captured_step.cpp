#include "engine/captured_step.h"

namespace ito::engine {

void CapturedStep::run_once() {
  step_();
  device_.tape().clear();
  if (const size_t live = device_.arena().live_bytes())
    fail(cat("a step left ", live, " bytes in the arena: what outlives a step must be persistent"));
}

void CapturedStep::run() {
  run_once();
  if (eager_runs_ < 2 && ++eager_runs_ == 2) device_.arena().seal();
}

size_t CapturedStep::peak_bytes() {
  DryRun dry(device_);
  run_once();
  return dry.peak_bytes();
}

void CapturedStep::unseal() {
  device_.arena().unseal();
  device_.arena().reset_peak();
  eager_runs_ = 0;
}

}  // namespace ito::engine
