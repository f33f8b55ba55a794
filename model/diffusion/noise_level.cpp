#include "model/diffusion/noise_level.h"

#include "kernels/base/names.h"
#include "kernels/base/philox.h"

namespace ito::model {
namespace {

/// u in (0, 1) -> t in (training_start, 1).
double time_at(double u) { return Sde::training_start() + (1 - Sde::training_start()) * u; }

}  // namespace

NoiseLevel NoiseLevelDraw::operator()(const Sde& sde, uint64_t seed, uint32_t step, uint32_t sample) const {
  RandomKey key;
  key.seed = seed, key.purpose = Purpose::noise_level, key.step = step, key.sample = sample;
  switch (kind) {
    case LevelDraw::uniform:
      return sde.at(time_at(random_uniform(key, 0)));
    case LevelDraw::antithetic: {
      key.sample = sample & ~1u;
      const double u = random_uniform(key, 0);
      return sde.at(time_at(sample & 1u ? 1 - u : u));
    }
    case LevelDraw::log_normal:
      return sde.at_sigma(std::exp(p_mean + p_std * random_normal(key, 0)));
  }
  fail("a draw of noise levels is missing here");
}

}  // namespace ito::model
