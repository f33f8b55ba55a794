#include <doctest/doctest.h>

#include <cstring>

#include "tests/parity_recipe.h"

// Every expected number was printed by tests/reference/parity_recipe.py: a difference of one bit here would
// show up as a wrong network in the parity tests.
namespace ito::tests {
namespace {

std::uint32_t bits(float value) {
  std::uint32_t word;
  std::memcpy(&word, &value, sizeof word);
  return word;
}

struct Golden {
  std::uint32_t first, second, third, last,
      all;  ///< bit patterns; `all` is the exclusive or of every element
};

void check(const std::vector<float>& values, const Golden& golden) {
  REQUIRE(values.size() >= 3);
  CHECK(bits(values[0]) == golden.first);
  CHECK(bits(values[1]) == golden.second);
  CHECK(bits(values[2]) == golden.third);
  CHECK(bits(values.back()) == golden.last);
  std::uint32_t all = 0;
  for (const float value : values) all ^= bits(value);
  CHECK(all == golden.all);
}

TEST_CASE("the hash is MurmurHash3's finalizer") {
  CHECK(hash32(0) == 0u);
  CHECK(hash32(1) == 0x514e28b7u);
  CHECK(hash32(0xffffffffu) == 0x81f16f39u);
}

TEST_CASE("parameters are drawn as the reference script draws them") {
  check(parity_parameter(0, "conv_in.weight", {8, 3, 3, 3}),
        {0xbeaaaaab, 0xbdf909d2, 0xbe52c8a3, 0x3e5218da, 0x31df77b});
  check(parity_parameter(1, "conv_in.bias", {8}),
        {0xbddc05fa, 0x3d192cf7, 0xbae6ec52, 0xbd924296, 0x75ea62e});
  check(parity_parameter(70, "conv_norm_out.weight", {8}),
        {0x3f7b12b8, 0x3f6b2421, 0x3f78be81, 0x3f89e3ad, 0x1fba20});
  check(parity_parameter(3, "time_embedding.linear_1.weight", {32, 7}),
        {0x3ee2e089, 0xbe11fb8c, 0xbeea39d7, 0xbd5de635, 0x7c04096});
  check(parity_parameter(2, "time_proj.weight", {8}),
        {0x3f6caabf, 0xbfe4529c, 0xbf686b16, 0x3f901a2d, 0x1b6f46c});
}

TEST_CASE("input, noise level and cotangent are drawn as the reference script draws them") {
  check(parity_input(96), {0xbfc5633b, 0xbfbb61ac, 0xbfd0a151, 0xbf53b4f6, 0x8181461b});
  check(parity_cotangent(96), {0x3f2f8b3f, 0x3f19dd79, 0x3f60decb, 0xbe46e247, 0x86d55c2d});
  const std::vector<float> c_noise = parity_noise_level(2);
  CHECK(bits(c_noise[0]) == 0xbea6a196u);
  CHECK(bits(c_noise[1]) == 0xbfc93782u);
}

}  // namespace
}  // namespace ito::tests
