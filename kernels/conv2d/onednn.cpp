// The passes that map images to images by oneDNN's direct convolution: f32, NHWC as it is. The library may divide a
// sum, or choose its order, by the number of threads and of images. So it is asked for one image, or a band of its
// rows, on one thread, and threads take images and bands. Primitives are made once for a shape and kept by the stream.
#ifdef HAVE_ONEDNN
#include <omp.h>

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>
#include <vector>

#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/onednn_api.h"
#include "kernels/conv2d/pass.h"
#include "kernels/parallel.h"

namespace ito::kernels::conv2d {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

/// Operations of a band: large against the microseconds that a call costs. And the most bands of an image.
constexpr double kBandOperations = 16e6;
constexpr int kMostBands = 8;

/// While it lives, oneDNN uses as many threads: a primitive must run on the number that it was made for.
class LibraryThreads {
 public:
  explicit LibraryThreads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
  ~LibraryThreads() { omp_set_num_threads(before_); }
  LibraryThreads(const LibraryThreads&) = delete;
  LibraryThreads& operator=(const LibraryThreads&) = delete;

 private:
  int before_;
};

/// A convolution of one image that computes some rows of the result of a larger one: its first rows there, counted
/// as a pass reads and writes them.
struct BandDims {
  Conv2dDims dims;
  int first_in, first_out;  // of x, or dx; of y, or dy
};

/// Rows [first, last) of y.
BandDims forward_band(const Conv2dDims& d, int first, int last) {
  const int begin = first * d.stride - d.pad_top, end = (last - 1) * d.stride - d.pad_top + d.r;
  BandDims band{d, std::max(begin, 0), first};
  band.dims.n = 1, band.dims.h = std::min(end, d.h) - band.first_in;
  band.dims.pad_top = band.first_in - begin, band.dims.pad_bottom = std::max(end - d.h, 0);
  return band;
}

/// Rows [first, last) of dx, from the rows of dy whose windows meet them.
BandDims backward_band(const Conv2dDims& d, int first, int last) {
  const int low = std::max(div_up(std::max(first + d.pad_top - d.r + 1, 0), d.stride), 0);
  const int high = std::min((last - 1 + d.pad_top) / d.stride, d.out_h() - 1);
  BandDims band{d, first, low};
  band.dims.n = 1, band.dims.h = last - first, band.dims.pad_top = first + d.pad_top - low * d.stride;
  band.dims.pad_bottom = std::max(high * d.stride - d.pad_top + d.r - last, 0);
  return band;
}

/// The bands of an image: a function of the shape without N.
std::vector<BandDims> bands_of(const Conv2dDims& d, ConvPass pass) {
  const bool forward = pass == ConvPass::forward;
  const int rows = forward ? d.out_h() : d.h;
  const double operations = 2.0 * d.out_h() * d.out_w() * d.k * d.r * d.s * d.c();
  int count = int(std::clamp(operations / kBandOperations, 1.0, double(kMostBands)));
  // Each band has windows, and rows that they meet.
  if (d.pad_top >= d.r || d.pad_bottom >= d.r || d.r < d.stride || rows < 2 * d.stride * count) count = 1;
  std::vector<BandDims> bands;
  for (int i = 0; i < count; ++i) {
    const int first = rows * i / count, last = rows * (i + 1) / count;
    bands.push_back(forward ? forward_band(d, first, last) : backward_band(d, first, last));
  }
  return bands;
}

/// Weights in a layout that a primitive likes. Copied, through the workspace, where it is not ours.
struct WeightsCopy {
  memory::desc theirs;
  dnnl::reorder reorder;
  bool copied;
  size_t offset = 0;
};

struct PreparedBand {
  BandDims rows;
  dnnl::primitive primitive;
  memory::desc x, y, scratch;
  size_t weights;  // which copy
};

/// All bands of a pass. A thread's part of the workspace: a joined x, where there are two sources, and scratch.
struct PreparedPass {
  memory::desc weights, bias;
  std::vector<WeightsCopy> copies;
  std::vector<PreparedBand> bands;
  size_t shared = 0, joined = 0, share = 0;  // bytes: of the copies, of a joined x, of a thread's part
  size_t bytes(int threads) const { return shared + size_t(threads) * share; }
};

/// What the stream keeps.
struct OnednnState {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  std::vector<dnnl::stream> streams;  // one a thread
  std::map<std::array<int, 14>, PreparedPass> passes;
};

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

memory::desc activation(int h, int w, int c) { return {{1, c, h, w}, memory::data_type::f32, Tag::nhwc}; }

memory::desc filters(const Conv2dDims& d, Tag tag) {
  return {{d.k, d.c(), d.r, d.s}, memory::data_type::f32, tag};
}

/// Adds a copy of the weights in the layout `theirs`, unless there is one. Returns which it is.
size_t copy_for(const dnnl::engine& engine, PreparedPass& prepared, const memory::desc& theirs) {
  for (size_t i = 0; i < prepared.copies.size(); ++i)
    if (prepared.copies[i].theirs == theirs) return i;
  const bool copied = theirs != prepared.weights;
  prepared.copies.push_back({theirs, {}, copied});
  if (copied)
    prepared.copies.back().reorder =
        dnnl::reorder(dnnl::reorder::primitive_desc(engine, prepared.weights, engine, theirs));
  return prepared.copies.size() - 1;
}

void add_band(const dnnl::engine& engine, const BandDims& rows, ConvPass pass, PreparedPass& prepared) {
  const LibraryThreads one(1);
  const Conv2dDims& d = rows.dims;
  const bool only_forward = pass == ConvPass::forward;
  const memory::desc x = activation(d.h, d.w, d.c()), y = activation(d.out_h(), d.out_w(), d.k),
                     w = filters(d, Tag::any), bias = only_forward ? prepared.bias : memory::desc();
  const api::Geometry geometry{dnnl::algorithm::convolution_direct,
                               {d.stride, d.stride},
                               {d.pad_top, d.pad_left},
                               {d.pad_bottom, d.pad_right}};
  const auto attr = user_scratchpad();
  const api::ForwardPd forward = api::forward(engine, geometry, x, w, bias, y, attr);
  const auto add = [&](const auto& pd) {
    prepared.bands.push_back({rows, dnnl::primitive(pd), x, y, pd.scratchpad_desc(),
                              copy_for(engine, prepared, pd.weights_desc())});
  };
  if (only_forward)
    add(forward);
  else
    add(api::backward_data(engine, geometry, x, w, y, forward, attr));
}

/// Gives the copies and the threads' parts their places in the workspace.
void lay_out(const Conv2dDims& d, PreparedPass& prepared) {
  Carver shared(nullptr);
  for (WeightsCopy& copy : prepared.copies) {
    copy.offset = shared.used();
    if (copy.copied) shared.take<std::byte>(copy.theirs.get_size());
  }
  prepared.shared = shared.used();
  size_t joined = 0, scratch = 0;
  for (const PreparedBand& band : prepared.bands) {
    if (d.c2 > 0) joined = std::max(joined, band.x.get_size());
    scratch = std::max(scratch, band.scratch.get_size());
  }
  prepared.joined = align_up(joined, kAlign), prepared.share = prepared.joined + align_up(scratch, kAlign);
}

PreparedPass prepare(const dnnl::engine& engine, const Conv2dDims& d, ConvPass pass, bool bias) {
  PreparedPass prepared;
  prepared.weights = filters(d, Tag::ohwi);
  if (bias) prepared.bias = {{d.k}, memory::data_type::f32, Tag::x};
  for (const BandDims& rows : bands_of(d, pass)) add_band(engine, rows, pass, prepared);
  lay_out(d, prepared);
  return prepared;
}

PreparedPass& prepared_pass(CpuStream& stream, const Conv2dDims& d, ConvPass pass, bool bias) {
  const LibraryThreads all(stream.threads());  // that reorder weights, which sums nothing
  OnednnState& state = stream.state<OnednnState>();
  while (int(state.streams.size()) < stream.threads()) state.streams.emplace_back(state.engine);
  const std::array<int, 14> key{d.h,      d.w,       d.c1,       d.c2,         d.k,         d.r,       d.s,
                                d.stride, d.pad_top, d.pad_left, d.pad_bottom, d.pad_right, int(pass), bias};
  const auto found = state.passes.find(key);
  if (found != state.passes.end()) return found->second;
  return state.passes.emplace(key, prepare(state.engine, d, pass, bias)).first->second;
}

/// Sources and results of a pass over images, whichever it is.
struct Images {
  Source x[2];
  float* dx[2];
  const float *w, *bias, *dy;
  float* y;
};

/// The channels of `count` pixels of both sources, side by side.
void join(const Source (&sources)[2], ptrdiff_t pixel, ptrdiff_t count, float* to) {
  for (ptrdiff_t i = pixel; i < pixel + count; ++i) {
    for (const Source& source : sources) {
      std::copy_n(source.data + i * source.channels, source.channels, to);
      to += source.channels;
    }
  }
}

/// What a joined dx holds of each source that is wanted.
void divide(const Images& a, const float* from, ptrdiff_t pixel, ptrdiff_t count) {
  for (ptrdiff_t i = pixel; i < pixel + count; ++i) {
    for (int source = 0; source < 2; ++source) {
      const int channels = a.x[source].channels;
      if (a.dx[source]) std::copy_n(from, channels, a.dx[source] + i * channels);
      from += channels;
    }
  }
}

/// A band's primitive with its arguments, which are made once for the images of a thread.
struct BoundBand {
  const PreparedBand* band = nullptr;
  memory x, y;
  std::unordered_map<int, memory> arguments;
};

/// What the bands of a call share.
struct Call {
  const OnednnState& state;
  const Conv2dDims& dims;
  const PreparedPass& prepared;
  const Images& images;
  std::byte* workspace;
};

BoundBand bind_band(const Call& call, const PreparedBand& band, std::byte* share) {
  const auto bind = [&](const memory::desc& desc, const void* at) {
    return memory(desc, call.state.engine, const_cast<void*>(at));
  };
  const Images& a = call.images;
  const WeightsCopy& copy = call.prepared.copies[band.weights];
  const void* const weights = copy.copied ? static_cast<const void*>(call.workspace + copy.offset) : a.w;
  BoundBand bound{&band, bind(band.x, share), bind(band.y, nullptr), {}};
  bound.arguments = {{DNNL_ARG_SCRATCHPAD, bind(band.scratch, share + call.prepared.joined)},
                     {DNNL_ARG_WEIGHTS, bind(copy.theirs, weights)},
                     {a.y ? DNNL_ARG_SRC : DNNL_ARG_DIFF_SRC, bound.x},
                     {a.y ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, bound.y}};
  if (a.bias) bound.arguments.emplace(DNNL_ARG_BIAS, bind(call.prepared.bias, a.bias));
  return bound;
}

/// A band of image n on the calling thread. `bound`: what the thread ran last.
void run_band(const Call& call, const PreparedBand& band, int n, BoundBand& bound) {
  const LibraryThreads one(1);
  const int thread = omp_get_thread_num();
  std::byte* const share = call.workspace + call.prepared.shared + size_t(thread) * call.prepared.share;
  if (bound.band != &band) bound = bind_band(call, band, share);
  const Conv2dDims& d = call.dims;
  const Images& a = call.images;
  const ptrdiff_t pixel = (ptrdiff_t(n) * d.h + band.rows.first_in) * d.w;
  const ptrdiff_t count = ptrdiff_t(band.rows.dims.h) * d.w;
  const ptrdiff_t out = (ptrdiff_t(n) * d.out_h() + band.rows.first_out) * d.out_w() * d.k;
  float* const joined = reinterpret_cast<float*>(share);
  if (a.y && d.c2 > 0) join(a.x, pixel, count, joined);
  if (d.c2 == 0) bound.x.set_data_handle(const_cast<float*>(a.y ? a.x[0].data : a.dx[0]) + pixel * d.c1);
  bound.y.set_data_handle(const_cast<float*>(a.y ? a.y : a.dy) + out);
  band.primitive.execute(call.state.streams[size_t(thread)], bound.arguments);
  if (!a.y && d.c2 > 0) divide(a, joined, pixel, count);
}

void run(CpuStream& stream, const Conv2dDims& d, PreparedPass& prepared, const Images& a,
         std::byte* workspace) {
  OnednnState& state = stream.state<OnednnState>();
  for (WeightsCopy& copy : prepared.copies) {
    if (!copy.copied) continue;
    const LibraryThreads all(stream.threads());
    memory from(prepared.weights, state.engine, const_cast<float*>(a.w));
    memory to(copy.theirs, state.engine, workspace + copy.offset);
    copy.reorder.execute(state.streams[0], from, to);
  }
  const Call call{state, d, prepared, a, workspace};
  std::vector<BoundBand> bound(size_t(stream.threads()));
  parallel_each(stream, int64_t(prepared.bands.size()) * d.n, [&](int64_t i) {
    run_band(call, prepared.bands[size_t(i / d.n)], int(i % d.n), bound[size_t(omp_get_thread_num())]);
  });
}

/// With a bias, which may need more than without.
size_t workspace_bytes(CpuStream& stream, const Conv2dDims& d, ConvPass pass) {
  const size_t plain = prepared_pass(stream, d, pass, false).bytes(stream.threads());
  if (pass != ConvPass::forward) return plain;
  return std::max(plain, prepared_pass(stream, d, pass, true).bytes(stream.threads()));
}

void forward(CpuStream& stream, const Conv2dDims& d, const Forward<float>& a, std::byte* workspace) {
  run(stream, d, prepared_pass(stream, d, ConvPass::forward, a.bias != nullptr),
      {{{a.x, d.c1}, {a.x2, d.c2}}, {}, a.w, a.bias, nullptr, a.y}, workspace);
}

void backward_data(CpuStream& stream, const Conv2dDims& d, const BackwardData<float>& a,
                   std::byte* workspace) {
  run(stream, d, prepared_pass(stream, d, ConvPass::backward_data, false),
      {{{nullptr, d.c1}, {nullptr, d.c2}}, {a.dx, a.dx2}, a.w, nullptr, a.dy, nullptr}, workspace);
}

}  // namespace

const Algorithm kOneDnnDirect{"onednn direct", workspace_bytes, forward, backward_data, nullptr};

}  // namespace ito::kernels::conv2d
#endif  // HAVE_ONEDNN
