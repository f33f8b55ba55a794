#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/inputs/guidance.h"
#include "data/cache/image_cache.h"
#include "engine/device.h"
#include "model/diffusion/sampler_options.h"
#include "model/metrics/frechet.h"

/// The two sets of images that ./evaluate compares, in any of the forms in which people have them.
namespace ito::apps {

struct SideOptions {
  int64_t count = 10000;          // images of a side, at most
  uint64_t seed = 0;              // which of them, where there are more
  std::string crop, size, split;  // as the user asks for; "" is the default
  data::Orientation orientation = data::Orientation::upright;
  std::optional<std::string> known_crop, known_size;  // of the other side, if known: what CelebA's default to
  std::string cache = "runs/cache";
  model::SamplerOptions sampler;  // of checkpoints
  GuidanceRequest guidance;       // of checkpoints
  int threads = 0;
  /// Runs work that leaves files on this machine's disk: where several ranks are on it, one after another.
  std::function<void(const std::function<void()>&)> by_machine = [](const auto& work) { work(); };
};

/// The images of a side, all of one size.
class SideImages {
 public:
  explicit SideImages(data::ImageSize size) : size_(size) {}
  virtual ~SideImages() = default;
  data::ImageSize size() const { return size_; }
  size_t bytes() const { return size_t(size_.height) * size_t(size_.width) * 3; }  // of one image

  /// Makes the images, if they have to be made before they can be read; shows progress.
  virtual void prepare() {}
  virtual std::string name(int64_t i) const = 0;
  /// Image i of 0..used-1 to u8 [height, width, 3] at `out`; any number of threads.
  virtual void read(int64_t i, uint8_t* out) const = 0;

 private:
  data::ImageSize size_;
};

/// Features that another program has computed: `pool_3`, f32 [used, width].
struct StoredFeatures {
  std::vector<float> values;
  int64_t width = 0;
};

/// What identifies a side in reports.
struct SideIdentity {
  std::string place;  // as the user named it
  std::string kind;   // "folder", "celeba", "checkpoint", "images", "features", "statistics"
  std::optional<std::string> crop, split;                  // of its images, if known
  std::vector<std::pair<std::string, std::string>> facts;  // what else identifies it
};

/// One side: images, or what another program has computed of them, or both.
struct Side {
  SideIdentity identity;
  int64_t available = 0, used = 0;  // images, or rows of stored features; statistics alone have neither
  std::vector<std::string> notes;   // sentences for the user
  std::vector<data::SkippedFile> left_out;  // unreadable pictures: no number includes them

  std::shared_ptr<SideImages> images;                  // null: none
  std::optional<StoredFeatures> features;              // only without images
  std::optional<model::FeatureStatistics> statistics;  // stored `mu` and `sigma`

  const std::string& place() const { return identity.place; }
};

/// Which of `available` images are used: all, or `count` of them that the seed chooses, ascending.
std::vector<int64_t> chosen_images(int64_t available, const SideOptions& options);

/// Opens a checkpoint or a run (its newest checkpoint), an .npz, CelebA in any form, or a folder or zip of images.
/// These are read at their own size unless another is asked for, and are all decoded once as a test. Nothing is
/// generated yet. The device's ranks all call it; they share the test, and take rank 0's choice of a checkpoint. Error:
/// none of these; fewer than two images; images of different sizes (named); more than one in twenty unreadable; ranks
/// find different images; what the readers report. Throws engine::Interrupted if a signal asked to stop.
Side open_side(const std::string& place, const SideOptions& options, engine::Device& device);

/// Opens an .npz, which takes only a moment; nothing if the place is anything else.
std::optional<Side> open_file_of_arrays(const std::string& place, const SideOptions& options);

/// Error: there is no such file or folder.
void check_place(const std::string& place);

/// Error, with both, if crop, size or the features' width of the sides are known to differ.
void check_comparable(const Side& generated, const Side& reference);

}  // namespace ito::apps
