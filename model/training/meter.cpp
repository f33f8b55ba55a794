#include "model/training/meter.h"

#include "kernels/base/clock.h"

namespace ito::model {

namespace {

constexpr int64_t kFirstSteps = 3;  // these choose plans, touch memory for the first time and are recorded

}  // namespace

Meter::Meter(const Trainer& trainer) : trainer_(trainer), first_step_(trainer.step_number()), start_(now()) {}

void Meter::count_step(double seconds) {
  seconds_ += seconds;
  if (++steps_ > kFirstSteps) steady_seconds_ += seconds;
}

void Meter::count(const StepReport& report) {
  if (report.skipped) return;
  loss_sum_ += report.loss;
  ++loss_count_;
}

Progress Meter::progress() const {
  Progress p;
  p.step = trainer_.step_number(), p.steps = trainer_.options().steps, p.skipped = trainer_.skipped();
  p.loss = loss_count_ ? loss_sum_ / double(loss_count_) : last_loss_;
  if (steps_ > kFirstSteps)
    p.images_per_second = double(steps_ - kFirstSteps) * images_a_step() / steady_seconds_;
  const int64_t done = p.step - first_step_;
  if (done > 0) p.seconds_left = (now() - start_) / double(done) * double(p.steps - p.step);
  return p;
}

void Meter::restart_mean() {
  if (loss_count_) last_loss_ = loss_sum_ / double(loss_count_);
  loss_sum_ = 0, loss_count_ = 0;
}

}  // namespace ito::model
