#include "model/training/recipe.h"

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
  options.learn_weighting = true;
  // With other weights to begin from the network is theirs; patches are for the unet.
  if (!options.from && options.network.kind == NetworkKind::unet) options.network.patch = 2;
}

}  // namespace ito::model
