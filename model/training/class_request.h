#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ito::model {

/// Conditions of a network with classes: rows that are 1 at an image's class and 0 elsewhere. All images are of the
/// class that is asked for; where none is, a class is chosen by the image's seed alone, each being as likely.
class ClassRequest {
 public:
  /// Error: the class is not from 0 to classes - 1.
  ClassRequest(int classes, std::optional<int> asked);

  int class_for(uint64_t seed) const;
  std::vector<float> conditions(const std::vector<uint64_t>& seeds) const;  // [seeds, classes]

 private:
  int classes_;
  std::optional<int> asked_;
};

}  // namespace ito::model
