#pragma once

#include "apps/evaluation/evaluation.h"

namespace ito::apps {

/// Adds FD-pixels8, the Frechet distance of 8x8 means (model/metrics/pixel_features.h) of the two sides, and its floor
/// between two random halves of the reference. It needs no weights, and is no FID. Ranks share the images.
void add_pixel_distance(Evaluation&, const Side& generated, const Side* reference, const EvaluationOptions&,
                        kernels::Wire& ranks);

}  // namespace ito::apps
