#include "kernels/muon.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "kernels/parallel.h"

namespace ito::kernels {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<Matrix>;
using ConstView = Eigen::Map<const Matrix>;

/// Rows of a product that a task computes.
constexpr int kRows = 64;

/// A part of a product: rows [first, first + rows) of a matrix's result.
struct MuonTask {
  const MuonMatrix* matrix;
  int first, rows;
};

struct MuonScratch {
  std::vector<MuonTask> squares, updates;  // of the Gram matrices' rows, and of the matrices'
};

void add_tasks(std::vector<MuonTask>& tasks, const MuonMatrix& a, int rows) {
  for (int first = 0; first < rows; first += kRows)
    tasks.push_back({&a, first, std::min(kRows, rows - first)});
}

/// u into x, scaled to a norm of 1.
void start(const MuonMatrix& a, float scale, const MuonBuffers& b) {
  const int64_t count = int64_t(a.rows) * a.columns;
  const float* __restrict grad = b.grad + a.at;
  float* __restrict m = b.m + a.at;
  float* __restrict x = b.x + a.at;
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float g = scale * grad[i], moved = m[i] + (1 - kMuonMomentum) * (g - m[i]);
    m[i] = moved;
    x[i] = g + kMuonMomentum * (moved - g);
  }
  for (int64_t i = 0; i < count; ++i) sum += double(x[i]) * double(x[i]);
  const float inverse = 1 / (float(std::sqrt(sum)) + kMuonEps);
  for (int64_t i = 0; i < count; ++i) x[i] *= inverse;
}

/// to = X X^T or X^T X.
void gram(const MuonTask& t, const MuonBuffers& b, float* to) {
  const MuonMatrix& a = *t.matrix;
  const ConstView x(b.x + a.at, a.rows, a.columns);
  auto rows = View(to + a.gram_at, a.side(), a.side()).middleRows(t.first, t.rows);
  if (a.wide())
    rows.noalias() = x.middleRows(t.first, t.rows) * x.transpose();
  else
    rows.noalias() = x.middleCols(t.first, t.rows).transpose() * x;
}

View square(const MuonMatrix& a, float* of) { return {of + a.gram_at, a.side(), a.side()}; }
ConstView square(const MuonMatrix& a, const float* of) { return {of + a.gram_at, a.side(), a.side()}; }

/// to = A + B G + C G^2.
void polynomial(const MuonTask& t, const float* grams, float* to) {
  const ConstView g = square(*t.matrix, grams);
  auto rows = square(*t.matrix, to).middleRows(t.first, t.rows);
  rows = kMuonB * g.middleRows(t.first, t.rows);
  rows.noalias() += kMuonC * g.middleRows(t.first, t.rows) * g;
  rows.diagonal(t.first).array() += kMuonA;
}

/// to = left right, of squares.
void multiply(const MuonTask& t, const float* left, const float* right, float* to) {
  square(*t.matrix, to).middleRows(t.first, t.rows).noalias() =
      square(*t.matrix, left).middleRows(t.first, t.rows) * square(*t.matrix, right);
}

/// grad = scale P X, or X P.
void apply(const MuonTask& t, const float* polynomials, const MuonBuffers& b) {
  const MuonMatrix& a = *t.matrix;
  const ConstView x(b.x + a.at, a.rows, a.columns), p = square(a, polynomials);
  auto rows = View(b.grad + a.at, a.rows, a.columns).middleRows(t.first, t.rows);
  if (a.wide())
    rows.noalias() = muon_scale(a) * p.middleRows(t.first, t.rows) * x;
  else
    rows.noalias() = muon_scale(a) * x.middleRows(t.first, t.rows) * p;
}

}  // namespace

MuonMatrices muon_matrices(std::vector<MuonMatrix>& list) {
  MuonMatrices all;
  all.count = int(list.size());
  for (MuonMatrix& a : list) {
    a.gram_at = all.gram_count;
    all.gram_count += int64_t(a.side()) * a.side();
    all.most_rows = std::max(all.most_rows, a.rows);
    all.most_columns = std::max(all.most_columns, a.columns);
    all.most_side = std::max(all.most_side, a.side());
  }
  return all;
}

void check_muon(const MuonMatrices& all) {
  if (!all.list || all.count < 1 || all.gram_count < 1)
    fail(cat("muon: ", all.count, " matrices; there must be some, none of them empty"));
}

void muon(CpuStream& stream, const MuonMatrices& all, float clip, const StepState* state,
          const MuonBuffers& b) {
  check_muon(all);
  if (state->skipped) return;
  auto& tasks = stream.state<MuonScratch>();
  tasks.squares.clear(), tasks.updates.clear();
  for (int i = 0; i < all.count; ++i) {
    add_tasks(tasks.squares, all.list[i], all.list[i].side());
    add_tasks(tasks.updates, all.list[i], all.list[i].rows);
  }
  const auto each = [&](const std::vector<MuonTask>& of, auto&& work) {
    parallel_uneven(stream, int64_t(of.size()), [&](int64_t i) { work(of[size_t(i)]); });
  };
  const float scale = gradient_scale(clip, *state);
  parallel_uneven(stream, all.count, [&](int64_t i) { start(all.list[i], scale, b); });
  float* const g = b.squares;
  float *const p = g + all.gram_count, *const t = p + all.gram_count;
  float *q = t + all.gram_count, *next = q + all.gram_count;  // the product of all P
  each(tasks.squares, [&](const MuonTask& task) { gram(task, b, g); });
  for (int step = 0; step < kMuonSteps; ++step) {
    float* const now = step == 0 ? q : p;
    each(tasks.squares, [&](const MuonTask& task) { polynomial(task, g, now); });
    if (step > 0) {
      each(tasks.squares, [&](const MuonTask& task) { multiply(task, p, q, next); });
      std::swap(q, next);
    }
    if (step == kMuonSteps - 1) break;
    each(tasks.squares, [&](const MuonTask& task) { multiply(task, now, g, t); });
    each(tasks.squares, [&](const MuonTask& task) { multiply(task, now, t, g); });
  }
  each(tasks.updates, [&](const MuonTask& task) { apply(task, q, b); });
}

}  // namespace ito::kernels
