#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apps/console/live_line.h"
#include "apps/evaluation/networks.h"
#include "model/metrics/frechet.h"
#include "model/training/trainer.h"

namespace ito::apps {

/// FID of a run under way: what its averaged weights draw against the images it learns from, as
/// `./evaluate RUN --reference DATA --count N` measures it with the sampler of the run's grids as its flags (seeds 0..,
/// the same choice of images).
class RunFid {
 public:
  struct Options {
    std::string inception;  // file of the FID network's weights
    int64_t count;          // images of each side, at least 2
    int64_t evaluations;    // of the network, in drawing an image
  };
  /// Opens the network, which then stays on the device. Error: the file is not named, is missing or is of another
  /// network; fewer than two images.
  RunFid(engine::Device&, const Options&, const model::ImageSet& images);

  /// What each measurement costs, as part of a sentence.
  std::string cost() const;
  /// Seconds of a measurement, if training learns from this many images a second.
  double seconds(double images_per_second) const;
  const std::vector<std::string>& notes() const { return opened_.notes; }
  int64_t count() const { return int64_t(numbers_.size()); }

  /// Draws images and computes their FID; nothing if the user interrupts. The reference is computed only once. The
  /// trainer must be paused. The device's ranks all call it, and share the images; each gets the FID, or nothing if a
  /// signal came to one of them.
  std::optional<double> measure(model::Trainer&, LiveLine&);

 private:
  double time_network() const;
  /// Statistics of images 0..count-1, which `read` writes; on rank 0.
  template <class Read>
  model::FeatureStatistics look(const char* what, LiveLine&, const Read& read) const;

  engine::Device& device_;
  Options options_;
  const model::ImageSet images_;
  std::vector<int64_t> numbers_;  // of the images of the reference
  OpenedNetworks opened_;
  double seconds_per_image_ = 0;                       // of the network, on all ranks together
  std::optional<model::FeatureStatistics> reference_;  // empty on the other ranks
};

}  // namespace ito::apps
