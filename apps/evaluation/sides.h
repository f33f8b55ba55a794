#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/cache/image_cache.h"
#include "engine/device.h"
#include "model/diffusion/sampler_plan.h"
#include "model/metrics/frechet.h"

/// The two sets of images that ./evaluate compares, in any of the forms in which people have them.
namespace ito::apps {

struct SideOptions {
  int64_t count = 10000;          // images of a side, at most
  uint64_t seed = 0;              // which of them, where there are more
  std::string crop, size, split;  // as the user asks for; "" is the default
  data::Orientation orientation = data::Orientation::upright;
  std::string known_crop, known_size;  // of the other side: CelebA's default
  std::string cache = "runs/cache";
  model::SamplerOptions sampler;  // of checkpoints
  int threads = 0;
};

/// One side: images, or what another program has computed of them, or both.
struct Side {
  std::string place;                // as the user named it
  std::string kind;                 // "folder", "celeba", "checkpoint", "images", "features", "statistics"
  std::string crop, split;          // "" where it is not known
  int height = 0, width = 0;        // 0 where it is not known
  int64_t available = 0, used = 0;  // images; 0 for statistics of a number that is not said
  std::vector<std::pair<std::string, std::string>> facts;  // what else identifies it
  std::vector<std::string> notes;                          // sentences for the user
  std::vector<data::SkippedFile> left_out;                 // unreadable pictures, which no number is of

  /// Image i of 0..used-1 to u8 [height, width, 3] at `out`; any number of threads. Empty: no images.
  std::function<void(int64_t i, uint8_t* out)> read;
  std::function<std::string(int64_t i)> name;
  /// Makes what read gives, where it must be made first; says how far it is.
  std::function<void()> prepare;
  /// Stored `pool_3`, f32 [used, feature_width].
  std::vector<float> features;
  int64_t feature_width = 0;
  std::optional<model::FeatureStatistics> statistics;  // stored `mu` and `sigma`

  bool has_images() const { return bool(read); }
};

/// Which of `available` images: all, or `count` that the seed chooses, ascending.
std::vector<int64_t> chosen_images(int64_t available, const SideOptions& options);

/// Opens a checkpoint or a run (its newest checkpoint), an .npz, CelebA in any form, or a folder or zip of
/// images, which are read at their own size unless another one is asked for, and decoded once to know that they can
/// be. Nothing is generated yet. Error: none of these; fewer than two images; images of different sizes (named); more
/// than one in twenty unreadable; what the readers report.
Side open_side(const std::string& place, const SideOptions& options, engine::Device& device);

/// The same of an .npz alone, which takes a moment; nothing where it is anything else.
std::optional<Side> open_file_of_arrays(const std::string& place, const SideOptions& options);

/// Error: nothing is there.
void check_place(const std::string& place);

/// Error, with both, if crop, size or the features' width of the sides are known to differ.
void check_comparable(const Side& generated, const Side& reference);

}  // namespace ito::apps
