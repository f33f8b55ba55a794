#include "bench/onednn_loop.h"

#ifdef HAVE_ONEDNN

#include <algorithm>
#include <chrono>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "kernels/conv2d/onednn_api.h"

namespace ito::bench {
namespace {

namespace api = kernels::conv2d::api;
using dnnl::memory;
using Arguments = std::unordered_map<int, memory>;

struct Loop {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};

  memory make(const memory::desc& desc) const {
    memory m(desc, engine);
    // Any finite numbers will do; denormals and NaN would be slower than training's.
    float* values = static_cast<float*>(m.get_data_handle());
    std::fill(values, values + desc.get_size() / sizeof(float), 0.125f);
    return m;
  }
  double time(const dnnl::primitive& primitive, const Arguments& arguments, int repeats) const {
    std::vector<double> seconds;
    dnnl::stream s = stream;
    for (int i = 0; i <= repeats; ++i) {
      const auto before = std::chrono::steady_clock::now();
      primitive.execute(s, arguments);
      s.wait();
      if (i)
        seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count());
    }
    std::nth_element(seconds.begin(), seconds.begin() + std::ptrdiff_t(seconds.size() / 2), seconds.end());
    return seconds[seconds.size() / 2];
  }
};

memory::desc desc(memory::dims dims, memory::format_tag tag) {
  return {std::move(dims), memory::data_type::f32, tag};
}

double time_pass(const engine::ConvCall& call, int repeats) {
  using tag = memory::format_tag;
  const auto& d = call.dims;
  const Loop loop;
  const api::Geometry g{dnnl::algorithm::convolution_direct,
                        {d.stride, d.stride},
                        {d.pad_top, d.pad_left},
                        {d.pad_bottom, d.pad_right}};
  const auto x = desc({d.n, d.c(), d.h, d.w}, tag::nhwc), w = desc({d.k, d.c(), d.r, d.s}, tag::any);
  const auto b = desc({d.k}, tag::x), y = desc({d.n, d.k, d.out_h(), d.out_w()}, tag::nhwc);
  const auto forward = api::forward(loop.engine, g, x, w, b, y, {});
  if (call.pass == kernels::ConvPass::forward)
    return loop.time(dnnl::convolution_forward(forward),
                     {{DNNL_ARG_SRC, loop.make(forward.src_desc())},
                      {DNNL_ARG_WEIGHTS, loop.make(forward.weights_desc())},
                      {DNNL_ARG_BIAS, loop.make(forward.bias_desc())},
                      {DNNL_ARG_DST, loop.make(forward.dst_desc())}},
                     repeats);
  if (call.pass == kernels::ConvPass::backward_data) {
    const auto data = api::backward_data(loop.engine, g, x, w, y, forward, {});
    return loop.time(dnnl::convolution_backward_data(data),
                     {{DNNL_ARG_DIFF_SRC, loop.make(data.diff_src_desc())},
                      {DNNL_ARG_WEIGHTS, loop.make(data.weights_desc())},
                      {DNNL_ARG_DIFF_DST, loop.make(data.diff_dst_desc())}},
                     repeats);
  }
  const auto weights = api::backward_weights(loop.engine, g, x, w, b, y, forward, {});
  return loop.time(dnnl::convolution_backward_weights(weights),
                   {{DNNL_ARG_SRC, loop.make(weights.src_desc())},
                    {DNNL_ARG_DIFF_WEIGHTS, loop.make(weights.diff_weights_desc())},
                    {DNNL_ARG_DIFF_BIAS, loop.make(weights.diff_bias_desc())},
                    {DNNL_ARG_DIFF_DST, loop.make(weights.diff_dst_desc())}},
                   repeats);
}

}  // namespace

double onednn_direct_time(const engine::ConvCall& call, int repeats) {
  try {
    return time_pass(call, repeats);
  } catch (const dnnl::error&) {
    return 0;
  }
}

}  // namespace ito::bench

#else

namespace ito::bench {
double onednn_direct_time(const engine::ConvCall&, int) { return 0; }
}  // namespace ito::bench

#endif
