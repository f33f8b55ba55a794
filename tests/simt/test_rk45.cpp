#include <doctest/doctest.h>

#include "tests/rk45_problem.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;
using simt::normals;
using simt::under_all_schedules;
using test::kSlopes;
using test::Rk45Setting;

namespace {

struct Case {
  int n, per_image;
  bool guided = false, limits = false;
  size_t offset = 0;  // elements off the alignment of 16 bytes
};

/// Everything that a first slope, five more and the end of a step leave behind, on one stream: x, at, slopes, each
/// network's next input and condition, and the numbers of states and levels.
template <class F, class Next, class Stream>
std::vector<float> step(Stream& stream, const Case& c, auto make, auto read) {
  Rk45Setting setting(c.n, c.per_image, 0.4);
  const size_t count = setting.count(), n = size_t(c.n), guided = c.guided ? 1 : 0;
  std::vector<float> limits;
  for (int i = 0; c.limits && i < c.n; ++i) limits.push_back(i % 2 ? 2.5f : 1.0f);
  auto x = make(normals<float>(count, 1)), at = make(normals<float>(count, 2)),
       slopes = make(normals<float>(count * kSlopes, 3)), limit = make(limits);
  auto f = make(normals<F>(count, 4)), guide_f = make(normals<F>(guided * count, 5));
  auto next = make(normals<Next>(count, 6)), guide_next = make(normals<Next>(guided * count, 7));
  auto c_noise = make(std::vector<float>(n)), guide_c_noise = make(std::vector<float>(guided * n));
  auto states = make(setting.states);
  auto levels = make(setting.levels), table = make(setting.table);
  const Rk45Operands o{.x = x->out(),
                       .at = at->out(),
                       .slopes = slopes->out(),
                       .network = {f->in(), next->out(), c_noise->out()},
                       .guide = {guide_f->in(), guide_next->out(), guide_c_noise->out()},
                       .limit = limit->in(),
                       .states = states->data(),
                       .levels = levels->data()};
  for (int slope = 1; slope < kSlopes; ++slope) rk45_slope(stream, setting.dims, slope, o);
  rk45_error(stream, setting.dims, setting.table_of(table->data()), o);
  rk45_accept(stream, setting.dims, o);
  std::vector<float> all;
  const auto append = [&](const auto& values) {
    for (const auto& v : values) all.push_back(float(v));
  };
  append(read(*x)), append(read(*at)), append(read(*slopes)), append(read(*next)), append(read(*guide_next));
  append(read(*c_noise)), append(read(*guide_c_noise));
  for (const Rk45State& s : read(*states))
    append(std::vector<double>{s.sigma, s.step, double(s.verdict), double(s.tries)});
  for (const Rk45Level& l : read(*levels))
    append(std::vector<float>{l.network.skip, l.network.out, l.network.next_scale, l.guide.next_c_noise,
                              l.guidance, l.sigma});
  return all;
}

template <class F, class Next>
std::vector<float> on_cuda(const Case& c) {
  CudaStream stream;
  return step<F, Next>(
      stream, c,
      [&]<class T>(const std::vector<T>& values) {
        return std::make_unique<DeviceArray<T>>(stream, values, sizeof(T) <= 4 ? c.offset : 0);
      },
      [](auto& array) { return array.read(); });
}

/// An array of the host's memory in DeviceArray's place.
template <class T>
struct HostArray {
  std::vector<T> v;
  T* data() { return v.data(); }
  Out out() { return {v.empty() ? nullptr : v.data(), dtype_of<T>::value}; }
  In in() { return out(); }
};

template <class F, class Next>
std::vector<float> on_cpu(const Case& c) {
  CpuStream stream(1);
  return step<F, Next>(
      stream, c,
      []<class T>(const std::vector<T>& values) {
        return std::make_unique<HostArray<T>>(HostArray<T>{values});
      },
      [](auto& array) { return array.v; });
}

template <class F, class Next>
void check_case(const Case& c) {
  CAPTURE(c.n);
  CAPTURE(c.per_image);
  CAPTURE(c.guided);
  CAPTURE(c.limits);
  CAPTURE(c.offset);
  const std::vector<float> cuda = under_all_schedules([&] { return on_cuda<F, Next>(c); });
  std::vector<double> cpu;
  for (const float v : on_cpu<F, Next>(c)) cpu.push_back(v);
  // Both add in one order; the compiler may fuse some of the products on one side.
  CHECK(simt::count_wrong(cuda, cpu, 8 * simt::rounding<Next>(), 2e-4) == 0);
}

}  // namespace

TEST_CASE("rk45 agrees with the CPU") {
  for (const auto& [n, d] : {std::pair{1, 1}, {2, 7}, {3, 64}, {4, 2051}}) {
    check_case<float, float>({n, d});
    check_case<bf16, bf16>({n, d});
  }
  check_case<float, bf16>({2, 1028});
  check_case<bf16, float>({3, 1028});
}

TEST_CASE("rk45: a guide, limits, unaligned") {
  for (const int d : {65, 128})
    for (const bool limits : {false, true}) {
      check_case<float, float>({3, d, true, limits});
      check_case<bf16, bf16>({3, d, true, limits, 1});
      check_case<bf16, float>({3, d, false, limits, 3});
      check_case<float, bf16>({2, d, false, limits, 1});
    }
}

TEST_CASE("rk45: any one operand off the alignment of 16 bytes") {
  Case c{2, 8};
  c.guided = c.limits = true;
  simt::with_each_array_unaligned([&] { check_case<float, float>(c); });
}

TEST_CASE("rk45 refuses what it cannot do") {
  CudaStream stream;
  float x = 0;
  double f64 = 0;
  Rk45State state;
  Rk45Level level;
  const Out x32{&x, DType::f32};
  Rk45Operands o{
      .x = x32, .at = x32, .slopes = x32, .network = {.f = x32}, .states = &state, .levels = &level};
  const Rk45Dims d{1, 1, 1e-3, 0.1};
  CHECK_THROWS_AS(rk45_accept(stream, {70000, 1, 1e-3, 0.1}, o), ito::Error);
  CHECK_THROWS_WITH(rk45_slope(stream, d, 0, o), "rk45: slope 0 of 1 .. 6");
  o.x = {&f64, DType::f64};
  CHECK_THROWS_WITH(rk45_accept(stream, d, o), "rk45: the state and its slopes are f32");
}
