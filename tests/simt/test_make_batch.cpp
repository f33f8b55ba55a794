#include <doctest/doctest.h>

#include "kernels/make_batch.h"
#include "tests/batch_reference.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::count_wrong;
using simt::DeviceArray;
using simt::F64Array;
using simt::rounding;

namespace {

using test::random_pixels;

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
  make_batch(stream, {int(recipes.size()), h, w, c, 77, Purpose::diffusion_noise, step.data()},
             {images.data(), made_of.data()}, {}, input.out(), target.out());
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
  make_batch(cpu, {3, h, w, c, 77, Purpose::diffusion_noise, &step}, {pixels.data(), kRecipes.data()}, {},
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
  check<T>(4, 8, 1);     // grey, mirrored: a pack would be read the wrong way round
  CudaStream stream;
  const auto pixels = random_pixels(4 * 2 * 4 * 4);
  const F64Array aligned(run<T>(stream, 2, 4, 4, 0, pixels, kRecipes));
  simt::with_each_array_unaligned([&] {
    CHECK(count_wrong(run<T>(stream, 2, 4, 4, 0, pixels, kRecipes), aligned.v, 2 * rounding<T>(),
                      16 * rounding<float>()) == 0);
  });
}

/// Everything that a batch may have besides its recipes, as f32: input, then target.
template <class T>
std::vector<float> run_varied(CudaStream& stream, const test::BatchReference& p,
                              const std::vector<uint32_t>& chosen, float input_noise, size_t offset) {
  const size_t count = p.recipes.size() * size_t(p.size());
  DeviceArray<uint8_t> images(stream, p.pixels, offset);
  DeviceArray<SampleRecipe> recipes(stream, p.recipes);
  DeviceArray<ImageMap> maps(stream, p.maps);
  DeviceArray<uint32_t> step(stream, std::vector<uint32_t>{*p.d.step}), candidates(stream, chosen);
  DeviceArray<T> input(stream, count, offset);
  DeviceArray<float> target(stream, count, offset);
  MakeBatchDims d = p.d;
  d.step = step.data();
  make_batch(stream, d, {images.data(), recipes.data(), p.maps.empty() ? nullptr : maps.data()},
             {chosen.empty() ? nullptr : candidates.data(), input_noise}, input.out(), target.out());
  std::vector<float> all;
  for (const T v : input.read()) all.push_back(float(v));
  for (const float v : target.read()) all.push_back(v);
  return all;
}

template <class T>
void check_varied(int h, int w, int c, size_t offset = 0) {
  CAPTURE(h);
  CAPTURE(w);
  CAPTURE(c);
  CAPTURE(offset);
  CudaStream stream;
  CpuStream cpu(1);
  static const uint32_t step = 12;
  test::BatchReference p{
      {3, h, w, c, 77, Purpose::diffusion_noise, &step}, random_pixels(size_t(4 * h * w * c)), kRecipes};
  const auto compare = [&](const std::vector<uint32_t>& chosen, float g) {
    const auto all = simt::under_all_schedules([&] { return run_varied<T>(stream, p, chosen, g, offset); });
    const size_t count = all.size() / 2;
    F64Array input(count), target(count);
    make_batch(cpu, p.d, p.images(), {chosen.empty() ? nullptr : chosen.data(), g}, input.out(),
               target.out());
    // The noise's, as above; and a position of up to 16 widths that is off by some roundings, 2 a pixel each way.
    const double position = p.maps.empty() ? 0 : 4 * 16 * std::max(h, w) * rounding<float>() * 4;
    const double noise = 2 * 3 * 32 * rounding<float>() + position;
    const auto middle = all.begin() + ptrdiff_t(count);
    CHECK(count_wrong(std::vector<float>(all.begin(), middle), input.v, rounding<T>(), noise) == 0);
    CHECK(count_wrong(std::vector<float>(middle, all.end()), target.v, rounding<float>(), noise) == 0);
  };
  compare({}, 0.5f);
  compare({0, 15, 3}, 0);
  p.maps = test::some_maps(4, h, w);
  p.maps.erase(p.maps.begin());
  compare({}, 0);
  compare({1, 0, 2}, 0.5f);
  // The identity gives the pixels themselves: the image alone in the input, its opposite in the target.
  for (SampleRecipe& r : p.recipes) r.input_x0 = 1, r.target_x0 = -1, r.input_z = r.target_z = 0;
  p.maps.assign(3, {});
  const auto plain = run<T>(stream, h, w, c, offset, p.pixels, p.recipes);
  CHECK(simt::same_bits(run_varied<T>(stream, p, {}, 0, offset), plain));
}

TEST_CASE_TEMPLATE("make_batch with maps, candidates and input noise agrees with the CPU in f64", T, float,
                   bf16) {
  check_varied<T>(1, 1, 1);
  check_varied<T>(5, 7, 3);
  check_varied<T>(4, 8, 3);
  check_varied<T>(2, 6, 8);
  check_varied<T>(20, 18, 3);
  check_varied<T>(4, 8, 3, 1);
  check_varied<T>(4, 8, 1);
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
  CHECK_THROWS_WITH(make_batch(stream, {1, 1, 1, 1, 0, Purpose::test, nullptr}, {}, {}, x, x),
                    "make_batch: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_AS(make_batch(stream, {1, 1 << 15, 1 << 15, 3, 0, Purpose::test, nullptr}, {}, {}, y, y),
                  ito::Error);
}
