#include "model/metrics/neighbours.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/metrics/dense.h"

namespace ito::model {
namespace {

constexpr int64_t kTileRows = 256, kTileColumns = 1024;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Squared distances of rows first_x .. of x to rows first_y .. of y.
struct Tile {
  int64_t first_x, first_y;
  RowMatrix squared;
};

/// Calls f(tile) for all tiles, those of one row of tiles in succession. |u - v|^2 = |u|^2 - 2 u.v + |v|^2,
/// never below 0; the diagonal of a set against itself is infinite, so that no row is its own neighbour.
template <class F>
void for_each_tile(const FeatureRows& x, const FeatureRows& y, bool same, F&& f) {
  Tile tile{0, 0, {}};
  for (tile.first_x = 0; tile.first_x < x.rows; tile.first_x += kTileRows) {
    const RowMatrix u = widened(x, tile.first_x, std::min(kTileRows, x.rows - tile.first_x));
    const Eigen::VectorXd u_squared = u.rowwise().squaredNorm();
    for (tile.first_y = 0; tile.first_y < y.rows; tile.first_y += kTileColumns) {
      const RowMatrix v = widened(y, tile.first_y, std::min(kTileColumns, y.rows - tile.first_y));
      const Eigen::RowVectorXd v_squared = v.rowwise().squaredNorm();
      tile.squared.resize(u.rows(), v.rows());
      by_rows(u.rows(), [&](auto first, auto count) {
        tile.squared.middleRows(first, count).noalias() = -2 * u.middleRows(first, count) * v.transpose();
      });
      tile.squared.colwise() += u_squared;
      tile.squared.rowwise() += v_squared;
      tile.squared = tile.squared.cwiseMax(0);
      for (int64_t i = 0; same && i < u.rows(); ++i) {
        const int64_t column = tile.first_x + i - tile.first_y;
        if (column >= 0 && column < v.rows()) tile.squared(i, column) = kInfinity;
      }
      f(tile);
    }
  }
}

/// The least numbers that were offered, ascending.
class Least {
 public:
  explicit Least(size_t count) : values_(count, kInfinity) {}
  void offer(double value) {
    if (value >= values_.back()) return;
    values_.pop_back();
    values_.insert(std::upper_bound(values_.begin(), values_.end(), value), value);
  }
  /// The k-th, from 1 on.
  double operator[](int k) const { return values_[size_t(k) - 1]; }

 private:
  std::vector<double> values_;
};

double share(const std::vector<char>& flags) {
  return double(std::count(flags.begin(), flags.end(), 1)) / double(flags.size());
}

}  // namespace

std::vector<std::vector<double>> neighbour_radii(const FeatureRows& x, const std::vector<int>& ks) {
  const int most = *std::max_element(ks.begin(), ks.end());
  check_features("the distance to a neighbour", x, int64_t(most) + 1);
  std::vector<Least> least(size_t(x.rows), Least(size_t(most)));
  for_each_tile(x, x, true, [&](const Tile& tile) {
    const RowMatrix& d = tile.squared;
#pragma omp parallel for schedule(static)
    for (Eigen::Index i = 0; i < d.rows(); ++i)
      for (Eigen::Index j = 0; j < d.cols(); ++j) least[size_t(tile.first_x + i)].offer(d(i, j));
  });
  std::vector<std::vector<double>> radii;
  for (const int k : ks) {
    radii.emplace_back();
    for (const Least& l : least) radii.back().push_back(l[k]);
  }
  return radii;
}

Overlap overlap(const FeatureRows& real, const FeatureRows& generated, int k_ball, int k_density) {
  check_same_width("precision and recall", real, generated);
  const auto real_radii = neighbour_radii(real, {k_ball, k_density});
  const auto generated_radii = neighbour_radii(generated, {k_ball});
  std::vector<char> generated_inside(size_t(generated.rows)), real_inside(size_t(real.rows)),
      covered(size_t(real.rows));
  int64_t balls = 0;
  for_each_tile(real, generated, false, [&](const Tile& tile) {
    const RowMatrix& d = tile.squared;
    for (Eigen::Index i = 0; i < d.rows(); ++i) {
      const size_t r = size_t(tile.first_x + i);
      for (Eigen::Index j = 0; j < d.cols(); ++j) {
        const size_t g = size_t(tile.first_y + j);
        if (d(i, j) <= real_radii[0][r]) generated_inside[g] = 1;
        if (d(i, j) <= generated_radii[0][g]) real_inside[r] = 1;
        if (d(i, j) < real_radii[1][r]) ++balls, covered[r] = 1;
      }
    }
  });
  Overlap result;
  result.precision = share(generated_inside), result.recall = share(real_inside);
  result.density = double(balls) / k_density / double(generated.rows);
  result.coverage = share(covered);
  return result;
}

std::vector<Nearest> nearest_rows(const FeatureRows& queries, const FeatureRows& base) {
  check_same_width("nearest neighbours", queries, base);
  check_features("nearest neighbours", queries, 1), check_features("nearest neighbours", base, 1);
  std::vector<Nearest> nearest(size_t(queries.rows), Nearest{-1, kInfinity});
  for_each_tile(queries, base, false, [&](const Tile& tile) {
    for (Eigen::Index i = 0; i < tile.squared.rows(); ++i) {
      Nearest& best = nearest[size_t(tile.first_x + i)];
      for (Eigen::Index j = 0; j < tile.squared.cols(); ++j)
        if (tile.squared(i, j) < best.distance) best = {tile.first_y + j, tile.squared(i, j)};
    }
  });
  for (Nearest& n : nearest) n.distance = std::sqrt(n.distance);
  return nearest;
}

}  // namespace ito::model
