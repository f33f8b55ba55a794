#include "model/training/recipe.h"

#include "model/unet/presets.h"

namespace ito::model {

void apply(Recipe recipe, TrainingOptions& options) {
  if (recipe == Recipe::none) return;
  options.batch = 32;
  engine::OptimizerOptions& o = options.optimizer;
  o.kind = engine::OptimizerKind::muon;
  o.learning_rate.decay = engine::Decay::cosine;
  o.learning_rate.peak = 4e-3;
  o.learning_rate.warmup = 100;
  o.ema.decay = 0.997;
  if (options.objective == ObjectiveKind::consistency) options.consistency.stages = 4;
  options.learn_weighting = options.objective == ObjectiveKind::denoising;
  // With other weights to begin from the network is theirs; patches are for the unet.
  if (!options.from && options.network.kind == NetworkKind::unet) options.network.patch = 2;
}

std::optional<int64_t> images_until_faces(const TrainingOptions& o) {
  for (const char* name : {"faces32", "faces64"}) {
    TrainingOptions measured = default_options(name);
    apply(Recipe::best, measured);
    const bool same = !first_difference(measured.network, o.network) && !o.from && o.learn_weighting &&
                      o.optimizer.kind == measured.optimizer.kind &&
                      o.optimizer.learning_rate.peak == measured.optimizer.learning_rate.peak &&
                      o.batch * o.accumulate == measured.batch;
    if (same) return 30000;
  }
  return {};
}

}  // namespace ito::model
