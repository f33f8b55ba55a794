#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "kernels/base/philox.h"
#include "kernels/base/warning.h"
#include "kernels/cuda_library.h"
#include "kernels/cuda_library/dynamic_library.h"
#include "kernels/linear.h"
#include "tests/helpers.h"
#include "tests/product_helpers.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using cuda_library::DynamicLibrary;
using simt::DeviceArray;
using tests::padded, tests::TempFolder;

namespace {

const ConvPolicy kDeterministic{.provider = Provider::library};

/// Whether the library that a case is about is there; where it is not, a line says what is skipped.
bool is_there(const char* library, bool available) {
#if defined(ITO_SIMT)
  REQUIRE(available);
#endif
  if (!available)
    std::cout << "skipped, no " << library << ": " << doctest::getContextOptions()->currentTest->m_name
              << "\n";
  return available;
}

/// Half a unit in the last place, relative.
template <class T>
constexpr double kRounding = sizeof(T) == 2 ? 0x1p-8 : 0x1p-24;

template <class T>
std::vector<T> random_values(int64_t count, uint32_t sample) {
  std::vector<T> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = T(float(random_normal({6, Purpose::test, 0, sample}, uint32_t(i))));
  return values;
}

/// An operand in f64, for the CPU's reference.
struct Wide {
  std::vector<double> values;
  explicit Wide(size_t count) : values(count) {}
  template <class T>
  explicit Wide(const std::vector<T>& narrow) : values(narrow.size()) {
    for (size_t i = 0; i < narrow.size(); ++i) values[i] = double(float(narrow[i]));
  }
  In in() const { return {values.empty() ? nullptr : values.data(), DType::f64}; }
  Out out() { return {values.empty() ? nullptr : values.data(), DType::f64}; }
};

/// The number of results farther from f64 than their rounding (times `own`) and that of a sum of `length`
/// products.
template <class T>
int wrong(const std::vector<T>& got, const Wide& expected, double own, double length) {
  double largest = 0;
  for (const double v : expected.values) largest = std::max(largest, std::abs(v));
  const double sum = (8 + 4 * std::sqrt(length)) * kRounding<float> * largest;
  int count = 0;
  for (size_t i = 0; i < got.size(); ++i)
    count += !(std::abs(double(float(got[i])) - expected.values[i]) <=
               sum + own * 1.01 * std::abs(expected.values[i]));
  return count;
}

struct Problem {
  Conv2dDims d;
  int64_t pixels() const { return int64_t(d.n) * d.h * d.w; }
  int64_t outputs() const { return int64_t(d.n) * d.out_h() * d.out_w() * d.k; }
  int64_t weights() const { return int64_t(d.k) * d.r * d.s * d.c(); }
};

template <class T>
struct ConvResults {
  std::vector<T> y, dx, dx2;
  std::vector<float> dw, dbias;
};

/// w, the same numbers for every T: they are rounded to bf16 where T is, as the kernels do with an f32 w.
template <class T>
std::vector<float> weights_of(int64_t count) {
  std::vector<float> w = random_values<float>(count, 9);
  for (float& v : w) v = float(T(v));
  return w;
}

template <class T>
ConvResults<T> run_cudnn(const Problem& p, const simt::Schedule& schedule) {
  simt::machine().set_schedule(schedule);
  const Conv2dDims& d = p.d;
  CudaStream stream;
  DeviceArray<T> x(stream, random_values<T>(p.pixels() * d.c1, 0)),
      x2(stream, random_values<T>(p.pixels() * d.c2, 1)), dy(stream, random_values<T>(p.outputs(), 2)),
      residual(stream, random_values<T>(p.outputs(), 3)),
      shift(stream, random_values<T>(int64_t(d.n) * d.k, 4));
  DeviceArray<float> w(stream, weights_of<T>(p.weights())), bias(stream, random_values<float>(d.k, 5));
  DeviceArray<T> y(stream, size_t(p.outputs())), dx(stream, size_t(p.pixels() * d.c1)),
      dx2(stream, size_t(p.pixels() * d.c2));
  DeviceArray<float> dw(stream, size_t(p.weights())), dbias(stream, size_t(d.k));
  const auto with_workspace = [&](ConvPass pass, auto run) {
    const size_t bytes = cudnn_workspace_bytes(stream, kDeterministic, d, dtype_of<T>::value, pass);
    const simt::KeepAligned here;
    DeviceArray<float> workspace(stream, bytes / 4);
    run(workspace.out());
    workspace.read();
  };
  with_workspace(ConvPass::forward, [&](Out ws) {
    cudnn_forward(stream, kDeterministic, d,
                  {.x = x.in(),
                   .x2 = x2.in(),
                   .w = w.in(),
                   .epilogue = {.bias = bias.in(), .shift = shift.in(), .residual = residual.in()},
                   .y = y.out(),
                   .workspace = ws});
  });
  with_workspace(ConvPass::backward_data, [&](Out ws) {
    cudnn_backward_data(stream, kDeterministic, d,
                        {.dy = dy.in(), .w = w.in(), .dx = dx.out(), .dx2 = dx2.out(), .workspace = ws});
  });
  with_workspace(ConvPass::backward_weights, [&](Out ws) {
    cudnn_backward_weights(
        stream, kDeterministic, d,
        {.dy = dy.in(), .x = x.in(), .x2 = x2.in(), .dw = dw.out(), .dbias = dbias.out(), .workspace = ws});
  });
  return {y.read(), dx.read(), dx2.read(), dw.read(), dbias.read()};
}

template <class T>
void check_convolution(const Conv2dDims& d) {
  INFO(d.c1, "+", d.c2, " to ", d.k, " channels, ", sizeof(T), " bytes");
  const Problem p{d};
  const ConvResults<T> got = run_cudnn<T>(p, {});
  const Wide x(random_values<T>(p.pixels() * d.c1, 0)), x2(random_values<T>(p.pixels() * d.c2, 1)),
      dy(random_values<T>(p.outputs(), 2)), residual(random_values<T>(p.outputs(), 3)),
      shift(random_values<T>(int64_t(d.n) * d.k, 4)), w(weights_of<T>(p.weights())),
      bias(random_values<float>(d.k, 5));
  Wide y(got.y.size()), dx(got.dx.size()), dx2(got.dx2.size()), dw(got.dw.size()), dbias(got.dbias.size());
  CpuStream cpu(1);
  conv2d_forward(cpu, {}, d,
                 {.x = x.in(),
                  .x2 = x2.in(),
                  .w = w.in(),
                  .epilogue = {.bias = bias.in(), .shift = shift.in(), .residual = residual.in()},
                  .y = y.out()});
  conv2d_backward_data(cpu, {}, d, {.dy = dy.in(), .w = w.in(), .dx = dx.out(), .dx2 = dx2.out()});
  conv2d_backward_weights(cpu, {}, d,
                          {.dy = dy.in(), .x = x.in(), .x2 = x2.in(), .dw = dw.out(), .dbias = dbias.out()});
  const double products = double(d.r) * d.s * d.c(), pixels = double(p.outputs()) / d.k;
  // The convolution's own sum is rounded to T before the epilogue, and may be larger than the result.
  double largest = 0;
  for (const double v : y.values) largest = std::max(largest, std::abs(v));
  int far = 0;
  for (size_t i = 0; i < got.y.size(); ++i)
    far += !(std::abs(double(float(got.y[i])) - y.values[i]) <=
             2.02 * kRounding<T> * largest + (8 + 4 * std::sqrt(products)) * kRounding<float> * largest);
  CHECK(far == 0);
  CHECK(wrong(got.dx, dx, kRounding<T>, double(d.r) * d.s * d.k) == 0);
  CHECK(wrong(got.dx2, dx2, kRounding<T>, double(d.r) * d.s * d.k) == 0);
  CHECK(wrong(got.dw, dw, kRounding<T>, pixels) == 0);
  CHECK(wrong(got.dbias, dbias, kRounding<float>, pixels) == 0);
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    const ConvResults<T> again = run_cudnn<T>(p, schedule);
    CHECK(simt::same_bits(again.y, got.y));
    CHECK(simt::same_bits(again.dx, got.dx));
    CHECK(simt::same_bits(again.dx2, got.dx2));
    CHECK(simt::same_bits(again.dw, got.dw));
    CHECK(simt::same_bits(again.dbias, got.dbias));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("cuDNN's place answers with the convolution's results", T, float, bf16) {
  if (!is_there("cuDNN", cudnn_available())) return;
  check_convolution<T>(padded({.n = 2, .h = 5, .w = 4, .c1 = 3, .k = 5, .r = 3, .s = 3}));  // single elements
  check_convolution<T>(padded({.n = 1,
                               .h = 6,
                               .w = 6,
                               .c1 = 8,
                               .c2 = 4,
                               .k = 8,
                               .r = 3,
                               .s = 3,
                               .stride = 2}));                               // two sources, packs, stride 2
  check_convolution<T>({.n = 1, .h = 4, .w = 3, .c1 = 5, .c2 = 2, .k = 4});  // two sources off the packs
  check_convolution<T>({.n = 1, .h = 53, .w = 17, .c1 = 3, .k = 40});  // sums of columns in uneven parts
  const Problem p{{.n = 1, .h = 2, .w = 3, .c1 = 8, .c2 = 8, .k = 8}};
  const ConvResults<T> aligned = run_cudnn<T>(p, {});
  simt::with_each_array_unaligned([&] {
    const ConvResults<T> got = run_cudnn<T>(p, {});
    CHECK((simt::same_bits(got.y, aligned.y) && simt::same_bits(got.dx, aligned.dx)));
    CHECK((simt::same_bits(got.dx2, aligned.dx2) && simt::same_bits(got.dw, aligned.dw)));
    CHECK(simt::same_bits(got.dbias, aligned.dbias));
  });
}

TEST_CASE("of two sources' gradients either may be left out") {
  if (!is_there("cuDNN", cudnn_available())) return;
  const Problem p{{.n = 1, .h = 3, .w = 3, .c1 = 4, .c2 = 4, .k = 4}};
  const ConvResults<float> both = run_cudnn<float>(p, {});
  CudaStream stream;
  DeviceArray<float> dy(stream, random_values<float>(p.outputs(), 2)),
      w(stream, weights_of<float>(p.weights()));
  DeviceArray<float> dx(stream, both.dx.size()), dx2(stream, both.dx2.size());
  DeviceArray<float> workspace(
      stream, cudnn_workspace_bytes(stream, kDeterministic, p.d, DType::f32, ConvPass::backward_data) / 4);
  const ConvBackwardData o{.dy = dy.in(), .w = w.in(), .workspace = workspace.out()};
  ConvBackwardData first = o, second = o;
  first.dx = dx.out(), second.dx2 = dx2.out();
  cudnn_backward_data(stream, kDeterministic, p.d, first);
  cudnn_backward_data(stream, kDeterministic, p.d, second);
  CHECK(simt::same_bits(dx.read(), both.dx));
  CHECK(simt::same_bits(dx2.read(), both.dx2));
}

TEST_CASE("what cuDNN cannot do is not asked of it") {
  if (!is_there("cuDNN", cudnn_available())) return;
  CudaStream stream;
  const Conv2dDims even = padded({.n = 1, .h = 8, .w = 8, .c1 = 4, .k = 4, .r = 3, .s = 3, .stride = 2});
  Conv2dDims uneven = even;
  CHECK(cudnn_supports(stream, even, DType::bf16, ConvPass::forward));
  for (int Conv2dDims::*side : {&Conv2dDims::pad_top, &Conv2dDims::pad_left}) {
    uneven = even;
    uneven.*side = 0;
    CHECK_FALSE(cudnn_supports(stream, uneven, DType::bf16, ConvPass::forward));
  }
  CHECK_FALSE(cudnn_supports(stream, even, DType::f64, ConvPass::forward));
  CHECK_THROWS_WITH(cudnn_workspace_bytes(stream, kDeterministic, even, DType::f64, ConvPass::forward),
                    "cudnn: f64 exists on the CPU only; on CUDA use f32 or bf16");
}

TEST_CASE_TEMPLATE("cuBLASLt's place answers with the products' results", T, float, bf16) {
  if (!is_there("cuBLASLt", cublaslt_available())) return;
  for (const LinearDims s : {LinearDims{7, 5, 3}, LinearDims{8, 12, 4}, LinearDims{900, 2, 3}}) {
    INFO(s.m, " x ", s.in, " to ", s.out);
    const int64_t m = s.m;
    CudaStream stream;
    const auto host_x = random_values<T>(m * s.in, 0), host_dy = random_values<T>(m * s.out, 1),
               host_residual = random_values<T>(m * s.out, 2);
    const auto host_w = weights_of<T>(int64_t(s.in) * s.out), host_bias = random_values<float>(s.out, 3);
    DeviceArray<T> x(stream, host_x), dy(stream, host_dy), residual(stream, host_residual),
        y(stream, host_dy.size()), bare(stream, host_dy.size()), dx(stream, host_x.size());
    DeviceArray<float> w(stream, host_w), bias(stream, host_bias), dw(stream, host_w.size()),
        dbias(stream, host_bias.size());
    size_t bytes = 0;
    for (ConvPass pass : {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weights})
      bytes = std::max(bytes, cublaslt_workspace_bytes(s, dtype_of<T>::value, pass));
    DeviceArray<float> ws(stream, bytes / 4);
    cublaslt_forward(stream, s,
                     {.x = x.in(),
                      .w = w.in(),
                      .bias = bias.in(),
                      .residual = residual.in(),
                      .y = y.out(),
                      .workspace = ws.out()});
    cublaslt_forward(stream, s, {.x = x.in(), .w = w.in(), .y = bare.out(), .workspace = ws.out()});
    cublaslt_backward_data(stream, s, {.dy = dy.in(), .w = w.in(), .dx = dx.out(), .workspace = ws.out()});
    cublaslt_backward_weights(
        stream, s, {.dy = dy.in(), .x = x.in(), .dw = dw.out(), .dbias = dbias.out(), .workspace = ws.out()});

    const Wide wide_x(host_x), wide_dy(host_dy), wide_residual(host_residual), wide_w(host_w),
        wide_bias(host_bias);
    Wide y64(host_dy.size()), bare64(host_dy.size()), dx64(host_x.size()), dw64(host_w.size()),
        dbias64(host_bias.size());
    CpuStream cpu(1);
    linear_forward(cpu, {}, s,
                   {.x = wide_x.in(),
                    .w = wide_w.in(),
                    .bias = wide_bias.in(),
                    .residual = wide_residual.in(),
                    .y = y64.out()});
    linear_forward(cpu, {}, s, {.x = wide_x.in(), .w = wide_w.in(), .y = bare64.out()});
    linear_backward_data(cpu, {}, s, {.dy = wide_dy.in(), .w = wide_w.in(), .dx = dx64.out()});
    linear_backward_weights(cpu, {}, s,
                            {.dy = wide_dy.in(), .x = wide_x.in(), .dw = dw64.out(), .dbias = dbias64.out()});
    CHECK(wrong(y.read(), y64, kRounding<T>, s.in) == 0);
    CHECK(wrong(bare.read(), bare64, kRounding<T>, s.in) == 0);
    CHECK(wrong(dx.read(), dx64, kRounding<T>, s.out) == 0);
    CHECK(wrong(dw.read(), dw64, kRounding<float>, s.m) == 0);
    CHECK(wrong(dbias.read(), dbias64, kRounding<float>, s.m) == 0);
    ws.read();
  }
}

namespace {

const Conv2dDims kShape = padded({.n = 4, .h = 64, .w = 32, .c1 = 128, .c2 = 64, .k = 64, .r = 3});
constexpr const char* kLine =
    "forward bf16 64x32 channels 128+64 to 64 filter 3x1 stride 1 padding 1 0 1 0: cudnn\n";

}  // namespace

TEST_CASE("a plan is its text") {
  ConvPlan plan;
  CHECK(plan.find(kShape, DType::bf16, ConvPass::forward) == Provider::fastest);
  plan.set(kShape, DType::bf16, ConvPass::forward, Provider::library);
  CHECK(plan.to_text() == kLine);
  plan.set(kShape, DType::f32, ConvPass::backward_data, Provider::own);
  Conv2dDims other = kShape;
  other.n = 1, other.pad_right = 3;
  plan.set(other, DType::bf16, ConvPass::backward_weights, Provider::library);
  const ConvPlan read = ConvPlan::from_text(plan.to_text());
  CHECK(read.size() == 3);
  CHECK(read.to_text() == plan.to_text());
  Conv2dDims more = kShape;
  more.n = 1000;  // the number of images makes no difference
  CHECK(read.find(more, DType::bf16, ConvPass::forward) == Provider::library);
  CHECK(read.find(more, DType::f32, ConvPass::backward_data) == Provider::own);
  CHECK(read.find(more, DType::f32, ConvPass::forward) == Provider::fastest);
  CHECK(read.find(other, DType::bf16, ConvPass::backward_weights) == Provider::library);
  CHECK(ConvPlan::from_text("").size() == 0);
  CHECK_THROWS_AS(plan.set(kShape, DType::f32, ConvPass::forward, Provider::fastest), ito::Error);
}

TEST_CASE("a plan's bad line is named") {
  const std::string good = kLine;
  const auto replaced = [&](const std::string& what, const std::string& by) {
    std::string line = good;
    return line.replace(line.find(what), what.size(), by);
  };
  for (const std::string& bad :
       {std::string("\n"), std::string("forward\n"), replaced("cudnn", "fastest"),
        replaced("cudnn", "cudnn "), replaced("forward", "backward"), replaced("bf16", "f16"),
        replaced("64x32", "64"), replaced("64x32", "99999999999999999999x32"),
        replaced("padding 1 0 1 0", "padding 1 0 1"), replaced("forward", "forwardforwardforwardforward"),
        replaced(" stride", "  stride")}) {
    CAPTURE(bad);
    std::string message;
    try {
      ConvPlan::from_text(good + bad);
    } catch (const ito::Error& e) {
      message = e.what();
    }
    CHECK(message.find("line 2 of the convolution plan") == 0);
  }
}

TEST_CASE("a shape runs on what was asked for, or on what was found faster") {
  if (!is_there("cuDNN", cudnn_available())) return;
  CudaStream stream;
  ConvPolicy policy;
  const Conv2dDims d = padded({.n = 1, .h = 4, .w = 4, .c1 = 4, .k = 4, .r = 3, .s = 3});
  int ours = 0, cudnn = 0;
  const auto provider = [&](const Conv2dDims& dims) {
    return convolution_provider(stream, policy, dims, DType::f32, ConvPass::forward,
                                [&](Provider p) { ++(p == Provider::library ? cudnn : ours); });
  };
  const auto bytes = [&](size_t of_ours) {
    return convolution_workspace_bytes(stream, policy, d, DType::bf16, ConvPass::forward, of_ours);
  };
  const size_t of_cudnn = cudnn_workspace_bytes(stream, policy, d, DType::bf16, ConvPass::forward);
  CHECK(of_cudnn > 0);  // for w in bf16

  CHECK(provider(d) == Provider::own);
  CHECK(bytes(5) == 5);
  policy.provider = Provider::library;
  CHECK(provider(d) == Provider::library);
  CHECK(bytes(1 << 20) == of_cudnn);
  Conv2dDims uneven = d;
  uneven.pad_top = 0;
  CHECK(provider(uneven) == Provider::own);
  CHECK(ours + cudnn == 0);

  policy.provider = Provider::fastest;
  CHECK(bytes(5) == of_cudnn);
  CHECK(bytes(1 << 20) == 1 << 20);
  const Provider faster = provider(d);
  CHECK(faster != Provider::fastest);
  CHECK(ours > 1);
  CHECK(cudnn == ours);
  const int runs = ours;
  Conv2dDims more = d;
  more.n = 3;
  CHECK(provider(more) == faster);
  CHECK(policy.plan.size() == 1);
  policy.plan.set(d, DType::f32, ConvPass::forward, Provider::library);
  CHECK(provider(d) == Provider::library);
  CHECK(ours == runs);
}

TEST_CASE("while a step is captured, an unknown shape runs on ours and is not timed") {
  for (Provider wanted : {Provider::fastest, Provider::library}) {
    CudaStream stream;
    ConvPolicy policy{.provider = wanted};
    const Conv2dDims d = padded({.n = 1, .h = 4, .w = 4, .c1 = 4, .k = 4, .r = 3, .s = 3});
    int runs = 0;
    stream.begin_capture();
    const Provider provider =
        convolution_provider(stream, policy, d, DType::f32, ConvPass::forward, [&](Provider) { ++runs; });
    stream.end_capture();
    CHECK(provider == Provider::own);
    CHECK(runs == 0);
    CHECK(policy.plan.size() == 0);
  }
}

namespace {

std::string warning_lines;

/// What `work` warns of, in lines.
std::string warnings(const std::function<void()>& work) {
  warning_lines.clear();
  set_warning_sink([](const std::string& line) { warning_lines += line + "\n"; });
  work();
  set_warning_sink(nullptr);
  return warning_lines;
}

}  // namespace

TEST_CASE("a missing library is reported in one line") {
  const std::string text = warnings([] {
    DynamicLibrary library("Nothing", {"libito_nothing.so.1", "libito_nothing.so"}, "all goes on without it");
    CHECK_FALSE(library);
    double (*function)(double) = nullptr;
    library.find(function, "nothing");
    CHECK_FALSE(bool(function));
  });
  CHECK(
      text ==
      "Nothing: no libito_nothing.so.1 found; all goes on without it. ITO_CUDA_LIBRARIES may name the folder "
      "that holds it.\n");
  CHECK(warnings([] {
          CHECK_FALSE(cuda_library::compiled_without("nothing.h", "Nothing", "all goes on"));
        }) == "Nothing: this program was compiled without nothing.h; all goes on.\n");
}

TEST_CASE("a library that lacks a function counts as missing") {
  const std::string text = warnings([] {
    DynamicLibrary library("Mathematics", {"libito_nothing.so", "libm.so.6"}, "we count on our fingers");
    REQUIRE(library);
    double (*function)(double) = nullptr;
    library.find(function, "cos");
    REQUIRE(bool(function));
    CHECK(function(0) == 1);
    library.find(function, "ito_no_such_function");
    CHECK_FALSE(bool(function));
    CHECK_FALSE(library);
    library.find(function, "ito_nor_this_one");
  });
  CHECK(text ==
        "Mathematics: the one found has no ito_no_such_function; we count on our fingers. ITO_CUDA_LIBRARIES "
        "may name the folder that holds it.\n");
}

TEST_CASE("the folders in ITO_CUDA_LIBRARIES are looked at first, in their order") {
  const auto is_opened = [](const char* file) {
    bool opened = false;
    warnings([&] { opened = bool(DynamicLibrary("It", {file}, "nothing")); });
    return opened;
  };
  // The C library's mathematics under a name that the system does not know.
  const TempFolder folder;
  Dl_info mathematics{};
  REQUIRE(dladdr(reinterpret_cast<const void*>(static_cast<double (*)(double)>(std::cos)), &mathematics) !=
          0);
  std::filesystem::create_symlink(mathematics.dli_fname, folder / "libito_probe.so");
  CHECK_FALSE(is_opened("libito_probe.so"));
  setenv("ITO_CUDA_LIBRARIES", folder.path().c_str(), 1);
  CHECK(is_opened("libito_probe.so"));
  CHECK(is_opened("libm.so.6"));  // the system's places still count
  const TempFolder other;
  std::filesystem::create_symlink(mathematics.dli_fname, other / "libito_second.so");
  std::ofstream(other / "libito_probe.so") << "no library";  // which is looked at after the first folder's
  for (const char* between : {":", "::", ":/nowhere:"}) {
    setenv("ITO_CUDA_LIBRARIES", cat(folder.path().string(), between, other.path().string(), ":").c_str(), 1);
    CHECK(is_opened("libito_probe.so"));
    CHECK(is_opened("libito_second.so"));
  }
  unsetenv("ITO_CUDA_LIBRARIES");
}
