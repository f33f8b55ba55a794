#include "bench/onednn_loop.h"

#ifdef HAVE_ONEDNN

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "kernels/conv2d/onednn_api.h"

namespace ito::bench {
namespace {

namespace api = kernels::conv2d::api;
using dnnl::memory;
using Arguments = std::unordered_map<int, memory>;

struct Engine {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};

  memory make(const memory::desc& desc) const {
    memory m(desc, engine);
    // Any finite numbers will do; denormals and NaN would be slower than training's.
    float* values = static_cast<float*>(m.get_data_handle());
    std::fill(values, values + desc.get_size() / sizeof(float), 0.125f);
    return m;
  }
  std::function<void()> loop(const dnnl::primitive& primitive, const Arguments& arguments) const {
    return [=, s = stream]() mutable {
      primitive.execute(s, arguments);
      s.wait();
    };
  }
};

memory::desc desc(memory::dims dims, memory::format_tag tag) {
  return {std::move(dims), memory::data_type::f32, tag};
}

std::function<void()> make_loop(const engine::ConvCall& call) {
  using tag = memory::format_tag;
  const auto& d = call.dims;
  const Engine e;
  const api::Geometry g{dnnl::algorithm::convolution_direct,
                        {d.stride, d.stride},
                        {d.pad_top, d.pad_left},
                        {d.pad_bottom, d.pad_right}};
  const auto x = desc({d.n, d.c(), d.h, d.w}, tag::nhwc), w = desc({d.k, d.c(), d.r, d.s}, tag::any);
  const auto b = desc({d.k}, tag::x), y = desc({d.n, d.k, d.out_h(), d.out_w()}, tag::nhwc);
  const auto forward = api::forward(e.engine, g, x, w, b, y, {});
  if (call.pass == kernels::ConvPass::forward)
    return e.loop(dnnl::convolution_forward(forward), {{DNNL_ARG_SRC, e.make(forward.src_desc())},
                                                       {DNNL_ARG_WEIGHTS, e.make(forward.weights_desc())},
                                                       {DNNL_ARG_BIAS, e.make(forward.bias_desc())},
                                                       {DNNL_ARG_DST, e.make(forward.dst_desc())}});
  if (call.pass == kernels::ConvPass::backward_data) {
    const auto data = api::backward_data(e.engine, g, x, w, y, forward, {});
    return e.loop(dnnl::convolution_backward_data(data), {{DNNL_ARG_DIFF_SRC, e.make(data.diff_src_desc())},
                                                          {DNNL_ARG_WEIGHTS, e.make(data.weights_desc())},
                                                          {DNNL_ARG_DIFF_DST, e.make(data.diff_dst_desc())}});
  }
  const auto weights = api::backward_weights(e.engine, g, x, w, b, y, forward, {});
  return e.loop(dnnl::convolution_backward_weights(weights),
                {{DNNL_ARG_SRC, e.make(weights.src_desc())},
                 {DNNL_ARG_DIFF_WEIGHTS, e.make(weights.diff_weights_desc())},
                 {DNNL_ARG_DIFF_BIAS, e.make(weights.diff_bias_desc())},
                 {DNNL_ARG_DIFF_DST, e.make(weights.diff_dst_desc())}});
}

}  // namespace

std::function<void()> onednn_direct(const engine::ConvCall& call) {
  try {
    return make_loop(call);
  } catch (const dnnl::error&) {
    return {};
  }
}

}  // namespace ito::bench

#else

namespace ito::bench {
std::function<void()> onednn_direct(const engine::ConvCall&) { return {}; }
}  // namespace ito::bench

#endif
