#pragma once

#include <cstdint>
#include <vector>

#include "model/metrics/features.h"

/// Metrics of nearest neighbours: Euclidean distances between feature vectors, in f64, a tile at a time.
namespace ito::model {

/// radii[j][i]: squared distance of row i to its ks[j]-th nearest other row. Error: no more rows than k.
std::vector<std::vector<double>> neighbour_radii(const FeatureRows& x, const std::vector<int>& ks);

struct Overlap {
  double precision = 0;  // share of generated rows within a real row's ball
  double recall = 0;     // share of real rows within a generated row's ball
  double density = 0;    // real balls around a generated row, divided by k; may exceed 1
  double coverage = 0;   // share of real rows whose ball holds a generated row
};

/// A row's ball reaches to its k-th neighbour in its own set. Precision and recall: k = 3, d <= r
/// (Kynkaanniemi et al., 2019, arXiv:1904.06991); density and coverage: k = 5, d < r (Naeem et al., 2020,
/// arXiv:2002.09797). Error: different widths, five rows or fewer.
Overlap overlap(const FeatureRows& real, const FeatureRows& generated, int k_ball = 3, int k_density = 5);

struct Nearest {
  int64_t row = 0;
  double distance = 0;
};

/// For each query the nearest row of `base`, the first of equals. Error: no rows, different widths.
std::vector<Nearest> nearest_rows(const FeatureRows& queries, const FeatureRows& base);

}  // namespace ito::model
