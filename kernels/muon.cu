#include "kernels/base/math.h"
#include "kernels/cuda_device.cuh"
#include "kernels/cuda_dispatch.h"
#include "kernels/cuda_launch.h"
#include "kernels/cuda_sum.cuh"
#include "kernels/muon.h"

// For a matrix of r x c, r <= c: two products of r^2 c multiply-adds, and 17 of r^3. All matrices are one launch, so
// that the many small ones fill the card together: 20 launches an update, whatever the network. Products are plain FFMA
// from tiles in shared memory, since they take little time next to the network's own.
namespace ito::kernels {

inline constexpr int kMuonStartThreads = 1024;
inline constexpr int kMuonTile = 64, kMuonDepth = 16, kMuonEach = 4;  // a thread has 4 x 4 sums
inline constexpr int kMuonThreads = (kMuonTile / kMuonEach) * (kMuonTile / kMuonEach);

struct MuonArguments {
  const MuonMatrix* list;
  const StepState* state;
  MuonBuffers buffers;
  float clip;
};

/// Which product a launch takes: X X^T, the polynomial of a Gram matrix, left right of two squares, or P X.
enum class MuonProduct : uint8_t { gram, polynomial, multiply, apply };

namespace {

/// A factor of a product: element (line, depth).
struct MuonFactor {
  const float* data;
  int lines, line_stride, depth_stride;

  __device__ float at(int line, int depth, int depths) const {
    return line < lines && depth < depths ? data[int64_t(line) * line_stride + int64_t(depth) * depth_stride]
                                          : 0.0f;
  }
};

/// to[i,j] = plus from[i,j] + diagonal [i = j] + times sum_d a(i,d) b(j,d); rows of `columns` elements.
struct MuonOperands {
  MuonFactor a, b;
  int depths, columns;
  float* to;
  float times = 1;
  const float* from = nullptr;
  float plus = 0, diagonal = 0;
};

/// left, right, to: among the squares; to: of apply, among the gradients.
template <MuonProduct product>
__device__ MuonOperands operands_of(const MuonMatrix& m, const float* x, const float* left,
                                    const float* right, float* to) {
  // Squares are symmetric: a column is a row.
  const int side = m.side();
  const MuonFactor rows{x + m.at, m.rows, m.columns, 1}, columns{x + m.at, m.columns, 1, m.columns};
  const MuonFactor first{left + m.gram_at, side, side, 1}, second{right + m.gram_at, side, side, 1};
  if (product == MuonProduct::gram) {
    const MuonFactor& f = m.wide() ? rows : columns;
    return {f, f, m.wide() ? m.columns : m.rows, side, to + m.gram_at};
  }
  if (product == MuonProduct::polynomial)
    return {first, first, side, side, to + m.gram_at, kMuonC, left + m.gram_at, kMuonB, kMuonA};
  if (product == MuonProduct::multiply) return {first, second, side, side, to + m.gram_at};
  if (m.wide()) return {first, columns, side, m.columns, to + m.at, muon_scale(m)};
  return {rows, first, side, m.columns, to + m.at, muon_scale(m)};
}

/// A factor's next lines, depth after depth; neighbouring threads read neighbouring elements.
__device__ void load_factor(const SharedArray<float>& to, const MuonFactor& f, int line, int depth,
                            int depths) {
  const int thread = int(threadIdx.x);
  for (int i = thread; i < kMuonTile * kMuonDepth; i += kMuonThreads) {
    const bool along = f.depth_stride == 1;
    const int l = along ? i / kMuonDepth : i % kMuonTile, d = along ? i % kMuonDepth : i / kMuonTile;
    to[d * kMuonTile + l] = f.at(line + l, depth + d, depths);
  }
}

}  // namespace

/// A block a matrix: momentum, and X with a norm of 1.
__global__ void __launch_bounds__(kMuonStartThreads) muon_start_kernel(MuonArguments args) {
  if (args.state->skipped) return;
  SharedMemory shared;
  const auto slots = shared.take<Sum64>(kMuonStartThreads);
  const auto inverse = shared.take<float>(1);
  const MuonMatrix matrix = args.list[blockIdx.x];
  const int64_t count = int64_t(matrix.rows) * matrix.columns;
  const float scale = gradient_scale(args.clip, *args.state);
  const float* const grad = args.buffers.grad + matrix.at;
  float* const m = args.buffers.m + matrix.at;
  float* const x = args.buffers.x + matrix.at;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kMuonStartThreads) {
    const float g = scale * grad[i], moved = m[i] + (1 - kMuonMomentum) * (g - m[i]);
    const float u = g + kMuonMomentum * (moved - g);
    m[i] = moved, x[i] = u;
    sum += double(u) * double(u);
  }
  const double all = block_sum(slots, kMuonStartThreads, sum);
  if (threadIdx.x == 0) inverse[0] = 1 / (float(sqrt(all)) + kMuonEps);
  __syncthreads();
  for (int64_t i = threadIdx.x; i < count; i += kMuonStartThreads) x[i] *= inverse[0];
}

/// A block a tile of a matrix's result; blocks past its end do nothing.
template <MuonProduct product>
__global__ void __launch_bounds__(kMuonThreads)
    muon_product_kernel(MuonArguments args, const float* left, const float* right, float* to) {
  static_assert(kMuonEach == 4, "a thread's lines are a pack");
  if (args.state->skipped) return;
  const MuonMatrix matrix = args.list[blockIdx.z];
  const MuonOperands o = operands_of<product>(matrix, args.buffers.x, left, right, to);
  const int row = int(blockIdx.y) * kMuonTile, column = int(blockIdx.x) * kMuonTile;
  if (row >= o.a.lines || column >= o.b.lines) return;
  SharedMemory shared;
  const auto a = shared.take<float>(kMuonDepth * kMuonTile), b = shared.take<float>(kMuonDepth * kMuonTile);
  const int across = kMuonTile / kMuonEach;
  const int i0 = int(threadIdx.x) / across * kMuonEach, j0 = int(threadIdx.x) % across * kMuonEach;
  float sums[kMuonEach][kMuonEach] = {};
  for (int depth = 0; depth < o.depths; depth += kMuonDepth) {
    load_factor(a, o.a, row, depth, o.depths);
    load_factor(b, o.b, column, depth, o.depths);
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kMuonDepth; ++d) {
      const auto down = load<kMuonEach>(&a[d * kMuonTile + i0]),
                 right = load<kMuonEach>(&b[d * kMuonTile + j0]);
      for (int i = 0; i < kMuonEach; ++i)
        for (int j = 0; j < kMuonEach; ++j) sums[i][j] += down.v[i] * right.v[j];
    }
    __syncthreads();
  }
  for (int i = 0; i < kMuonEach; ++i)
    for (int j = 0; j < kMuonEach; ++j) {
      if (row + i0 + i >= o.a.lines || column + j0 + j >= o.b.lines) continue;
      const int64_t at = int64_t(row + i0 + i) * o.columns + column + j0 + j;
      float sum = o.times * sums[i][j];
      if (o.from) sum += o.plus * o.from[at];
      if (row + i0 + i == column + j0 + j) sum += o.diagonal;
      o.to[at] = sum;
    }
}

void muon(CudaStream& stream, const MuonMatrices& all, float clip, const StepState* state,
          const MuonBuffers& b) {
  check_muon(all);
  const MuonArguments args{all.list, state, b, clip};
  LaunchConfig config;
  config.grid = dim3(unsigned(all.count)), config.block = dim3(kMuonStartThreads);
  config.shared_bytes = shared_size<Sum64>(kMuonStartThreads) + shared_size<float>(1);
  launch(muon_start_kernel, config, stream, args);

  const auto tiles = [](int lines) { return unsigned(div_up(lines, kMuonTile)); };
  config.block = dim3(kMuonThreads);
  config.shared_bytes = 2 * shared_size<float>(kMuonDepth * kMuonTile);
  const dim3 squares(tiles(all.most_side), tiles(all.most_side), unsigned(all.count));
  const dim3 updates(tiles(all.most_columns), tiles(all.most_rows), unsigned(all.count));
  float* const g = b.squares;
  float *const p = g + all.gram_count, *const t = p + all.gram_count;
  float *q = t + all.gram_count, *next = q + all.gram_count;  // the product of all P
  config.grid = squares;
  const float* const none = g;
  launch(muon_product_kernel<MuonProduct::gram>, config, stream, args, none, none, g);
  const auto multiply = [&](const float* left, const float* right, float* to) {
    launch(muon_product_kernel<MuonProduct::multiply>, config, stream, args, left, right, to);
  };
  for (int step = 0; step < kMuonSteps; ++step) {
    float* const now = step == 0 ? q : p;
    launch(muon_product_kernel<MuonProduct::polynomial>, config, stream, args, g, none, now);
    if (step > 0) multiply(p, q, next), std::swap(q, next);
    if (step == kMuonSteps - 1) break;
    multiply(now, g, t), multiply(now, t, g);
  }
  config.grid = updates;
  launch(muon_product_kernel<MuonProduct::apply>, config, stream, args, q, none, b.grad);
}

}  // namespace ito::kernels
