#include <doctest/doctest.h>

#include "model/metrics/lpips.h"
#include "tests/feature_recipe.h"

/// The networks of metrics are ops like any other: LPIPS' stands for them, since its images may be small.
namespace ito::model {
namespace {

TEST_CASE("LPIPS on the device has the CPU's distances, and the arena holds what the dry run measured") {
  const std::vector<uint8_t> images = tests::feature_images(2, 31, 33);
  const uint8_t* const other = images.data() + 31 * 33 * 3;
  const auto distance = [&](engine::Backend backend) {
    Device device({1, backend});
    double d = -1;
    Lpips(device, tests::feature_weight, tests::feature_weight, 1)
        .distances(images.data(), other, 1, 31, 33, &d);
    CHECK(device.arena().live_bytes() == 0);
    return d;
  };
  const double cpu = distance(engine::Backend::cpu);
  CHECK(cpu > 0.1);
  CHECK(distance(engine::Backend::cuda) == doctest::Approx(cpu).epsilon(1e-5));
}

}  // namespace
}  // namespace ito::model
