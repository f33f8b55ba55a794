#pragma once

#include <cstdint>
#include <vector>

/// The noise of unit variance that images start from, on the host, and what lies near one or between two of them.
namespace ito::model {

/// The first `count` numbers of a seed's prior: those that Sampler draws by itself, the stream (seed, prior, 0, 0).
std::vector<float> prior_noise(uint64_t seed, int64_t count);

/// Spherical linear interpolation (Shoemake 1985; of noises, arXiv:1609.04468), with w the angle between a and b:
/// sin((1 - fraction) w) / sin(w) a + sin(fraction w) / sin(w) b, in f64. Where both are independent noise, so is the
/// result nearly: of unit variance, which linear interpolation is not. 0 gives exactly a, 1 exactly b. Where sin(w) is
/// nearly 0, as where one of them is all zeros, it is linear. Error: other sizes, a fraction outside of 0..1.
std::vector<float> slerp(const std::vector<float>& a, const std::vector<float>& b, double fraction);

/// Variation `number` of a seed's noise: slerp from its prior towards noise of its own, the stream (seed, variation,
/// number), by `spread` (0..1: from the prior itself to independent noise). Number 0 is the prior.
std::vector<float> variation_noise(uint64_t seed, uint64_t number, double spread, int64_t count);

/// Noise k of n (at least 2) on the way from the prior of seed a to that of seed b: slerp by k / (n - 1), so that 0 and
/// n - 1 are the seeds' own. Error: n below 2, k outside of 0..n-1.
std::vector<float> between_noise(uint64_t a, uint64_t b, int64_t k, int64_t n, int64_t count);

}  // namespace ito::model
