#include "apps/evaluation/run_fid.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/console/number_text.h"
#include "apps/console/stopping.h"
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
  // Measured the second time, when libraries have made their choices.
  const int64_t trial = std::min<int64_t>(8, images.count);
  std::vector<float> features(size_t(trial * kFeatures));
  for (int i = 0; i < 2; ++i) {
    const double before = now();
    opened_.networks.inception(images.pixels, trial, images.height, images.width, features.data(), nullptr);
    seconds_per_image_ = (now() - before) / double(trial);
  }
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
std::optional<model::FeatureStatistics> RunFid::look(const char* what, LiveLine& line,
                                                     const Read& read) const {
  model::FeatureSums sums(kFeatures);
  const size_t bytes = size_t(images_.height) * size_t(images_.width) * 3;
  std::vector<uint8_t> pixels(size_t(kImagesAtOnce) * bytes);
  std::vector<float> features(size_t(kImagesAtOnce * kFeatures));
  for (int64_t begin = 0; begin < count(); begin += kImagesAtOnce) {
    if (interrupted()) return std::nullopt;
    const int64_t n = std::min(kImagesAtOnce, count() - begin);
    for (int64_t i = 0; i < n; ++i) read(begin + i, pixels.data() + size_t(i) * bytes);
    opened_.networks.inception(pixels.data(), n, images_.height, images_.width, features.data(), nullptr);
    sums.add({features.data(), n, kFeatures});
    line.show(cat("fid        looking at ", what, ", ", thousands(begin + n), " of ", thousands(count())));
  }
  return sums.statistics();
}

std::optional<double> RunFid::measure(model::Trainer& trainer, LiveLine& line) {
  const size_t bytes = size_t(images_.height) * size_t(images_.width) * 3;
  if (!reference_)
    reference_ = look("the images", line, [&](int64_t i, uint8_t* out) {
      std::copy_n(images_.pixels + size_t(numbers_[size_t(i)]) * bytes, bytes, out);
    });
  if (!reference_) return std::nullopt;
  std::vector<uint64_t> seeds(static_cast<size_t>(count()));
  std::iota(seeds.begin(), seeds.end(), uint64_t(0));
  struct Interrupted {};
  std::vector<uint8_t> drawn;
  try {
    drawn = model::sample_ema(device_, trainer, seeds, [&](double done) {
      if (interrupted()) throw Interrupted();
      line.show(cat("fid        drawing, ", int(100 * done), " %"));
    });
  } catch (const Interrupted&) {
    return std::nullopt;
  }
  const auto generated = look("what was drawn", line, [&](int64_t i, uint8_t* out) {
    std::copy_n(drawn.data() + size_t(i) * bytes, bytes, out);
  });
  if (!generated) return std::nullopt;
  return model::frechet_distance(*generated, *reference_);
}

}  // namespace ito::apps
