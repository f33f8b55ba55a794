#pragma once

#include <cstdint>
#include <vector>

#include "apps/sampling/request.h"
#include "engine/shape.h"

/// What each picture of a request starts from.
namespace ito::apps {

/// Where pictures start: by their seeds alone, from noise of a file (--noise), near a face (--variations) or between
/// two (--interpolate).
class Starts {
 public:
  /// image = [H,W,C]. Error: flags that exclude each other, with the reason; --noise as read_noise has it.
  Starts(const SampleRequest&, const engine::Shape& image);

  size_t size() const { return numbers_.size(); }
  /// Of the pictures' files: 000005.png is number 5. The seeds; of variations and interpolation 0, 1, ...
  const std::vector<uint64_t>& numbers() const { return numbers_; }
  /// What each picture's steps, and attributes or class where none are asked for, are drawn by.
  const std::vector<uint64_t>& seeds() const { return seeds_; }
  /// The noise of pictures first .. first + count - 1, [count,H,W,C] of unit variance, for SampleHooks::noise; empty
  /// where it is the seeds' own.
  std::vector<float> noise(size_t first, size_t count) const;
  /// What tells these starts from others, as model::facts_of has it; empty where it is the seeds' own noise.
  model::SamplerFacts facts() const;

 private:
  std::vector<float> noise_of(size_t picture) const;

  int64_t each_;  // numbers of a picture
  std::vector<uint64_t> numbers_, seeds_;
  std::string noise_name_;
  std::vector<float> given_;  // of a file, [pictures,H,W,C]
  std::optional<double> spread_;
  std::optional<uint64_t> goal_;  // the last face of an interpolation
};

}  // namespace ito::apps
