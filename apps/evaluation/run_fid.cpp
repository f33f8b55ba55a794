#include "apps/evaluation/run_fid.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/console/number_text.h"
#include "apps/evaluation/rounds.h"
#include "apps/inputs/give_way.h"
#include "kernels/base/clock.h"
#include "model/metrics/inception.h"
#include "model/training/session.h"

namespace ito::apps {

namespace {

constexpr int64_t kImagesAtOnce = 32, kFeatures = model::Inception::kFeatures;

}  // namespace

RunFid::RunFid(engine::Device& device, const Options& options, const model::ImageSet& images)
    : device_(device), options_(options), images_(images) {
  NetworkFiles files;
  files.inception = options.inception;
  open_inception(opened_, files, device);
  if (options.inception.empty()) fail(cat("--fid-every needs the FID network. ", opened_.notes.front()));
  SideOptions side;
  side.count = options.count;
  numbers_ = chosen_images(images.count, side);
  if (count() < 2) fail(cat("--fid-every needs at least two images, and there is only ", count()));
  engine::together(device.ranks(), [&] {
    if (device.ranks().rank() == 0) seconds_per_image_ = time_network() / device.ranks().size();
  });
  // A run's number of steps may depend on it.
  seconds_per_image_ = engine::broadcast_value(device.ranks(), seconds_per_image_);
}

/// Seconds an image, measured the second time, when libraries have made their choices.
double RunFid::time_network() const {
  const int64_t trial = std::min<int64_t>(8, images_.count);
  std::vector<float> features(size_t(trial * kFeatures));
  double seconds = 0;
  for (int i = 0; i < 2; ++i) {
    const double before = now();
    opened_.networks.inception(images_.pixels, trial, images_.height, images_.width, features.data(),
                               nullptr);
    seconds = now() - before;
  }
  return seconds / double(trial);
}

std::string RunFid::cost() const {
  // An evaluation is about a third of what learning from an image takes.
  const double images = double(count()) * double(options_.evaluations) / 3;
  const std::string looking = duration(seconds_per_image_ * double(count()));
  return cat("drawing ", thousands(count()), " images takes as long as learning from ",
             thousands(std::llround(images)), ", looking at them ", looking, " (the first time twice that)");
}

double RunFid::seconds(double images_per_second) const {
  return double(count()) * (double(options_.evaluations) / (3 * images_per_second) + seconds_per_image_);
}

template <class Read>
model::FeatureStatistics RunFid::look(const char* what, LiveLine& line, const Read& read) const {
  kernels::Wire& ranks = device_.ranks();
  std::optional<model::FeatureSums> sums;
  if (ranks.rank() == 0) sums.emplace(kFeatures);
  const size_t bytes = size_t(images_.height) * size_t(images_.width) * 3;
  std::vector<uint8_t> pixels(size_t(kImagesAtOnce) * bytes);
  const auto make = [&](int64_t first, int64_t n, float* features) {
    give_way();
    for (int64_t i = 0; i < n; ++i) read(first + i, pixels.data() + size_t(i) * bytes);
    opened_.networks.inception(pixels.data(), n, images_.height, images_.width, features, nullptr);
  };
  device_.share_conv_plan([&] {
    std::vector<float> features(size_t(kImagesAtOnce * kFeatures));
    for (const int64_t n : {std::min(count(), kImagesAtOnce), count() % kImagesAtOnce})
      if (n > 0) make(0, n, features.data());
  });
  in_rounds<float>(
      ranks, {count(), kImagesAtOnce, kFeatures}, make, [&](int64_t first, int64_t n, const float* features) {
        if (sums) sums->add({features, n, kFeatures});
        line.show(
            cat("fid        looking at ", what, ", ", thousands(first + n), " of ", thousands(count())));
      });
  return sums ? sums->statistics() : model::FeatureStatistics{};
}

std::optional<double> RunFid::measure(model::Trainer& trainer, LiveLine& line) try {
  kernels::Wire& ranks = device_.ranks();
  const size_t bytes = size_t(images_.height) * size_t(images_.width) * 3;
  if (!reference_)
    reference_ = look("the images", line, [&](int64_t i, uint8_t* out) {
      std::copy_n(images_.pixels + size_t(numbers_[size_t(i)]) * bytes, bytes, out);
    });
  std::vector<uint64_t> seeds(static_cast<size_t>(count()));
  std::iota(seeds.begin(), seeds.end(), uint64_t(0));
  const std::vector<uint8_t> drawn = model::sample_ema(device_, trainer, seeds, [&](double done) {
    give_way();
    line.show(cat("fid        drawing, ", int(100 * done), " %"));
  });
  const model::FeatureStatistics generated = look("what was drawn", line, [&](int64_t i, uint8_t* out) {
    std::copy_n(drawn.data() + size_t(i) * bytes, bytes, out);
  });
  double distance = 0;
  engine::together(ranks, [&] {
    if (ranks.rank() == 0) distance = model::frechet_distance(generated, *reference_);
  });
  return engine::broadcast_value(ranks, distance);
} catch (const engine::Interrupted&) {
  return std::nullopt;
}

}  // namespace ito::apps
