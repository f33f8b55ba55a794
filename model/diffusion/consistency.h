#pragma once

#include "kernels/base/options.h"
#include "model/diffusion/objective.h"

/// Consistency tuning (ECT: Geng et al., arXiv:2406.14548): a trained denoiser D becomes one that jumps to the image
/// from every level, by learning to give at a level sigma what it gives itself at a lower level r, of the same image
/// under the same noise z:
///   distance = |D(x_0 + sigma z; sigma) - D(x_0 + r z; r)|,  where the second D is a constant, and is x_0 at r = 0,
///   loss = w(sigma) (sqrt(distance^2 + c^2 d) - c sqrt(d)) / sqrt(d)  for images of d numbers.
/// At first r is 0, which is denoising; it comes closer stage by stage, so that errors do not add up. w is a power of
/// the weight that Objective's weighting gives the square of a denoised image's error: 1 / sigma^2 + 1 / sigma_data^2
/// by edm. The authors have the power 1; with 1/2, as a distance is no square, every level pulls F as much, and images
/// were better (docs/real-time.md). They have no 1 / sqrt(d), which makes the loss that of a pixel.
namespace ito::model {

/// How far apart the levels of a pair are, stage by stage, and what their distance counts for.
struct ConsistencyOptions {
  int stages = 8;         // of equal length
  double ratio = 2;       // q: the gap's factor from a stage to the next, inverted
  double near = 8;        // k
  double slope = 1;       // b
  double huber = 5.4e-4;  // c
  double weight_power = 0.5;
};

template <FieldsOf<ConsistencyOptions> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  const ConsistencyOptions usual;
  visit(
      o.stages,
      Field("stages",
            "of consistency: the noise levels of a pair come closer so many times, in equal parts of the run",
            from(1).to(30))
          .absent_at(usual.stages));
  visit(o.ratio, Field("stage_ratio", "how many times closer they are in each stage than in the one before",
                       above(1).to(1000))
                     .absent_at(usual.ratio));
  visit(o.near, Field("pair_near",
                      "k of r = sigma (1 - (1 + k / (1 + e^(b sigma))) / ratio^(stage + 1)), never below 0",
                      from(0).to(1000))
                    .absent_at(usual.near));
  visit(o.slope, Field("pair_slope", "b of the same", above(0).to(1000)).absent_at(usual.slope));
  visit(o.huber, Field("huber", "error of a pixel below which distances count as squares", above(0).to(1))
                     .absent_at(usual.huber));
  visit(o.weight_power,
        Field("weight_power", "of the weighting of squares, for the weighting of distances", from(0).to(2))
            .absent_at(usual.weight_power));
}

/// The stage, from 0, of step `step` of `steps`.
int consistency_stage(const ConsistencyOptions&, int64_t step, int64_t steps);

/// r = max(0, sigma (1 - q^-(stage + 1) (1 + k / (1 + e^(b sigma))))).
double lower_level(const ConsistencyOptions&, int stage, double sigma);

/// A pair of levels as numbers. With F' = F(lower input; its c_noise) the error of the upper F is that from
///   target_x0 x_0 + target_z z + share F',
/// and |D - D'|^2 is `scale` times its square. Where r is 0, or less noise than samplers visit
/// (edm_range), D' is x_0: share is 0 and the target that of denoising.
struct ConsistencyPoint {
  TrainingPoint upper;  // loss_weight: w
  double lower_x0 = 0, lower_z = 0, lower_c_noise = 0;
  double share = 0, scale = 1;

  /// Writes the lower level's input, rounded to f32; its target is 0, and the rest of the recipe stays.
  void write_lower(kernels::SampleRecipe&) const;
};

ConsistencyPoint consistency_point(const Objective&, const ConsistencyOptions&, const NoiseLevel& upper,
                                   double r);

}  // namespace ito::model
