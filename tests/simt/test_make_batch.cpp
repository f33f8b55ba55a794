#include <doctest/doctest.h>

#include "kernels/make_batch.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::count_wrong;
using simt::DeviceArray;
using simt::F64Array;
using simt::rounding;

namespace {

std::vector<uint8_t> random_pixels(size_t count) {
  std::vector<uint8_t> pixels(count);
  for (size_t i = 0; i < count; ++i)
    pixels[i] = uint8_t(random_block({1, Purpose::test, 0, 0}, uint32_t(i)).v[0]);
  return pixels;
}

const std::vector<SampleRecipe> kRecipes{
    {2, 40, 0, 0.5f, 3, 1, 0}, {0, 41, 1, 1, 0.125f, 0, 1}, {3, 42, 1, 0.25f, 0.75f, -1, 2}};

/// Input, then target, as f32.
template <class T>
std::vector<float> run(CudaStream& stream, int h, int w, int c, size_t offset,
                       const std::vector<uint8_t>& pixels, const std::vector<SampleRecipe>& recipes) {
  const size_t count = recipes.size() * size_t(h) * w * c;
  DeviceArray<uint8_t> images(stream, pixels, offset);
  DeviceArray<SampleRecipe> made_of(stream, recipes);
  DeviceArray<uint32_t> step(stream, std::vector<uint32_t>{12});
  DeviceArray<T> input(stream, count, offset);
  DeviceArray<float> target(stream, count, offset);
  make_batch(stream, {int(recipes.size()), h, w, c, 77, Purpose::diffusion_noise, step.data()}, images.data(),
             made_of.data(), input.out(), target.out());
  std::vector<float> all;
  for (const T v : input.read()) all.push_back(float(v));
  for (const float v : target.read()) all.push_back(v);
  return all;
}

template <class T>
void check(int h, int w, int c, size_t offset = 0) {
  CAPTURE(h);
  CAPTURE(w);
  CAPTURE(c);
  CAPTURE(offset);
  CudaStream stream;
  const size_t size = size_t(h) * w * c, count = kRecipes.size() * size;
  const auto pixels = random_pixels(4 * size);
  const auto all =
      simt::under_all_schedules([&] { return run<T>(stream, h, w, c, offset, pixels, kRecipes); });

  const uint32_t step = 12;
  CpuStream cpu(1);
  F64Array input(count), target(count);
  make_batch(cpu, {3, h, w, c, 77, Purpose::diffusion_noise, &step}, pixels.data(), kRecipes.data(),
             input.out(), target.out());
  const double noise = 3 * 32 * rounding<float>();  // 4 ulp of a number below 8, times at most 3
  const std::vector<float> inputs(all.begin(), all.begin() + ptrdiff_t(count));
  const std::vector<float> targets(all.begin() + ptrdiff_t(count), all.end());
  CHECK(count_wrong(inputs, input.v, rounding<T>(), noise) == 0);
  CHECK(count_wrong(targets, target.v, rounding<float>(), noise) == 0);

  const auto alone = run<T>(stream, h, w, c, offset, pixels, {kRecipes[2]});
  CHECK(std::equal(alone.begin(), alone.begin() + ptrdiff_t(size), inputs.end() - ptrdiff_t(size)));
  CHECK(std::equal(alone.end() - ptrdiff_t(size), alone.end(), targets.end() - ptrdiff_t(size)));
}

}  // namespace

TEST_CASE_TEMPLATE("make_batch agrees with the CPU in f64", T, float, bf16) {
  check<T>(1, 1, 1);
  check<T>(5, 7, 3);     // not whole blocks of Philox
  check<T>(4, 8, 3);     // blocks that span two pixels, and rows that end within one
  check<T>(2, 6, 8);     // mirrored pixels are whole accesses
  check<T>(20, 18, 3);   // more than a thread block
  check<T>(4, 8, 3, 1);  // unaligned
}

TEST_CASE("each of the 256 levels is rounded once: black is -1, white is 1") {
  CudaStream stream;
  std::vector<uint8_t> pixels;
  std::vector<float> expected;
  for (int p = 0; p < 256; ++p) pixels.push_back(uint8_t(p)), expected.push_back(float(2 * p - 255) / 255.0f);
  const auto all = run<float>(stream, 16, 16, 1, 0, pixels, {{0, 0, 0, 1, 0, -1, 0}});
  CHECK(std::equal(expected.begin(), expected.end(), all.begin()));
  CHECK(all[0] == -1);
  CHECK(all[255] == 1);
  CHECK(all[256] == 1);  // the target is the opposite
}

TEST_CASE("make_batch refuses f64 and images too large for its index") {
  CudaStream stream;
  double value = 0;
  float single = 0;
  const Out x{&value, DType::f64}, y{&single, DType::f32};
  CHECK_THROWS_WITH(make_batch(stream, {1, 1, 1, 1, 0, Purpose::test, nullptr}, nullptr, nullptr, x, x),
                    "make_batch: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_AS(
      make_batch(stream, {1, 1 << 15, 1 << 15, 3, 0, Purpose::test, nullptr}, nullptr, nullptr, y, y),
      ito::Error);
}
