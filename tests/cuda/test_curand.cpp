#include <doctest/doctest.h>

#include <cstring>
#include <iostream>

#include "tests/cuda/curand.h"
#include "tests/simt/device_array.h"

namespace ito::tests {
namespace {

constexpr int kBlocks = 150;
const RandomKey kKey{0x123456789abcdefULL, Purpose::dropout, 7, 9};

/// Random words on the device.
struct Words {
  kernels::CudaStream stream;
  simt::DeviceArray<float> memory{stream, 4 * kBlocks};  // only its bits matter
  uint32_t* data() { return reinterpret_cast<uint32_t*>(memory.data()); }
  uint32_t at(int i) {
    const std::vector<float> all = memory.read();
    uint32_t bits;
    std::memcpy(&bits, &all[size_t(i)], 4);
    return bits;
  }
};

TEST_CASE("the device function of cuRAND's header gives our random blocks") {
  Words words;
  curand_device_words(words.stream, kKey, 1000, kBlocks, words.data());
  CHECK(words.at(0) == random_block(kKey, 1000).v[0]);
  CHECK(words.at(4 * kBlocks - 1) == random_block(kKey, 999 + kBlocks).v[3]);
}

TEST_CASE("cuRAND's generator gives our random blocks") {
  if (!curand_available()) {
    std::cout << "skipped, no cuRAND: its generator's blocks\n";
    return;
  }
  Words words;
  curand_library_words(words.stream, kKey.seed, kBlocks, words.data());
  CHECK(words.at(4 * 77 + 1) == philox4x32_10({{0, 0, 77, 0}}, 0x89abcdefu, 0x01234567u).v[1]);
}

}  // namespace
}  // namespace ito::tests
