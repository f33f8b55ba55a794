// The weights' gradient of any shape as a product: dw [K, R*S*C] = dy^T columns, where row p of columns [N*P*Q, R*S*C]
// is what output pixel p reads. Threads take parts of dw, never of the sum: each of its numbers is one chain over the
// pixels in their order, whatever the parts.
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/micro_kernel.h"
#include "kernels/parallel.h"

namespace ito::kernels::conv2d {
namespace {

/// Pixels whose columns are gathered at a time, and lines of columns in a part: 32 KiB, a first-level cache.
constexpr int kBlock = 128, kPartLines = 4, kPartColumns = kPartLines * kLine;

/// Neighbouring columns that are neighbours in a source as well: floats [from, from + count) of the row of floats that
/// starts at the pixel that output pixel (p, 0) reads with tap (r, 0).
struct Run {
  int r, source, from, count;
};

/// The columns [first, first + kPartColumns) in runs: of a filter's whole row with one source, else of a tap's channels
/// in one source.
std::vector<Run> runs_of(const Conv2dDims& d, int first) {
  std::vector<Run> runs;
  const int last = std::min(first + kPartColumns, d.r * d.s * d.c());
  for (int column = first; column < last; column += runs.back().count) {
    const int row_length = d.s * d.c(), r = column / row_length, in_row = column % row_length;
    if (d.c2 == 0) {
      runs.push_back({r, 0, in_row, std::min(row_length - in_row, last - column)});
      continue;
    }
    const int s = in_row / d.c(), c = in_row % d.c(), source = c < d.c1 ? 0 : 1;
    const int channel = source == 0 ? c : c - d.c1, channels = source == 0 ? d.c1 : d.c2;
    runs.push_back({r, source, s * channels + channel, std::min(channels - channel, last - column)});
  }
  return runs;
}

/// A part of dw: some channels of dy, and a group of columns.
struct Part {
  int k, k_count, column;
};

/// Parts as large as can be; where they are too few for the threads, the channels of dy are divided too, and columns
/// gathered again, which takes about a tenth of the time.
struct Parts {
  int groups, k_groups, k;

  Parts(const Conv2dDims& d, int threads)
      : groups(div_up(d.r * d.s * d.c(), kPartColumns)),
        k_groups(groups_of_part(groups, div_up(d.k, kLine), threads, 0.1)),
        k(d.k) {}
  int count() const { return groups * k_groups; }
  Part operator[](int i) const {
    const int group = i % k_groups, first = k * group / k_groups;
    return {first, k * (group + 1) / k_groups - first, i / k_groups * kPartColumns};
  }
};

/// What a thread works in: gathered columns [kBlock][kPartColumns], sums [K][kPartColumns], sums of the bias.
struct ColumnsWorkspace {
  ptrdiff_t share;
  float* shares;
  size_t bytes;

  ColumnsWorkspace(CpuStream& stream, const Conv2dDims& d, std::byte* workspace)
      : share(ptrdiff_t(kBlock + d.k) * kPartColumns + align_up(d.k, kLine)) {
    Carver carver(workspace);
    shares = carver.take<float>(size_t(stream.threads()) * share);
    bytes = carver.used();
  }
  float* columns(int thread) const { return shares + thread * share; }
  float* sums(int thread) const { return columns(thread) + kBlock * kPartColumns; }
};

/// memcpy for the short runs that it is slow at: blocks of `lanes`, of which the last may overlap the one before.
template <int lanes>
inline void copy_blocks(const float* from, int count, float* to) {
  for (int i = 0; i < count - lanes; i += lanes) std::memcpy(to + i, from + i, lanes * sizeof(float));
  std::memcpy(to + count - lanes, from + count - lanes, lanes * sizeof(float));
}
inline void copy_floats(const float* from, int count, float* to) {
  if (count >= kLanes) return copy_blocks<kLanes>(from, count, to);
  if (count >= 4) return copy_blocks<4>(from, count, to);
  for (int i = 0; i < count; ++i) to[i] = from[i];
}

/// Floats [begin, begin + count) of a row of `length`, zeros outside of it; row null: zeros.
inline void copy_or_zero(const float* row, int length, int begin, int count, float* to) {
  if (row && begin >= 0 && begin + count <= length) return copy_floats(row + begin, count, to);
  for (int i = 0; i < count; ++i) to[i] = row && begin + i >= 0 && begin + i < length ? row[begin + i] : 0.0f;
}

/// Rows of columns of `count` output pixels from `pixel` on, as far as the runs go.
void gather(const Conv2dDims& d, const BackwardWeights<float>& a, const std::vector<Run>& runs, int64_t pixel,
            int count, float* columns) {
  const int width = d.out_w(), height = d.out_h();
  const float* const sources[] = {a.x, a.x2};
  const int channels[] = {d.c1, d.c2};
  for (int done = 0; done < count;) {  // the pixels of one row of the output
    const int q = int((pixel + done) % width), p = int((pixel + done) / width % height);
    const int64_t n = (pixel + done) / width / height;
    const int in_row = std::min(width - q, count - done);
    float* to = columns + ptrdiff_t(done) * kPartColumns;
    for (const Run& run : runs) {
      const int c = channels[run.source], h = p * d.stride + run.r - d.pad_top, length = d.w * c;
      const float* const row = h >= 0 && h < d.h ? sources[run.source] + (n * d.h + h) * length : nullptr;
      for (int i = 0; i < in_row; ++i) {
        copy_or_zero(row, length, ((q + i) * d.stride - d.pad_left) * c + run.from, run.count,
                     to + ptrdiff_t(i) * kPartColumns);
      }
      to += run.count;
    }
    done += in_row;
  }
}

void compute(const Conv2dDims& d, const BackwardWeights<float>& a, const Part& part, float* columns,
             float* sums) {
  const int row_length = d.r * d.s * d.c(), width = std::min(kPartColumns, row_length - part.column);
  const int64_t pixels = int64_t(d.n) * d.out_h() * d.out_w();
  const std::vector<Run> runs = runs_of(d, part.column);
  const bool bias = a.dbias && part.column == 0;
  float* const bias_sums = sums + ptrdiff_t(part.k_count) * kPartColumns;
  std::fill_n(columns, kBlock * kPartColumns, 0.0f);  // what lies behind the last column stays zero
  std::fill_n(bias_sums, part.k_count, 0.0f);
  for (int64_t first = 0; first < pixels; first += kBlock) {
    const int count = int(std::min<int64_t>(kBlock, pixels - first));
    const float* const dy = a.dy + first * d.k + part.k;
    gather(d, a, runs, first, count, columns);
    add_tiles(first == 0, part.k_count, lines(width), count, {dy, d.k}, {columns, kLine, kPartColumns},
              {sums, kPartColumns, kLine});
    for (int i = 0; bias && i < count; ++i) {
      for (int k = 0; k < part.k_count; ++k) bias_sums[k] += dy[ptrdiff_t(i) * d.k + k];
    }
  }
  for (int k = 0; k < part.k_count; ++k)
    std::copy_n(sums + k * kPartColumns, width, a.dw + ptrdiff_t(part.k + k) * row_length + part.column);
  if (bias) std::copy_n(bias_sums, part.k_count, a.dbias + part.k);
}

size_t workspace_bytes(CpuStream& stream, const Conv2dDims& d, ConvPass) {
  return ColumnsWorkspace(stream, d, nullptr).bytes;
}

void backward_weights(CpuStream& stream, const Conv2dDims& d, const BackwardWeights<float>& a,
                      std::byte* workspace) {
  const ColumnsWorkspace layout(stream, d, workspace);
  const Parts parts(d, stream.threads());
  parallel_uneven(stream, parts.count(), [&](int64_t i) {
    const int thread = omp_get_thread_num();
    compute(d, a, parts[int(i)], layout.columns(thread), layout.sums(thread));
  });
}

}  // namespace

const Algorithm kColumns{"columns", workspace_bytes, nullptr, nullptr, backward_weights};

}  // namespace ito::kernels::conv2d
