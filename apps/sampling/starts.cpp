#include "apps/sampling/starts.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "apps/sampling/arrays.h"
#include "kernels/base/hash.h"
#include "model/diffusion/start_noise.h"

namespace ito::apps {

Starts::Starts(const SampleRequest& f, const engine::Shape& image) : each_(image.count()) {
  check_starts(f);
  if (f.variations || !f.interpolate.empty()) {
    uint64_t from = 0;
    if (f.variations)
      from = *f.variations, spread_ = f.spread.value_or(kUsualSpread);
    else
      std::tie(from, goal_) = parse_faces(f.interpolate);
    numbers_.resize(size_t(f.count.value_or(f.variations ? kUsualCount : kUsualPictures)));
    std::iota(numbers_.begin(), numbers_.end(), uint64_t(0));
    seeds_.assign(numbers_.size(), from);
    return;
  }
  std::optional<int64_t> noises;
  if (!f.noise.empty()) {
    given_ = read_noise(f.noise, image), noise_name_ = std::filesystem::path(f.noise).filename().string();
    noises = int64_t(given_.size()) / each_;
  }
  numbers_ = seeds_ = chosen_seeds(f, noises);
}

std::vector<float> Starts::noise_of(size_t picture) const {
  if (spread_) return model::variation_noise(seeds_[picture], numbers_[picture], *spread_, each_);
  return model::between_noise(seeds_[picture], *goal_, int64_t(picture), int64_t(size()), each_);
}

std::vector<float> Starts::noise(size_t first, size_t count) const {
  const auto at = [&](size_t picture) { return given_.begin() + std::ptrdiff_t(picture) * each_; };
  if (!given_.empty()) return {at(first), at(first + count)};
  std::vector<float> noise;
  if (!spread_ && !goal_) return noise;
  for (size_t i = first; i < first + count; ++i) {
    const std::vector<float> one = noise_of(i);
    noise.insert(noise.end(), one.begin(), one.end());
  }
  return noise;
}

model::SamplerFacts Starts::facts() const {
  if (spread_) return {{"variations", cat(seeds_[0])}, {"spread", shortest_text(*spread_)}};
  // How many there are decides where each of them is.
  if (goal_) return {{"interpolate", cat(seeds_[0], ",", *goal_)}, {"count", cat(size())}};
  if (given_.empty()) return {};
  // By its numbers: a file may have others later.
  const uint64_t sum = Hash().add(given_.data(), given_.size() * sizeof(float)).value();
  return {{"noise", cat(noise_name_, " ", hex(sum))}};
}

}  // namespace ito::apps
