#pragma once

#include "model/training/options.h"

namespace ito::model {

/// Sets of options by a name: what flags change is still changed afterwards.
enum class Recipe : uint8_t { none, best };

/// best: muon-patch2-learned-weight of docs/recipes.md, for runs of minutes. none: the defaults, which are those of the
/// published objectives and of long runs.
void apply(Recipe recipe, TrainingOptions& options);

/// How many images a run learns from until what it draws looks like faces: as measured on drawn ones by the recipe best
/// with faces32 and faces64 (docs/training.md, "What to expect"); nothing for other networks and recipes.
std::optional<int64_t> images_until_faces(const TrainingOptions& options);

}  // namespace ito::model

template <>
struct ito::Names<ito::model::Recipe> {
  using Recipe = model::Recipe;
  static constexpr std::string_view kKind = "recipe";
  static constexpr Named<Recipe> kTable[] = {{"none", Recipe::none}, {"best", Recipe::best}};
};
