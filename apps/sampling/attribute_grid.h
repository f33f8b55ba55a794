#pragma once

#include "apps/inputs/guidance.h"
#include "apps/inputs/samples.h"
#include "data/pictures/image.h"
#include "model/diffusion/sampler.h"

namespace ito::apps {

/// The columns of --attr-grid A,B: all combinations of up to three attributes with and without, those with them first.
/// Error: no attribute, more than three, one twice.
std::vector<std::vector<std::string>> attribute_columns(const std::string& names);

/// What each image of the grid is drawn under, row by row, and sentences for the user: columns that no training image
/// agrees with. Error: a model without attributes, or one that does not know these; a column that contradicts what the
/// model is asked for anyway.
struct GridPlan {
  std::vector<GridImage> images;
  std::vector<std::string> notes;
};
GridPlan plan_attribute_grid(const model::LoadedModel& loaded, const GuidedModel& guided,
                             const std::vector<std::vector<std::string>>& columns,
                             const std::vector<uint64_t>& seeds);

/// Draws each seed once a column, with the same noise: a labelled picture, rows by seed. The device's ranks share the
/// columns' chunks, and each gets the picture; what `progress` throws on one ends it on all.
data::Image attribute_grid(engine::Device&, const GuidedModel&, const model::SamplerPlan&,
                           const engine::Shape& image, const std::vector<std::vector<std::string>>& columns,
                           const std::vector<uint64_t>& seeds, const model::SampleProgress& progress);

}  // namespace ito::apps
