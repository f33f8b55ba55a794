#include <nlohmann/json.hpp>

#include "apps/inputs/guidance.h"
#include "apps/studio/studio.h"
#include "engine/io/json_text.h"
#include "kernels/base/commands.h"

namespace ito::apps {

namespace {

/// What a slider of steps offers: neighbours far up differ little.
constexpr int kSteps[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,   10,  12,  14,  16,  18,
                          20, 25, 30, 35, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000};
/// Of a network that is asked for a first look.
constexpr int kQuickEvaluations = 20;

/// The settings, if the model takes these options.
std::optional<model::SamplerSettings> settled(const model::LoadedModel& loaded,
                                              const model::SamplerOptions& options) {
  try {
    const model::SamplerSettings settings = loaded.settle(options);
    model::make_sampler_plan(settings, loaded.sde);
    return model::evaluations_of(settings) <= kMostEvaluations ? std::optional(settings) : std::nullopt;
  } catch (const Error&) {
    return {};
  }
}

/// A sampler that the model takes: its numbers of steps, the first being the usual one; none where it chooses them
/// itself.
nlohmann::json sampler_facts(const model::LoadedModel& loaded, model::SamplerKind kind,
                             const model::SamplerSettings& usual) {
  nlohmann::json steps = nlohmann::json::array();
  const model::SamplerInfo& info = model::info_of(kind);
  for (const int count : kSteps)
    if (settled(loaded, {.sampler = kind, .steps = count})) steps.push_back(count);
  return {{"name", name_of(kind)},           {"summary", info.summary},
          {"evaluations", info.evaluations}, {"steps", usual.steps},
          {"stochastic", info.stochastic},   {"choices", info.steps > 0 ? steps : nlohmann::json::array()}};
}

/// What --class takes for each class.
std::vector<std::string> class_names(const model::LoadedModel& loaded) {
  std::vector<std::string> names;
  for (int k = 0; k < loaded.options.network.classes; ++k) names.push_back(class_name(loaded, k));
  return names;
}

}  // namespace

std::string model_facts(const Painter& painter) {
  const model::LoadedModel& loaded = painter.loaded();
  const model::TrainingOptions& o = loaded.options;
  const model::SamplerSettings own = loaded.settle(painter.usual_sampler());
  nlohmann::json samplers = nlohmann::json::array();
  const auto add = [&](model::SamplerKind kind, const std::optional<model::SamplerSettings>& usual) {
    if (usual) samplers.push_back(sampler_facts(loaded, kind, *usual));
  };
  add(own.sampler, own);
  for (const auto& row : Names<model::SamplerKind>::kTable) {
    if (row.value == own.sampler) continue;
    auto usual = settled(loaded, {.sampler = row.value, .evaluations = kQuickEvaluations});
    add(row.value, usual ? usual : settled(loaded, {.sampler = row.value}));
  }
  const bool conditional = o.network.condition_width() > 0;
  return io::json_text(
      {{"name", run_name(painter.checkpoint())},
       {"step", loaded.step},
       {"width", o.network.width},
       {"height", o.network.height},
       {"samplers", samplers},
       {"attributes", o.network.classes ? std::vector<std::string>{} : loaded.attributes.names()},
       {"classes", class_names(loaded)},
       {"guidance", conditional && o.drop_condition > 0 && !jumps(o)},
       {"most_faces", kMostFaces},
       {"spread", kUsualSpread},
       {"program", commands::kSample}});
}

}  // namespace ito::apps
