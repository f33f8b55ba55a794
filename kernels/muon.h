#pragma once

#include <vector>

#include "kernels/adamw.h"

namespace ito::kernels {

/// A matrix of weights among the parameters: [rows,columns], row after row. A filter [K,R,S,C] is [K, R S C].
struct MuonMatrix {
  int64_t at;  // its first element in the flat buffers
  int rows, columns;
  int64_t gram_at;  // the first element of its Gram matrix, among all of them

  ITO_HOST_DEVICE int side() const { return rows < columns ? rows : columns; }
  ITO_HOST_DEVICE bool wide() const { return rows <= columns; }
};

/// All matrices of a model, and what launches take from them.
struct MuonMatrices {
  const MuonMatrix* list = nullptr;  // in the stream's memory
  int count = 0;
  int most_rows = 0, most_columns = 0, most_side = 0;
  int64_t gram_count = 0;  // elements of all Gram matrices
};

/// The summary of a list, whose gram_at it sets; `list` is still to be set to where the device has them.
MuonMatrices muon_matrices(std::vector<MuonMatrix>& list);

/// Flat buffers, as AdamWBuffers; only the matrices' elements are read or written.
struct MuonBuffers {
  float* grad;     // in: the gradient; out: the update
  float* m;        // momentum
  float* x;        // scratch, as long
  float* squares;  // scratch, kMuonSquares gram_count
};

/// Muon's numbers (Jordan et al. 2024, kellerjordan.github.io/posts/muon).
inline constexpr float kMuonMomentum = 0.95f, kMuonEps = 1e-7f;
inline constexpr int kMuonSteps = 5, kMuonSquares = 5;
inline constexpr float kMuonA = 3.4445f, kMuonB = -4.7750f, kMuonC = 2.0315f;

/// For each matrix, with g = grad min(1, clip / norm):
///   m += (1 - mu) (g - m),   u = g + mu (m - g),   X = u / (||u||_F + eps),
/// then kMuonSteps times X = P X with P = A + B G + C G^2 and G = X X^T (X P with G = X^T X if it has more rows than
/// columns), which moves every singular value to about 1, and
///   grad = .2 sqrt(max(rows, columns)) X,
/// whose elements are as large as AdamW's steps, so that both take the same learning rate (Liu et al.,
/// arXiv:2502.16982). All P are polynomials of the first G, so that they commute: G becomes P^2 G, and only the product
/// of all P is multiplied with X, which is much longer than wide. Leaves everything as it is where the step is
/// skipped. f32; norms are summed in f64.
void muon(CpuStream&, const MuonMatrices&, float clip, const StepState* state, const MuonBuffers&);
void muon(CudaStream&, const MuonMatrices&, float clip, const StepState* state, const MuonBuffers&);

/// What the update is multiplied by at the end.
ITO_HOST_DEVICE inline float muon_scale(const MuonMatrix& a) {
  return 0.2f * sqrtf(float(a.rows > a.columns ? a.rows : a.columns));
}

/// Error: no matrices, or an empty one.
void check_muon(const MuonMatrices&);

}  // namespace ito::kernels
