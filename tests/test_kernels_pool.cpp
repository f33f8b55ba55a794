#include <algorithm>

#include "kernel_arrays.h"
#include "kernels/pool.h"

using namespace ito;
using namespace ito::kernels;
using namespace ito::test;

namespace {

/// Calls f(index in x, index in y, pixels of the window inside the image) for each pixel of each window, row
/// by row.
template <class F>
void each_pixel(const PoolDims& d, F f) {
  const auto inside = [&](int i, int j) { return i >= 0 && i < d.h && j >= 0 && j < d.w; };
  for (int y = 0; y < d.n * d.out_h() * d.out_w() * d.c; ++y) {
    const int c = y % d.c, q = y / d.c % d.out_w(), p = y / d.c / d.out_w() % d.out_h();
    const int n = y / d.c / d.out_w() / d.out_h(), top = p * d.stride - d.pad_top,
              left = q * d.stride - d.pad_left;
    int pixels = 0;
    for (int k = 0; k < d.r * d.s; ++k) pixels += inside(top + k / d.s, left + k % d.s);
    for (int k = 0; k < d.r * d.s; ++k) {
      const int i = top + k / d.s, j = left + k % d.s;
      if (inside(i, j)) f(size_t(((n * d.h + i) * d.w + j) * d.c + c), size_t(y), pixels);
    }
  }
}

struct Expected {
  std::vector<double> y, dx;
};

template <class T>
Expected expected(Pooling kind, const PoolDims& d, const Array<T>& x, const Array<T>& dy) {
  Expected e{std::vector<double>(dy.size(), 0.0), std::vector<double>(x.size(), 0.0)};
  std::vector<size_t> winner(dy.size(), x.size());
  each_pixel(d, [&](size_t from, size_t to, int pixels) {
    if (kind == Pooling::mean) {
      e.y[to] += x[from] / pixels, e.dx[from] += dy[to] / pixels;
    } else if (winner[to] == x.size() || x[from] > x[winner[to]]) {
      winner[to] = from, e.y[to] = x[from];
    }
  });
  if (kind == Pooling::max)
    for (size_t i = 0; i < dy.size(); ++i) e.dx[winner[i]] += dy[i];
  return e;
}

size_t count_x(const PoolDims& d) { return size_t(d.n) * d.h * d.w * d.c; }
size_t count_y(const PoolDims& d) { return size_t(d.n) * d.out_h() * d.out_w() * d.c; }

/// Whole numbers of which many are equal, so that maxima are shared.
std::vector<double> steps(size_t count) {
  std::vector<double> values = normals(count, 1, 0, 1.5);
  for (double& v : values) v = std::round(v);
  return values;
}

const PoolDims kShapes[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0},   {2, 5, 7, 3, 3, 3, 2, 0, 0, 0, 0},
    {1, 4, 6, 65, 3, 3, 1, 1, 1, 1, 1},  {3, 9, 5, 17, 2, 3, 3, 1, 2, 0, 1},
    {2, 1, 4, 128, 2, 3, 1, 1, 0, 1, 2}, {2, 8, 8, 33, 8, 8, 1, 0, 0, 0, 0},
    {1, 11, 6, 5, 1, 4, 5, 0, 3, 0, 2},  {1, 3, 3, 70, 5, 5, 1, 2, 2, 2, 2},
};

}  // namespace

TEST_CASE_TEMPLATE("pool and its gradient agree with plain loops, for any number of threads", T, float, bf16,
                   double) {
  using A = arithmetic_t<T>;
  CpuStream one(1), three(3);
  for (const PoolDims& d : kShapes) {
    CAPTURE(d.h);
    CAPTURE(d.c);
    const Array<T> x(steps(count_x(d))), dy(normals(count_y(d), 2));
    for (const Pooling kind : {Pooling::max, Pooling::mean}) {
      Array<T> y(dy.size()), dx(x.size()), other_y(dy.size()), other_dx(x.size());
      pool_forward(three, kind, d, x.in(), y.out());
      pool_backward(three, kind, d, dy.in(), kind == Pooling::max ? x.in() : In{}, dx.out());
      pool_forward(one, kind, d, x.in(), other_y.out());
      pool_backward(one, kind, d, dy.in(), x.in(), other_dx.out());
      const Expected e = expected(kind, d, x, dy);
      const double terms = d.r * d.s, absolute = 4 * std::sqrt(terms) * epsilon<A>() * 4;
      check_close(y, e.y, kind == Pooling::max ? 0 : epsilon<T>(), kind == Pooling::max ? 0 : absolute);
      check_close(dx, e.dx, epsilon<T>(), absolute);
      CHECK(other_y.same_bits(y));
      CHECK(other_dx.same_bits(dx));
    }
  }
}

TEST_CASE("a mean in a corner divides by four, on an edge by six, inside by nine") {
  CpuStream stream(1);
  const PoolDims d{1, 4, 4, 1, 3, 3, 1, 1, 1, 1, 1};
  const Array<float> x(std::vector<double>{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0});
  Array<float> y(16);
  pool_forward(stream, Pooling::mean, d, x.in(), y.out());
  for (int i = 0; i < 10; ++i) CHECK(y[size_t(i)] == 1);
  CHECK(y[10] == 8 / 9.0f);
  CHECK(y[11] == 5 / 6.0f);
  CHECK(y[15] == 0.75);
  CHECK(y[14] == 5 / 6.0f);
}

TEST_CASE("a maximum of negative numbers does not see the padding; a NaN shows, and takes the gradient") {
  CpuStream stream(1);
  const PoolDims d{1, 1, 4, 1, 1, 3, 1, 0, 1, 0, 1};
  Array<float> y(4), dx(4);
  const Array<float> ones(std::vector<double>{1, 1, 1, 1}), negative(std::vector<double>{-3, -2, -2, -5});
  pool_forward(stream, Pooling::max, d, negative.in(), y.out());
  pool_backward(stream, Pooling::max, d, ones.in(), negative.in(), dx.out());
  CHECK(y.values() == std::vector<double>{-2, -2, -2, -2});
  CHECK(dx.values() == std::vector<double>{0, 3, 1, 0});
  const Array<float> broken(std::vector<double>{1, std::nan(""), 2, 7});
  pool_forward(stream, Pooling::max, d, broken.in(), y.out());
  pool_backward(stream, Pooling::max, d, ones.in(), broken.in(), dx.out());
  for (size_t i = 0; i < 3; ++i) CHECK(std::isnan(y[i]));
  CHECK(y[3] == 7);
  CHECK(dx.values() == std::vector<double>{0, 3, 0, 1});
}

TEST_CASE("an image's result does not depend on its batch") {
  CpuStream stream(2);
  const PoolDims batch{3, 6, 5, 20, 3, 3, 2, 1, 1, 1, 1};
  PoolDims single = batch;
  single.n = 1;
  const Array<float> x(normals(count_x(batch), 1));
  const size_t size = count_x(single), out = count_y(single);
  for (const Pooling kind : {Pooling::max, Pooling::mean}) {
    Array<float> all(count_y(batch)), last(out);
    pool_forward(stream, kind, batch, x.in(), all.out());
    pool_forward(stream, kind, single, In{x.data() + 2 * size, DType::f32}, last.out());
    CHECK(std::memcmp(all.data() + 2 * out, last.data(), out * sizeof(float)) == 0);
  }
}
