#include <doctest/doctest.h>

#include "kernels/nearest_noise.h"
#include "tests/batch_reference.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;

namespace {

constexpr uint32_t kStep = 12;

test::BatchReference problem(int n, int h, int w, int c, bool mapped) {
  test::BatchReference p{
      {n, h, w, c, 77, Purpose::diffusion_noise, &kStep}, test::random_pixels(size_t(4 * h * w * c)), {}};
  for (int i = 0; i < n; ++i)
    p.recipes.push_back({uint64_t(i % 4), 40 + uint32_t(i), uint32_t(i % 2), 1, 0, 0, 1});
  if (mapped) p.maps = test::some_maps(n, h, w);
  return p;
}

std::vector<uint32_t> run(CudaStream& stream, const test::BatchReference& p, int candidates, size_t offset) {
  DeviceArray<uint8_t> pixels(stream, p.pixels, offset);
  DeviceArray<SampleRecipe> recipes(stream, p.recipes);
  DeviceArray<ImageMap> maps(stream, p.maps);
  DeviceArray<uint32_t> step(stream, std::vector<uint32_t>{kStep}), chosen(stream, p.recipes.size());
  MakeBatchDims d = p.d;
  d.step = step.data();
  nearest_noise(stream, d, {pixels.data(), recipes.data(), p.maps.empty() ? nullptr : maps.data()},
                candidates, chosen.data());
  return chosen.read();
}

void check(int h, int w, int c, size_t offset = 0) {
  CAPTURE(h);
  CAPTURE(w);
  CAPTURE(c);
  CAPTURE(offset);
  CudaStream stream;
  CpuStream cpu(1);
  for (const bool mapped : {false, true})
    for (const int candidates : {1, 3, 4, 16}) {
      CAPTURE(mapped);
      CAPTURE(candidates);
      const test::BatchReference p = problem(5, h, w, c, mapped);
      const auto chosen = simt::under_all_schedules([&] { return run(stream, p, candidates, offset); });
      std::vector<uint32_t> on_cpu(5, UINT32_MAX);
      nearest_noise(cpu, p.d, p.images(), candidates, on_cpu.data());
      CHECK(chosen == on_cpu);
      for (int n = 0; n < 5; ++n) CHECK(chosen[size_t(n)] == p.nearest(n, candidates));
    }
}

}  // namespace

TEST_CASE("nearest_noise chooses as the CPU and as f64") {
  check(1, 1, 1);
  check(5, 7, 3);     // not whole blocks of Philox
  check(4, 8, 3);     // blocks that span two pixels
  check(2, 6, 8);     // mirrored pixels are whole accesses
  check(12, 36, 3);   // more than a block's threads take at once
  check(4, 8, 3, 1);  // unaligned
}

TEST_CASE("nearest_noise refuses numbers of candidates without streams, and images too large for its index") {
  CudaStream stream;
  const MakeBatchDims d{1, 1, 1, 1, 0, Purpose::test, nullptr},
      large{1, 1 << 15, 1 << 15, 2, 0, Purpose::test, nullptr};
  CHECK_THROWS_WITH(nearest_noise(stream, d, {}, 0, nullptr),
                    "nearest_noise: 0 candidates; there can be 1 to 16");
  CHECK_THROWS_WITH(nearest_noise(stream, d, {}, 17, nullptr),
                    "nearest_noise: 17 candidates; there can be 1 to 16");
  CHECK_THROWS_AS(nearest_noise(stream, large, {}, 2, nullptr), ito::Error);
  // A thread's last index is past 2^31 - 1, though no element's is.
  const MakeBatchDims just{1, 1, 2147483647 - 500, 1, 0, Purpose::test, nullptr};
  CHECK_THROWS_WITH_AS(nearest_noise(stream, just, {}, 2, nullptr), doctest::Contains("2^31 - 1"),
                       ito::Error);
}
