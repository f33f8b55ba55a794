// What kernels/conv2d.h declares: checks, the choice of an algorithm, and bf16 by way of f32.
#include "kernels/conv2d.h"

#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/checks.h"
#include "kernels/conv2d/vec.h"

namespace ito::kernels {
namespace {

using namespace conv2d;

/// Winograd handles channels in lines of 16; where more than half of its products would be with padding, the
/// direct convolution is faster.
bool winograd_pays(const Conv2dDims& d, ConvPass pass) {
  const bool same_size = d.pad_top == 1 && d.pad_left == 1 && d.pad_bottom == 1 && d.pad_right == 1;
  if (d.r != 3 || d.s != 3 || d.stride != 1 || !same_size) return false;
  const double c_filled = d.c() / (16.0 * (lines(d.c1) + lines(d.c2))), k_filled = d.k / (16.0 * lines(d.k));
  const double filled = pass == ConvPass::forward         ? c_filled
                        : pass == ConvPass::backward_data ? k_filled
                                                          : c_filled * k_filled;
  return filled > 0.5;
}

bool is_pointwise(const Conv2dDims& d) {
  const bool padded = d.pad_top || d.pad_left || d.pad_bottom || d.pad_right;
  return d.r == 1 && d.s == 1 && d.stride == 1 && !padded;
}

/// A fixed function of the policy and the shape without N, so that an image's bits never depend on its batch.
const Algorithm& algorithm_for(const ConvPolicy& policy, const Conv2dDims& d, ConvPass pass) {
  if (policy.comparison.winograd && winograd_pays(d, pass)) return kWinograd;
  if (pass == ConvPass::backward_weights) return kColumns;
#ifdef HAVE_ONEDNN
  // With one source oneDNN's own 1x1 is as good, except for a linear layer, whose images are of one pixel.
  return is_pointwise(d) && (d.c2 > 0 || d.h * d.w == 1) ? kPointwise : kOneDnnDirect;
#else
  return is_pointwise(d) ? kPointwise : kStrips;
#endif
}

size_t count_x(const Conv2dDims& d) { return size_t(d.n) * d.h * d.w * d.c1; }
size_t count_x2(const Conv2dDims& d) { return size_t(d.n) * d.h * d.w * d.c2; }
size_t count_y(const Conv2dDims& d) { return size_t(d.n) * d.out_h() * d.out_w() * d.k; }

/// f32 stand-ins for bf16 operands, cut from the front of the workspace; `rest` is the algorithm's own.
struct Emulated {
  float *x = nullptr, *x2 = nullptr, *y = nullptr;
  std::byte* rest = nullptr;
  size_t bytes = 0;

  Emulated(const Conv2dDims& d, DType dtype, std::byte* workspace) : rest(workspace) {
    if (dtype != DType::bf16) return;
    Carver carver(workspace);
    x = carver.take<float>(count_x(d));
    x2 = carver.take<float>(count_x2(d));
    y = carver.take<float>(count_y(d));
    bytes = carver.used();
    rest = workspace ? workspace + bytes : nullptr;
  }
};

template <class To, class From>
void convert(CpuStream& stream, const From* from, To* to, size_t count) {
#pragma omp parallel for simd num_threads(stream.threads())
  for (size_t i = 0; i < count; ++i) to[i] = To(float(from[i]));
}

/// The operand as f32: itself, or converted into its stand-in.
const float* widen(CpuStream& stream, In operand, float* stand_in, size_t count) {
  if (!operand || operand.dtype != DType::bf16) return operand.as<float>();
  convert(stream, operand.as<bf16>(), stand_in, count);
  return stand_in;
}

/// Where to compute a result: in place, or in its stand-in, which `narrow` then rounds.
float* widened(Out result, float* stand_in) {
  return !result || result.dtype != DType::bf16 ? result.as<float>() : stand_in;
}
void narrow(CpuStream& stream, const float* stand_in, Out result, size_t count) {
  if (result && result.dtype == DType::bf16) convert(stream, stand_in, result.as<bf16>(), count);
}

/// Adds shift and residual to y's sums; the bias is already there.
template <class A, class T>
void add_epilogue(CpuStream& stream, const Conv2dDims& d, const ConvEpilogue& e, A* y) {
  if (!e.shift && !e.residual) return;
  const T *shift = e.shift.as<T>(), *residual = e.residual.as<T>();
  const int64_t pixels = int64_t(d.out_h()) * d.out_w();
#pragma omp parallel for num_threads(stream.threads())
  for (int64_t p = 0; p < d.n * pixels; ++p) {
    A* __restrict to = y + p * d.k;
    if (shift) {
      const T* s = shift + p / pixels * d.k;
      for (int k = 0; k < d.k; ++k) to[k] += A(s[k]);
    }
    if (residual) {
      const T* r = residual + p * d.k;
      for (int k = 0; k < d.k; ++k) to[k] += A(r[k]);
    }
  }
}

std::byte* checked(CpuStream& stream, const ConvPolicy& policy, const Conv2dDims& d, DType dtype,
                   ConvPass pass, Out workspace) {
  check_dims(d);
  return check_workspace(d, conv2d_workspace_bytes(stream, policy, d, dtype, pass), workspace);
}

}  // namespace

size_t conv2d_workspace_bytes(CpuStream& stream, const ConvPolicy& policy, const Conv2dDims& d, DType dtype,
                              ConvPass pass) {
  check_dims(d);
  if (dtype == DType::f64) return 0;
  return Emulated(d, dtype, nullptr).bytes + algorithm_for(policy, d, pass).workspace_bytes(stream, d, pass);
}

const char* conv2d_algorithm(const ConvPolicy& policy, const Conv2dDims& d, DType dtype, ConvPass pass) {
  check_dims(d);
  return dtype == DType::f64 ? "reference" : algorithm_for(policy, d, pass).name;
}

void conv2d_forward(CpuStream& stream, const ConvPolicy& policy, const Conv2dDims& d, const ConvForward& o) {
  const ConvPass pass = ConvPass::forward;
  std::byte* const scratch = checked(stream, policy, d, o.x.dtype, pass, o.workspace);
  check_sources(d, bool(o.x2));
  check_dtypes({o.x, o.x2, o.y, o.epilogue.shift, o.epilogue.residual});
  if (o.x.dtype == DType::f64) {
    reference_forward(stream, d,
                      {.x = o.x.as<double>(),
                       .x2 = o.x2.as<double>(),
                       .w = o.w.as<double>(),
                       .bias = o.epilogue.bias.as<double>(),
                       .y = o.y.as<double>()});
    return add_epilogue<double, double>(stream, d, o.epilogue, o.y.as<double>());
  }
  const Emulated f32(d, o.x.dtype, scratch);
  const Forward<float> args{.x = widen(stream, o.x, f32.x, count_x(d)),
                            .x2 = widen(stream, o.x2, f32.x2, count_x2(d)),
                            .w = o.w.as<float>(),
                            .bias = o.epilogue.bias.as<float>(),
                            .y = widened(o.y, f32.y)};
  algorithm_for(policy, d, pass).forward(stream, d, args, f32.rest);
  if (o.x.dtype == DType::bf16)
    add_epilogue<float, bf16>(stream, d, o.epilogue, args.y);
  else
    add_epilogue<float, float>(stream, d, o.epilogue, args.y);
  narrow(stream, f32.y, o.y, count_y(d));
}

void conv2d_backward_data(CpuStream& stream, const ConvPolicy& policy, const Conv2dDims& d,
                          const ConvBackwardData& o) {
  const ConvPass pass = ConvPass::backward_data;
  std::byte* const scratch = checked(stream, policy, d, o.dy.dtype, pass, o.workspace);
  if (o.dx2) check_sources(d, true);
  if (!o.dx && !o.dx2) return;
  check_dtypes({o.dy, o.dx, o.dx2});
  if (o.dy.dtype == DType::f64) {
    return reference_backward_data(
        stream, d,
        {.dy = o.dy.as<double>(), .w = o.w.as<double>(), .dx = o.dx.as<double>(), .dx2 = o.dx2.as<double>()});
  }
  const Emulated f32(d, o.dy.dtype, scratch);
  const BackwardData<float> args{.dy = widen(stream, o.dy, f32.y, count_y(d)),
                                 .w = o.w.as<float>(),
                                 .dx = widened(o.dx, f32.x),
                                 .dx2 = widened(o.dx2, f32.x2)};
  algorithm_for(policy, d, pass).backward_data(stream, d, args, f32.rest);
  narrow(stream, f32.x, o.dx, count_x(d));
  narrow(stream, f32.x2, o.dx2, count_x2(d));
}

void conv2d_backward_weights(CpuStream& stream, const ConvPolicy& policy, const Conv2dDims& d,
                             const ConvBackwardWeights& o) {
  const ConvPass pass = ConvPass::backward_weights;
  std::byte* const scratch = checked(stream, policy, d, o.x.dtype, pass, o.workspace);
  check_sources(d, bool(o.x2));
  check_dtypes({o.x, o.x2, o.dy});
  if (o.x.dtype == DType::f64) {
    return reference_backward_weights(stream, d,
                                      {.dy = o.dy.as<double>(),
                                       .x = o.x.as<double>(),
                                       .x2 = o.x2.as<double>(),
                                       .dw = o.dw.as<double>(),
                                       .dbias = o.dbias.as<double>()});
  }
  const Emulated f32(d, o.x.dtype, scratch);
  const BackwardWeights<float> args{.dy = widen(stream, o.dy, f32.y, count_y(d)),
                                    .x = widen(stream, o.x, f32.x, count_x(d)),
                                    .x2 = widen(stream, o.x2, f32.x2, count_x2(d)),
                                    .dw = o.dw.as<float>(),
                                    .dbias = o.dbias.as<float>()};
  algorithm_for(policy, d, pass).backward_weights(stream, d, args, f32.rest);
}

}  // namespace ito::kernels
