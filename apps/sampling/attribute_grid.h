#pragma once

#include "apps/inputs/guidance.h"
#include "data/pictures/image.h"
#include "model/diffusion/sampler.h"

namespace ito::apps {

/// The columns of --attr-grid A,B: all combinations of up to three attributes with and without, those with them first.
/// Error: no attribute, more than three, one twice.
std::vector<std::vector<std::string>> attribute_columns(const std::string& names);

/// Draws each seed once a column, with the same noise: a labelled picture, rows by seed. What `progress` throws
/// ends the drawing.
data::Image attribute_grid(engine::Device&, const GuidedModel&, const model::SamplerPlan&,
                           const engine::Shape& image, const std::vector<std::vector<std::string>>& columns,
                           const std::vector<uint64_t>& seeds, const model::SampleProgress& progress);

}  // namespace ito::apps
