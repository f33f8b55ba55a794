// Convolution by oneDNN: f32, NHWC as it is; weights are reordered into the primitive's own layout, and
// two sources joined, inside the workspace. Primitives are made once for a shape and kept by the stream.
#ifdef HAVE_ONEDNN
#include <omp.h>

#include <array>
#include <map>
#include <vector>

#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/onednn_api.h"

namespace ito::kernels::conv2d {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

/// An array of the caller's that is a primitive's argument, or some of its channels.
struct ArgumentPart {
  memory::desc ours, theirs;  // the array itself; its place in the argument, from the argument's first byte
  dnnl::reorder reorder;
};

/// An argument of a primitive. Copied, through the workspace, where its layout is not ours or it is in two
/// pieces.
struct Argument {
  int index;
  bool result;
  memory::desc theirs;
  std::vector<ArgumentPart> pieces;
  bool copied = false;
  size_t offset = 0;
};

struct PreparedPass {
  dnnl::primitive primitive;
  std::vector<Argument> arguments;
  memory::desc scratch;
  size_t scratch_offset = 0, bytes = 0;
};

/// What the stream keeps.
struct OnednnState {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<std::array<int, 15>, PreparedPass> passes;
};

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

memory::desc activation(int n, int h, int w, int c) {
  return {{n, c, h, w}, memory::data_type::f32, Tag::nhwc};
}

/// Our layouts, and what a primitive is offered: all sources as one x, and weights as it likes.
struct Descriptors {
  memory::desc x, x1, x2, w, any_w, bias, y;
  api::Geometry geometry;

  explicit Descriptors(const Conv2dDims& d)
      : x(activation(d.n, d.h, d.w, d.c())),
        x1(activation(d.n, d.h, d.w, d.c1)),
        w({d.k, d.c(), d.r, d.s}, memory::data_type::f32, Tag::ohwi),
        any_w({d.k, d.c(), d.r, d.s}, memory::data_type::f32, Tag::any),
        bias({d.k}, memory::data_type::f32, Tag::x),
        y(activation(d.n, d.out_h(), d.out_w(), d.k)),
        geometry{dnnl::algorithm::convolution_direct,
                 {d.stride, d.stride},
                 {d.pad_top, d.pad_left},
                 {d.pad_bottom, d.pad_right}} {
    if (d.c2 > 0) x2 = activation(d.n, d.h, d.w, d.c2);
  }
};

Argument argument(const dnnl::engine& engine, int index, bool result, const memory::desc& theirs,
                  std::vector<memory::desc> ours) {
  Argument a{index, result, theirs, {}};
  a.copied = ours.size() > 1 || ours[0] != theirs;
  memory::dims offset(api::dims_of(theirs).size(), 0);
  for (const memory::desc& piece : ours) {
    const memory::desc part = theirs.submemory_desc(api::dims_of(piece), offset);
    const memory::desc &from = result ? part : piece, &to = result ? piece : part;
    a.pieces.push_back({piece, part, {}});
    if (a.copied)
      a.pieces.back().reorder = dnnl::reorder(dnnl::reorder::primitive_desc(engine, from, engine, to));
    if (offset.size() > 1) offset[1] += api::dims_of(piece)[1];
  }
  return a;
}

/// Gives the copies and the scratchpad their places in the workspace.
void lay_out(PreparedPass& prepared) {
  Carver carver(nullptr);
  for (Argument& a : prepared.arguments) {
    a.offset = carver.used();
    if (a.copied) carver.take<std::byte>(a.theirs.get_size());
  }
  prepared.scratch_offset = carver.used();
  carver.take<std::byte>(prepared.scratch.get_size());
  prepared.bytes = carver.used();
}

template <class Pd>
void set_primitive(PreparedPass& prepared, const Pd& pd) {
  prepared.primitive = dnnl::primitive(pd);
  prepared.scratch = pd.scratchpad_desc();
}

PreparedPass prepare(const dnnl::engine& engine, const Conv2dDims& d, ConvPass pass, bool bias) {
  const Descriptors t(d);
  const auto attr = user_scratchpad();
  const memory::desc bias_desc = bias ? t.bias : memory::desc();
  const std::vector<memory::desc> sources = d.c2 > 0 ? std::vector{t.x1, t.x2} : std::vector{t.x1};
  PreparedPass prepared;
  const auto add = [&](int index, bool result, const memory::desc& theirs,
                       const std::vector<memory::desc>& ours) {
    prepared.arguments.push_back(argument(engine, index, result, theirs, ours));
  };
  const bool only_forward = pass == ConvPass::forward;
  const api::ForwardPd forward =
      api::forward(engine, t.geometry, t.x, t.any_w, only_forward ? bias_desc : memory::desc(), t.y, attr);
  if (only_forward) {
    set_primitive<api::ForwardPd>(prepared, forward);
    add(DNNL_ARG_SRC, false, forward.src_desc(), sources);
    add(DNNL_ARG_WEIGHTS, false, forward.weights_desc(), {t.w});
    add(DNNL_ARG_DST, true, forward.dst_desc(), {t.y});
    if (bias) add(DNNL_ARG_BIAS, false, t.bias, {t.bias});
  } else if (pass == ConvPass::backward_data) {
    const auto pd = api::backward_data(engine, t.geometry, t.x, t.any_w, t.y, forward, attr);
    set_primitive(prepared, pd);
    add(DNNL_ARG_DIFF_DST, false, pd.diff_dst_desc(), {t.y});
    add(DNNL_ARG_WEIGHTS, false, pd.weights_desc(), {t.w});
    add(DNNL_ARG_DIFF_SRC, true, pd.diff_src_desc(), sources);
  } else {
    const auto pd = api::backward_weights(engine, t.geometry, t.x, t.any_w, bias_desc, t.y, forward, attr);
    set_primitive(prepared, pd);
    add(DNNL_ARG_DIFF_DST, false, pd.diff_dst_desc(), {t.y});
    add(DNNL_ARG_SRC, false, pd.src_desc(), sources);
    add(DNNL_ARG_DIFF_WEIGHTS, true, pd.diff_weights_desc(), {t.w});
    if (bias) add(DNNL_ARG_DIFF_BIAS, true, t.bias, {t.bias});
  }
  lay_out(prepared);
  return prepared;
}

PreparedPass& prepared_pass(CpuStream& stream, const Conv2dDims& d, ConvPass pass, bool bias) {
  // A primitive is made for, and must run on, as many threads as OpenMP would give.
  omp_set_num_threads(stream.threads());
  OnednnState& state = stream.state<OnednnState>();
  const std::array<int, 15> key{d.n,        d.h,          d.w,         d.c1,      d.c2,
                                d.k,        d.r,          d.s,         d.stride,  d.pad_top,
                                d.pad_left, d.pad_bottom, d.pad_right, int(pass), bias};
  const auto found = state.passes.find(key);
  if (found != state.passes.end()) return found->second;
  return state.passes.emplace(key, prepare(state.engine, d, pass, bias)).first->second;
}

/// Copies in what needs it, runs, copies out. `pointers`: the pieces of all arguments, in their order in the
/// pass; a null result is not wanted.
void run(OnednnState& state, const PreparedPass& prepared, const std::vector<const float*>& pointers,
         std::byte* workspace) {
  const auto bind = [&](const memory::desc& desc, const void* at) {
    return memory(desc, state.engine, const_cast<void*>(at));
  };
  std::unordered_map<int, memory> bound{
      {DNNL_ARG_SCRATCHPAD, bind(prepared.scratch, workspace + prepared.scratch_offset)}};
  const auto copy = [&](bool results) {
    size_t next = 0;
    for (const Argument& a : prepared.arguments) {
      for (const ArgumentPart& piece : a.pieces) {
        const float* const ours = pointers[next++];
        if (!a.copied || a.result != results || !ours) continue;
        memory from = bind(piece.ours, ours), to = bind(piece.theirs, workspace + a.offset);
        if (results) std::swap(from, to);
        piece.reorder.execute(state.stream, from, to);
      }
    }
  };
  copy(false);
  size_t next = 0;
  for (const Argument& a : prepared.arguments) {
    const void* const at = a.copied ? static_cast<const void*>(workspace + a.offset) : pointers[next];
    bound.emplace(a.index, bind(a.theirs, at));
    next += a.pieces.size();
  }
  prepared.primitive.execute(state.stream, bound);
  copy(true);
  state.stream.wait();
}

/// With a bias, which may need more than without.
size_t workspace_bytes(CpuStream& stream, const Conv2dDims& d, ConvPass pass) {
  const bool bias_matters = pass != ConvPass::backward_data;
  const size_t plain = prepared_pass(stream, d, pass, false).bytes;
  return bias_matters ? std::max(plain, prepared_pass(stream, d, pass, true).bytes) : plain;
}

std::vector<const float*> list(std::initializer_list<const float*> pieces, const Conv2dDims& d,
                               size_t second_source, const float* bias) {
  std::vector<const float*> all(pieces);
  if (d.c2 == 0) all.erase(all.begin() + second_source);
  if (bias) all.push_back(bias);
  return all;
}

void forward(CpuStream& stream, const Conv2dDims& d, const Forward<float>& a, std::byte* workspace) {
  const PreparedPass& prepared = prepared_pass(stream, d, ConvPass::forward, a.bias != nullptr);
  run(stream.state<OnednnState>(), prepared, list({a.x, a.x2, a.w, a.y}, d, 1, a.bias), workspace);
}

void backward_data(CpuStream& stream, const Conv2dDims& d, const BackwardData<float>& a,
                   std::byte* workspace) {
  const PreparedPass& prepared = prepared_pass(stream, d, ConvPass::backward_data, false);
  run(stream.state<OnednnState>(), prepared, list({a.dy, a.w, a.dx, a.dx2}, d, 3, nullptr), workspace);
}

void backward_weights(CpuStream& stream, const Conv2dDims& d, const BackwardWeights<float>& a,
                      std::byte* workspace) {
  const PreparedPass& prepared = prepared_pass(stream, d, ConvPass::backward_weights, a.dbias != nullptr);
  run(stream.state<OnednnState>(), prepared, list({a.dy, a.x, a.x2, a.dw}, d, 2, a.dbias), workspace);
}

}  // namespace

const Algorithm kOneDnnDirect{"onednn direct", workspace_bytes, forward, backward_data, backward_weights};

}  // namespace ito::kernels::conv2d
#endif  // HAVE_ONEDNN
