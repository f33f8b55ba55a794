#pragma once

#include <optional>

#include "model/training/trainer.h"

namespace ito::model {

/// The progress of a run, for display.
struct Progress {
  int64_t step = 0, steps = 0;            // done, in all
  double loss = 0;                        // mean over the latest steps
  double images_per_second = 0;           // of training alone, grids, validations and saving left out
  double seconds_left = 0;                // everything included, estimated from the time so far
  int64_t skipped = 0;                    // steps whose loss or gradient was not finite, of the whole run
  std::optional<double> validation_loss;  // the latest one
};

/// Rates and means of one session, for display: nothing that is learned depends on the clock.
class Meter {
 public:
  explicit Meter(const Trainer&);
  void count_step(double seconds);
  void count(const StepReport&);
  Progress progress() const;
  void restart_mean();
  int64_t images() const { return int64_t(double(steps_) * images_a_step()); }
  double seconds() const { return seconds_; }

 private:
  double images_a_step() const { return double(trainer_.options().batch) * trainer_.options().accumulate; }
  const Trainer& trainer_;
  int64_t first_step_, steps_ = 0, loss_count_ = 0;
  double start_, seconds_ = 0, steady_seconds_ = 0, loss_sum_ = 0, last_loss_ = 0;
};

}  // namespace ito::model
