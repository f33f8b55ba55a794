#include <cmath>

#include "kernel_arrays.h"
#include "kernels/make_batch.h"
#include "kernels/nearest_noise.h"
#include "tests/batch_reference.h"

/// What a training batch may have besides its recipes: mapped images, noise candidates, noise in the input alone.
namespace ito::test {
namespace {

using namespace kernels;

const uint32_t kStep = 12;
// z is an f32 number, written by other machine code in the kernel than here.
constexpr double kNoise = 32 * 0x1p-24;

BatchReference problem(int n, int h, int w, int c) {
  BatchReference p{
      {n, h, w, c, 77, Purpose::diffusion_noise, &kStep}, random_pixels(size_t(4 * h * w * c)), {}};
  for (int i = 0; i < n; ++i)
    p.recipes.push_back({uint64_t(i % 4), 40 + uint32_t(i), uint32_t(i / 4 % 2), 0.5f + 0.125f * float(i),
                         1.5f, 1 - float(i), 0.25f * float(i)});
  return p;
}

template <class T>
struct Batch {
  Array<T> input;
  Array<arithmetic_t<T>> target;
  bool same_bits(const Batch& other) const {
    return input.same_bits(other.input) && target.same_bits(other.target);
  }
};

template <class T>
Batch<T> make(const BatchReference& p, const BatchNoise& noise = {}, int threads = 2) {
  CpuStream stream(threads);
  const size_t count = size_t(p.d.n) * size_t(p.size());
  Batch<T> batch{Array<T>(count), Array<arithmetic_t<T>>(count)};
  make_batch(stream, p.d, p.images(), noise, batch.input.out(), batch.target.out());
  return batch;
}

/// A batch against the definition, by one thread and by two.
template <class T>
void check_batch(const BatchReference& p, const std::vector<uint32_t>& chosen, float g) {
  using A = arithmetic_t<T>;
  const Batch<T> batch = make<T>(p, {chosen.empty() ? nullptr : chosen.data(), g});
  std::vector<double> inputs, targets;
  for (int n = 0; n < p.d.n; ++n)
    for (int e = 0; e < p.size(); ++e) {
      const SampleRecipe& r = p.recipes[size_t(n)];
      const double x0 = p.x0(n, e), z = p.z(n, e, chosen.empty() ? 0 : chosen[size_t(n)]);
      const double noisy = g > 0 ? z + double(g) * p.input_noise(n, e) : z;
      inputs.push_back(r.input_x0 * x0 + r.input_z * noisy);
      targets.push_back(r.target_x0 * x0 + r.target_z * z);
    }
  // A position of up to 8 widths of 11 pixels is off by some roundings, and 2 coefficients of at most n a pixel.
  const double position = p.maps.empty() ? 0 : 4 * 88 * epsilon<A>() * 2 * p.d.n;
  check_close(batch.input, inputs, epsilon<T>() + 2 * epsilon<A>(), 4 * kNoise + position);
  check_close(batch.target, targets, 2 * epsilon<A>(), 4 * kNoise + position);
  CHECK(make<T>(p, {chosen.empty() ? nullptr : chosen.data(), g}, 1).same_bits(batch));
}

TEST_CASE_TEMPLATE("make_batch: maps, chosen noises and noise in the input alone", T, float, bf16, double) {
  BatchReference p = problem(8, 7, 11, 3);
  const std::vector<uint32_t> chosen{0, 15, 3, 0, 1, 7, 2, 9};
  check_batch<T>(p, chosen, 0);
  check_batch<T>(p, {}, 0.25f);
  p.maps = some_maps(8, 7, 11);
  check_batch<T>(p, {}, 0);
  check_batch<T>(p, chosen, 0.25f);
  BatchReference line = problem(8, 1, 5, 1);
  line.maps = some_maps(8, 1, 5);
  check_batch<T>(line, {}, 0);
}

TEST_CASE_TEMPLATE("what is off leaves every bit of a batch", T, float, bf16, double) {
  BatchReference p = problem(8, 5, 450, 3);  // rows longer than a tile
  const Batch<T> plain = make<T>(p);
  const std::vector<uint32_t> first(8, 0);
  CHECK(make<T>(p, {first.data(), 0}).same_bits(plain));
  p.maps.resize(8);
  CHECK(make<T>(p).same_bits(plain));
  const Batch<T> noisy = make<T>(p, {nullptr, 0.1f});
  CHECK(noisy.target.same_bits(plain.target));
  CHECK_FALSE(noisy.input.same_bits(plain.input));
}

/// x0 alone, in f64.
std::vector<double> images_of(BatchReference p) {
  for (SampleRecipe& r : p.recipes) r.input_x0 = 1, r.input_z = 0;
  return make<double>(p).input.values();
}

TEST_CASE("maps to whole positions give the pixels themselves") {
  BatchReference p = problem(8, 7, 11, 3);
  const auto plain = images_of(p);
  const auto check_map = [&](const ImageMap& map, auto&& from) {
    p.maps.assign(8, map);
    const auto mapped = images_of(p);
    int wrong = 0;
    for (int n = 0; n < 8; ++n)
      for (int row = 0; row < 7; ++row)
        for (int column = 0; column < 11; ++column)
          for (int c = 0; c < 3; ++c) {
            const auto [y, x] = from(row, column);
            wrong += mapped[size_t(((n * 7 + row) * 11 + column) * 3 + c)] !=
                     plain[size_t(((n * 7 + y) * 11 + x) * 3 + c)];
          }
    CHECK(wrong == 0);
  };
  using Place = std::pair<int, int>;
  check_map({1, 0, 0, 0, -1, 6}, [](int row, int column) { return Place{6 - row, column}; });
  check_map({-1, 0, 10, 0, -1, 6}, [](int row, int column) { return Place{6 - row, 10 - column}; });
  // Beyond the last column 10 comes 9, not 10 again.
  check_map({1, 0, 3, 0, 1, 0}, [](int row, int column) {
    return Place{row, column < 8 ? column + 3 : 17 - column};
  });
  check_map({1, 0, 0, 0, 1, -2}, [](int row, int column) {
    return Place{row < 2 ? 2 - row : row - 2, column};
  });
}

TEST_CASE("an image of one colour stays so under every map, numbers that are none included") {
  BatchReference p = problem(8, 7, 11, 3);
  p.pixels.assign(p.pixels.size(), 200);
  p.maps = some_maps(8, 7, 11);
  p.maps[0] = {1e30f, -1e30f, 3e38f, -1e-30f, 5e8f, -3e38f};
  p.maps[1] = {NAN, 0, 0, 0, INFINITY, -INFINITY};
  const double colour = 145 / 255.0;  // 2 200 - 255
  for (const double x0 : images_of(p)) REQUIRE(x0 == colour);
}

TEST_CASE("a mapped image is linear in its pixels") {
  BatchReference a = problem(8, 7, 11, 3), b = a, sum = a;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    a.pixels[i] = uint8_t(a.pixels[i] / 2), b.pixels[i] = uint8_t(a.pixels.size() * i % 127);
    sum.pixels[i] = uint8_t(a.pixels[i] + b.pixels[i]);
  }
  a.maps = b.maps = sum.maps = some_maps(8, 7, 11);
  const auto x = images_of(a), y = images_of(b), both = images_of(sum);
  for (size_t i = 0; i < x.size(); ++i)  // x0 + 1 is a multiple of the level
    REQUIRE(std::abs((x[i] + 1) + (y[i] + 1) - (both[i] + 1)) < 16 * epsilon<double>());
}

TEST_CASE("noise in the input alone: standard normal, independent of the noise and of the candidates") {
  BatchReference p = problem(8, 32, 32, 3);
  for (SampleRecipe& r : p.recipes) r = {r.image, r.noise_sample, 0, 0, 1, 0, 1};
  const std::vector<uint32_t> second(8, 1);
  for (const uint32_t* const chosen : {static_cast<const uint32_t*>(nullptr), second.data()}) {
    const Batch<double> batch = make<double>(p, {chosen, 0.5f});
    const double count = double(batch.input.size());
    double mean = 0, square = 0, with_z = 0, of_z = 0;
    for (size_t i = 0; i < batch.input.size(); ++i) {
      const double z = batch.target[i], xi = (batch.input[i] - z) / 0.5;
      mean += xi / count, square += xi * xi / count, with_z += xi * z / count, of_z += z * z / count;
    }
    const double deviation = 5 / std::sqrt(count);
    CHECK(std::abs(mean) < deviation);
    CHECK(std::abs(with_z) < deviation);
    CHECK(std::abs(square - 1) < std::sqrt(2.0) * deviation);
    CHECK(std::abs(of_z - 1) < std::sqrt(2.0) * deviation);
  }
}

std::vector<uint32_t> nearest(const BatchReference& p, int candidates, int threads = 2) {
  CpuStream stream(threads);
  std::vector<uint32_t> chosen(size_t(p.d.n) + 1, UINT32_MAX);
  nearest_noise(stream, p.d, p.images(), candidates, chosen.data());
  CHECK(chosen.back() == UINT32_MAX);
  chosen.pop_back();
  return chosen;
}

struct Size {
  int h, w, c;
};

TEST_CASE("nearest_noise takes the candidate with the least distance in f64, of the image as it is made") {
  for (const bool mapped : {false, true})
    for (const Size& size : {Size{7, 11, 3}, Size{1, 1, 1}, Size{3, 350, 3}}) {
      BatchReference p = problem(24, size.h, size.w, size.c);
      if (mapped) p.maps = some_maps(24, size.h, size.w);
      for (const int candidates : {1, 2, 4, 16}) {
        CAPTURE(candidates);
        const std::vector<uint32_t> chosen = nearest(p, candidates);
        for (int n = 0; n < 24; ++n) CHECK(chosen[size_t(n)] == p.nearest(n, candidates));
        CHECK(nearest(p, candidates, 1) == chosen);
      }
    }
}

TEST_CASE("the chosen noise leans towards its image, and is shorter, by the largest of K normal numbers") {
  constexpr int kSamples = 4000, kSize = 8 * 8 * 3;
  BatchReference p = problem(kSamples, 8, 8, 3);
  for (uint8_t& pixel : p.pixels)
    pixel = pixel < 128 ? 0 : 255;  // x0 is 1 or -1, ||x0||^2 is the number of numbers
  const auto measured = [&](int candidates) {
    const std::vector<uint32_t> chosen = nearest(p, candidates);
    double along = 0, longer = 0;
    for (int n = 0; n < kSamples; ++n) {
      double product = 0, squares = 0;
      for (int e = 0; e < kSize; ++e) {
        const double z = p.z(n, e, chosen[size_t(n)]);
        product += p.x0(n, e) * z, squares += z * z;
      }
      along += product / std::sqrt(double(kSize)) / kSamples;
      longer += (squares - kSize) / std::sqrt(2.0 * kSize) / kSamples;
    }
    return std::pair{along, longer};
  };
  const double deviation = 4 / std::sqrt(double(kSamples));
  const auto [none, as_long] = measured(1);
  CHECK(std::abs(none) < deviation);
  CHECK(std::abs(as_long) < deviation);
  // ||x0 - z||^2 varies by -2 <x0, z>, of deviation 2 ||x0||, and by ||z||^2, of deviation sqrt(2 D): with
  // ||x0||^2 = D by 4 parts to 2. The largest of 4 normal numbers is 1.0294 on average.
  const auto [along, longer] = measured(4);
  CHECK(std::abs(along - 1.0294 * std::sqrt(4 / 6.0)) < deviation);
  CHECK(std::abs(longer + 1.0294 * std::sqrt(2 / 6.0)) < deviation);
}

TEST_CASE("nearest_noise refuses what it has no streams for") {
  CpuStream stream(1);
  const BatchReference p = problem(1, 1, 1, 1);
  for (const int candidates : {0, 17, -1})
    CHECK_THROWS_WITH(nearest_noise(stream, p.d, p.images(), candidates, nullptr),
                      doctest::Contains("there can be 1 to 16"));
  MakeBatchDims none = p.d;
  none.h = 0;
  CHECK_THROWS_WITH(nearest_noise(stream, none, p.images(), 2, nullptr),
                    doctest::Contains("must be positive"));
}

}  // namespace
}  // namespace ito::test
