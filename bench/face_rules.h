#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

/// Which attributes a drawn face shows, decided from its pixels alone: for measuring whether a model drew what it was
/// asked for.
namespace ito::bench {

/// Pixels of a 32x32 face of crop ddim128 (data/pictures/crop.h): rows top .. bottom - 1, columns left .. right - 1.
struct FaceArea {
  int top, bottom, left, right;
};

/// Where the painter (data/faces) draws an attribute, and so what its rule sees.
struct RuledAttribute {
  const char* name;
  FaceArea area;
  int block;  // the rule sees means of block x block pixels
};

inline constexpr int kRuleSide = 32;

/// Attributes that are plain to see at 32x32 pixels.
const std::vector<RuledAttribute>& ruled_attributes();

/// A linear rule: the face shows the attribute where sum_i w_i x_i + w_n > 0, x the means of the area's blocks, as
/// pixel / 127.5 - 1. The weights minimise
///
///     sum over faces of c (w . x - y)^2 + |w|^2,   y = 1 with the attribute and -1 without,
///
/// where c = 1 / (2 share of the faces with this y), so that a rare attribute counts as much as its absence.
class FaceRule {
 public:
  /// Fits the weights on a set of faces. Error: the set is not 32x32 of crop ddim128, or lacks the attribute's column,
  /// or one of its values.
  FaceRule(const RuledAttribute& attribute, const data::Dataset& faces);

  const std::string& name() const { return name_; }
  /// `pixels` is u8 [32,32,3].
  bool shown(const uint8_t* pixels) const;
  /// The share of the faces with the value (1 or -1) for which the rule finds it.
  double recall(const data::Dataset& faces, int value) const;

 private:
  void features(const uint8_t* pixels, double* x) const;
  size_t count() const;

  std::string name_;
  FaceArea area_;
  int block_;
  std::vector<double> weights_;  // of the features, then of 1
};

}  // namespace ito::bench
