#include <algorithm>

#include "kernels/base/math.h"
#include "kernels/conv2d/backward_weights.h"
#include "kernels/conv2d/own_passes.h"
#include "kernels/conv2d/tile_shapes.cuh"

namespace ito::kernels {
namespace conv2d {

/// Calls f with the shape of these tiles.
template <class T, class F>
void with_shape(WeightTiles tiles, F&& f) {
  using S = Shapes<T>;
  switch (tiles) {
    case WeightTiles::large:
      return f(typename S::Large());
    case WeightTiles::wide:  // NOLINT(bugprone-branch-clone): f32 has fewer shapes
      return f(typename S::Wide());
    case WeightTiles::flat:
      return f(typename S::Flat());
    case WeightTiles::medium:
      return f(typename S::Medium());
  }
}

WeightParts::WeightParts(const Conv2dDims& d, DType dtype) {
  constexpr int kMultiprocessors = 132;  // of an H100
  constexpr int kLeastPixels = 256;      // so that a part's tiles are written for enough multiplications
  const int64_t pixels = int64_t(d.n) * d.out_h() * d.out_w(), entries = int64_t(d.r) * d.s * d.c();
  tiles = entries < 128 ? WeightTiles::medium
          : d.k >= 128  ? WeightTiles::large
          : d.k > 16    ? WeightTiles::wide
                        : WeightTiles::flat;
  int64_t of_a_part = 0;
  const auto count_tiles = [&](auto shape) {
    of_a_part = div_up<int64_t>(d.k, decltype(shape)::kM) * div_up(entries, decltype(shape)::kN);
  };
  const bool narrow = dtype == DType::bf16;
  narrow ? with_shape<bf16>(tiles, count_tiles) : with_shape<float>(tiles, count_tiles);
  const int64_t blocks = (narrow && tiles != WeightTiles::large ? 4 : 2) * kMultiprocessors;
  const int64_t wanted = std::clamp<int64_t>(blocks / of_a_part, 1, div_up(pixels, kLeastPixels));
  pixels_each = int(align_up(div_up(pixels, wanted), 32));
  count = int(div_up(pixels, pixels_each));
}

inline constexpr int kSumThreads = 256;

/// dw and dbias as the sums of the parts' copies, in order; reads every copy once and writes the results.
__global__ void __launch_bounds__(kSumThreads)
    sum_parts_kernel(int parts, int64_t weights, int filters, const float* dw_parts, const float* dbias_parts,
                     float* dw, float* dbias) {
  const int64_t i = int64_t(blockIdx.x) * kSumThreads + threadIdx.x;
  const bool is_weight = i < weights;
  const int64_t at = is_weight ? i : i - weights, size = is_weight ? weights : filters;
  if (at >= size || (!is_weight && !dbias)) return;
  const float* part = (is_weight ? dw_parts : dbias_parts) + at;
  float sum = 0;
  for (int p = 0; p < parts; ++p) sum += part[p * size];
  (is_weight ? dw : dbias)[at] = sum;
}

template <class T>
void run_backward_weights(CudaStream& stream, const Conv2dDims& d, const ConvBackwardWeights& o,
                          std::byte* workspace) {
  using S = Shapes<T>;
  const T *const dy = o.dy.as<T>(), *const x = o.x.as<T>(), *const x2 = o.x2.as<T>();
  float *const dw = o.dw.as<float>(), *const dbias = o.dbias.as<float>();
  const Im2colColumns<T> b{input_im2col(d, x, x2)};
  const int pixels = b.im2col.pixels, entries = b.im2col.entries;
  const Matrix<T, false> a{dy, d.k, pixels};
  const WeightParts parts(d, dtype_of<T>::value);
  const WeightWorkspace scratch(d, parts, workspace);
  const bool in_place = parts.count == 1;
  float *const to_dw = in_place ? dw : scratch.dw, *const to_dbias =
                                                       in_place || !dbias ? dbias : scratch.dbias;
  const WeightOutput output{to_dw, to_dbias, d.k, entries, entries % 4 == 0 && are_aligned({to_dw})};
  const bool packs_dy = are_whole_packs<kPackWidth<T>>({d.k}) && are_aligned({dy});
  const bool packs_x = are_whole_packs<kPackWidth<T>>({d.c1, d.c2}) && are_aligned({x, x2});
  const auto run = [&](auto shape, auto packs_a, auto packs_b) {
    multiply<decltype(shape), packs_a.value, packs_b.value>(stream, a, b, output, pixels, parts.pixels_each);
  };
  const std::true_type yes{};
  const std::false_type no{};
  if (packs_x && packs_dy)
    with_shape<T>(parts.tiles, [&](auto shape) { run(shape, yes, yes); });
  else if (packs_x && parts.tiles == WeightTiles::flat)
    run(typename S::Flat(), no, yes);  // of so few filters the elements may come singly
  else
    run(typename S::Medium(), no, no);
  if (in_place) return;
  const int64_t weights = int64_t(d.k) * entries;
  LaunchConfig config;
  config.grid = dim3(unsigned(div_up(weights + d.k, kSumThreads)));
  config.block = dim3(kSumThreads);
  launch(sum_parts_kernel, config, stream, parts.count, weights, d.k, scratch.dw, scratch.dbias, dw, dbias);
}

}  // namespace conv2d

void conv2d::own_backward_weights(CudaStream& stream, const Conv2dDims& d, const ConvBackwardWeights& o) {
  check_cuda_shape(d, o.x.dtype);
  std::byte* const scratch =
      check_workspace(d, own_workspace_bytes(d, o.x.dtype, ConvPass::backward_weights), o.workspace);
  check_sources(d, bool(o.x2));
  check_dtypes({o.x, o.x2, o.dy});
  visit_cuda("conv2d", o.x.dtype,
             [&](auto type) { run_backward_weights<decltype(type)>(stream, d, o, scratch); });
}

}  // namespace ito::kernels
