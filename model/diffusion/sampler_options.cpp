#include "model/diffusion/sampler_options.h"

#include <algorithm>
#include <cstdio>

#include "kernels/base/error.h"

namespace ito::model {
namespace {

/// Options that are for some samplers only.
constexpr unsigned kEta = 1, kVariance = 2, kOrder = 4, kLowerOrder = 8, kChurn = 16, kFinal = 32,
                   kTolerated = 64, kLevels = 128;

using Kind = SamplerKind;
constexpr bool kYes = true, kNo = false;

// kind, summary, stochastic, order, evaluations a step, steps, grid, eta, takes
constexpr SamplerInfo kSamplers[] = {
    {Kind::euler_maruyama, "the reverse SDE as it is written; many steps, forgives a rough model", kYes, 1, 1,
     1000, Grid::uniform, 0, kFinal},
    {Kind::reverse_diffusion, "the reverse of the discretised SDE (score_sde); not for sub-vp", kYes, 1, 1,
     1000, Grid::uniform, 0, kFinal},
    {Kind::ancestral, "exact steps of the reverse chain: DDPM under vp, SMLD under ve", kYes, 1, 1, 1000,
     Grid::uniform, 0, kVariance},
    {Kind::ddim, "from the probability flow (eta 0) to ancestral sampling (eta 1)", kNo, 1, 1, 50,
     Grid::uniform, 0, kEta | kFinal},
    {Kind::euler, "the probability flow in its simplest form", kNo, 1, 1, 50, Grid::karras, 0, kChurn},
    {Kind::heun, "EDM's sampler of the probability flow", kNo, 2, 2, 18, Grid::karras, 0, kChurn},
    {Kind::euler_ancestral, "Euler's step and fresh noise (k-diffusion's euler_a)", kYes, 1, 1, 100,
     Grid::karras, 1, kEta},
    {Kind::dpmpp_2m, "DPM-Solver++, two results a step: few steps", kNo, 2, 1, 20, Grid::karras, 0, 0},
    {Kind::dpmpp_3m, "DPM-Solver++, three results a step: the fewest steps", kNo, 3, 1, 20, Grid::karras, 0,
     kLowerOrder},
    {Kind::dpmpp_2m_sde, "the reverse SDE by DPM-Solver++", kYes, 2, 1, 50, Grid::karras, 1, kEta},
    {Kind::dpmpp_3m_sde, "the reverse SDE by DPM-Solver++, third order", kYes, 3, 1, 50, Grid::karras, 1,
     kEta | kLowerOrder},
    {Kind::unipc, "predictor and corrector on the same evaluation: the fewest steps", kNo, 3, 1, 20,
     Grid::karras, 0, kOrder | kLowerOrder},
    {Kind::rk45, "the probability flow to a tolerance, for a reference: about 150 evaluations, by image", kNo,
     5, 6, 0, Grid::karras, 0, kTolerated},
    {Kind::consistency, "jumps to the image, of models that are tuned to it: one or two evaluations", kYes, 1,
     1, 2, Grid::karras, 0, kLevels},
};

/// The samplers that take an option, "ddim, euler-ancestral or dpm++2m-sde".
std::string takers(unsigned option) {
  std::vector<std::string> names;
  for (const SamplerInfo& info : kSamplers)
    if (info.takes & option) names.emplace_back(name_of(info.kind));
  return list_of(names);
}

/// The option of SamplerOptions that chose the sampler, or null.
const char* shortcut_of(const SamplerOptions& o) { return o.fast ? "fast" : o.best ? "best" : nullptr; }

/// Fails if an option is given that does nothing with the sampler.
void check_taken(const SamplerOptions& o, const SamplerInfo& info, bool given, unsigned option,
                 const char* name) {
  if (!given || (info.takes & option)) return;
  const char* const shortcut = shortcut_of(o);
  fail_advising(
      cat(name, " does nothing with the sampler ", name_of(info.kind)),
      {cat("no {", name, "}"), shortcut ? cat("no {", shortcut, "}") : cat("{sampler} ", takers(option))});
}

/// Fails if a sampler that chooses its steps itself is given some.
void check_chooses_itself(const SamplerOptions& o, const SamplerInfo& info) {
  for (const auto& [given, name] : {std::pair{o.steps.has_value(), "steps"},
                                    {o.evaluations.has_value(), "evaluations"},
                                    {o.grid.has_value(), "grid"},
                                    {o.rho.has_value(), "rho"},
                                    {o.offset.has_value(), "offset"}})
    if (given)
      fail_advising(
          cat("the sampler ", name_of(info.kind), " chooses its steps itself: ", name, " does nothing"),
          {cat("no {", name, "}"), "another {sampler}"});
  if (o.clip && Clip::parse(*o.clip).kind == Clip::Kind::dynamic)
    fail_advising(
        cat("dynamic thresholding has no smooth flow, which the sampler ", name_of(info.kind), " needs"),
        {"{clip} static", "{clip} none"});
}

/// Fails if a sampler that knows its levels is given something that spaces them.
void check_knows_levels(const SamplerOptions& o, const SamplerInfo& info) {
  for (const auto& [given, name] :
       {std::pair{o.grid.has_value(), "grid"}, {o.rho.has_value(), "rho"}, {o.offset.has_value(), "offset"}})
    if (given)
      fail_advising(
          cat("the sampler ", name_of(info.kind), " has levels of its own: ", name, " does nothing"),
          {cat("no {", name, "}"), "{levels} 80,0.8, for example"});
  if (o.corrector.value_or(0) > 0)
    fail_advising("a corrector follows the score, and a model that jumps to the image has none",
                  {"no {corrector}"});
}

/// "80,0.8" as numbers. Error: not such a list; it does not fall; as many steps as levels are not asked for.
std::vector<double> parse_levels(const SamplerOptions& o) {
  if (!o.levels) return {};
  std::vector<double> levels;
  for (const std::string& item : split_list(*o.levels)) {
    levels.push_back(parse_real("levels", item, above(0).to(1e6)));
    if (levels.size() > 1 && levels.back() >= levels[levels.size() - 2])
      fail(cat("levels must fall, as 80,0.8 do, not as ", *o.levels));
  }
  const std::optional<int> steps = o.steps ? o.steps : o.evaluations;
  if (steps && size_t(*steps) != levels.size())
    fail_advising(cat("levels has ", levels.size(), levels.size() == 1 ? " jump, and " : " jumps, and ",
                      *steps, " are asked for"),
                  {"only {levels}", "only {steps}"});
  return levels;
}

void check_clip(const SamplerOptions& o, const SamplerInfo& info) {
  if (o.clip && Clip::parse(*o.clip).kind == Clip::Kind::image && info.kind != Kind::ddim)
    fail_advising(cat("the sampler ", name_of(info.kind),
                      " clips denoised images for all purposes: clip image is ddim's"),
                  {"{clip} static", "{sampler} ddim"});
}

void check_options(const SamplerOptions& o, const SamplerInfo& info) {
  check_clip(o, info);
  check_taken(o, info, o.eta.has_value(), kEta, "eta");
  check_taken(o, info, o.variance.has_value(), kVariance, "variance");
  check_taken(o, info, o.order.has_value(), kOrder, "order");
  check_taken(o, info, o.lower_order_final, kLowerOrder, "lower_order_final");
  check_taken(o, info, o.churn.has_value(), kChurn, "churn");
  check_taken(o, info, o.final_step.has_value(), kFinal, "final");
  const bool of_ddim = info.kind == Kind::ddim, first = o.final_step == FinalStep::first_level;
  if (o.final_step && *o.final_step != FinalStep::denoise && first != of_ddim)
    fail_advising(cat("the sampler ", name_of(info.kind), " has no last step ", name_of(*o.final_step)),
                  {"{final} denoise"});
  check_taken(o, info, o.tolerance.has_value(), kTolerated, "tolerance");
  check_taken(o, info, o.levels.has_value(), kLevels, "levels");
  if (info.steps == 0) check_chooses_itself(o, info);
  if (info.takes & kLevels) check_knows_levels(o, info);
  if (o.churn_min && o.churn_max && *o.churn_min > *o.churn_max)
    fail_advising(cat("churn from sigma ", shortest_text(*o.churn_min), " to ", shortest_text(*o.churn_max),
                      " is never"),
                  {"{churn_min} below {churn_max}"});
  const bool range = o.churn_min || o.churn_max || o.churn_noise;
  if (range && !(o.churn && *o.churn > 0))
    fail_advising("a range or a factor of churn does nothing without churn", {"{churn} 40, for example"});
  if (o.rho && o.grid.value_or(info.grid) != Grid::karras)
    fail_advising("rho does nothing without the grid karras", {"{grid} karras", "no {rho}"});
  if (o.offset && o.grid.value_or(info.grid) != Grid::leading)
    fail_advising("offset does nothing without the grid leading", {"{grid} leading", "no {offset}"});
  if (o.steps && o.evaluations)
    fail_advising("a number of steps and one of evaluations exclude each other",
                  {"only {steps}", "only {evaluations}"});
  if (o.corrector.value_or(0) == 0) {
    if (o.snr) fail_advising("snr does nothing without a corrector", {"{corrector} 1", "no {snr}"});
    if (o.snr_norm)
      fail_advising("snr_norm does nothing without a corrector", {"{corrector} 1", "no {snr_norm}"});
  }
}

bool is_stochastic(const SamplerSettings& s) {
  const bool takes_eta = info_of(s.sampler).takes & kEta;
  return takes_eta ? s.eta > 0 : info_of(s.sampler).stochastic;
}

/// Whether a network's flow is smooth to the end: it predicts what is bounded at every level.
bool is_smooth(Prediction prediction) {
  return prediction == Prediction::edm || prediction == Prediction::consistency ||
         prediction == Prediction::v;
}

/// What --fast and --best stand for, by FD-pixels8 of trained models (docs/samplers.md), whatever they predict.
constexpr SamplerKind kMeasuredBest = Kind::dpmpp_2m_sde;
constexpr int kFastEvaluations = 20, kBestEvaluations = 20;  // 50 were no better

/// The options with what a shortcut stands for in its place.
SamplerOptions without_shortcut(SamplerOptions o) {
  if (!o.fast && !o.best) return o;
  const char* const name = shortcut_of(o);
  if (o.fast && o.best) fail_advising("fast and best exclude each other", {"only {fast}", "only {best}"});
  for (const auto& [given, other] : {std::pair{o.sampler.has_value(), "sampler"},
                                     {o.steps.has_value(), "steps"},
                                     {o.evaluations.has_value(), "evaluations"}})
    if (given)
      fail_advising(
          cat(name, " is a sampler and its number of evaluations: ", other, " does nothing with it"),
          {cat("no {", other, "}"), cat("no {", name, "}")});
  o.sampler = kMeasuredBest, o.evaluations = o.fast ? kFastEvaluations : kBestEvaluations;
  return o;
}

/// The most steps that take at most so many evaluations.
int steps_within(int evaluations, const SamplerSettings& s) {
  if (s.sampler == Kind::heun) return (evaluations + 1) / 2;
  const int steps = evaluations / (1 + s.corrector);
  if (steps < 1)
    fail_advising(cat("a step and its ", s.corrector, " corrections take ", 1 + s.corrector, " evaluations, ",
                      evaluations, " are allowed"),
                  {cat("{evaluations} ", 1 + s.corrector), "a smaller {corrector}"});
  return steps;
}

}  // namespace

const SamplerInfo& info_of(SamplerKind kind) {
  for (const SamplerInfo& info : kSamplers)
    if (info.kind == kind) return info;
  fail("a sampler is missing in the table");
}

std::string sampler_table() {
  char line[200];
  std::string table;
  const auto add = [&](const char* name, const char* noise, const char* order, const char* evaluations,
                       const char* steps, const char* grid, const char* summary) {
    std::snprintf(line, sizeof line, "%-18s %-5s %5s %11s %5s  %-11s  %s\n", name, noise, order, evaluations,
                  steps, grid, summary);
    table += line;
  };
  add("sampler", "noise", "order", "evaluations", "steps", "grid", "");
  for (const SamplerInfo& info : kSamplers)
    add(std::string(name_of(info.kind)).c_str(), info.stochastic ? "yes" : "no", cat(info.order).c_str(),
        cat(info.evaluations, " a step").c_str(), info.steps > 0 ? cat(info.steps).c_str() : "its own",
        std::string(name_of(info.grid)).c_str(), info.summary);
  return table;
}

SamplerOptions with_own(const SamplerOptions& asked, const std::optional<SamplerOptions>& own) {
  if (!own) return asked;
  SamplerOptions o = asked;
  const bool other = o.fast || o.best || (o.sampler && o.sampler != own->sampler);
  if (!o.clip) o.clip = other && own->clip == "image" ? "static" : own->clip;
  if (other) return o;
  o.sampler = own->sampler;
  if (!o.steps && !o.evaluations) o.steps = own->steps;
  if (!o.eta) o.eta = own->eta;
  if (!o.variance) o.variance = own->variance;
  if (!o.final_step) o.final_step = own->final_step;
  if (o.grid) return o;
  o.grid = own->grid;
  if (!o.offset) o.offset = own->offset;
  return o;
}

SamplerOptions of_jumps(const SamplerOptions& asked) {
  if (asked.levels && (asked.fast || asked.best))
    fail_advising(cat(shortcut_of(asked), " is a number of jumps, and levels another"),
                  {"no {levels}", cat("no {", shortcut_of(asked), "}")});
  SamplerOptions o = without_shortcut(asked);
  if (asked.fast || asked.best) o.sampler = Kind::consistency, o.evaluations = asked.fast ? 1 : 2;
  o.fast = o.best = false;
  o.sampler = o.sampler.value_or(Kind::consistency);
  if (*o.sampler != Kind::consistency)
    fail_advising(cat("the model jumps to the image from every level, so that the steps of the sampler ",
                      name_of(*o.sampler), " mean nothing to it"),
                  {"no {sampler}", "{sampler} consistency"});
  return o;
}

SamplerSettings settle(const SamplerOptions& asked, Prediction prediction) {
  const SamplerOptions o = without_shortcut(asked);
  SamplerSettings s;
  s.sampler = o.sampler.value_or(s.sampler);
  const SamplerInfo& info = info_of(s.sampler);
  check_options(o, info);
  s.grid = o.grid.value_or(info.grid);
  s.rho = o.rho.value_or(s.rho), s.eta = o.eta.value_or(info.eta), s.offset = o.offset.value_or(0);
  s.order = o.order.value_or(info.order), s.variance = o.variance.value_or(s.variance);
  s.churn.amount = o.churn.value_or(0), s.churn.least = o.churn_min.value_or(s.churn.least);
  s.churn.most = o.churn_max.value_or(s.churn.most), s.churn.noise = o.churn_noise.value_or(s.churn.noise);
  s.lower_order_final = o.lower_order_final;
  s.final_step = o.final_step.value_or(s.final_step);
  s.corrector = o.corrector.value_or(0), s.snr = o.snr.value_or(s.snr),
  s.snr_norm = o.snr_norm.value_or(s.snr_norm);
  if (s.corrector > 0 && !is_stochastic(s))
    fail_advising(cat("a corrector adds noise, and the sampler ", name_of(s.sampler), " adds none"),
                  {"no {corrector}", shortcut_of(o) ? cat("no {", shortcut_of(o), "}")
                                                    : "{sampler} reverse-diffusion, for example"});
  s.tolerance = o.tolerance.value_or(s.tolerance);
  s.clip = o.clip ? Clip::parse(*o.clip) : Clip{is_smooth(prediction) ? Clip::Kind::none : Clip::Kind::fixed};
  s.levels = parse_levels(o);
  if (!s.levels.empty())
    s.steps = int(s.levels.size());
  else
    s.steps = o.evaluations ? steps_within(*o.evaluations, s) : o.steps.value_or(info.steps);
  if (evaluations_of(s) > int64_t(kSamplerSteps.most))
    fail_advising(cat(evaluations_of(s), " evaluations an image are more than ", int64_t(kSamplerSteps.most)),
                  {"fewer {steps}", "a smaller {corrector}"});
  return s;
}

namespace {

const NoiseTable& table_of(const Sde& sde) {
  if (!sde.table())
    fail_advising("the last step first-level is one of a table's, and this model's SDE has none",
                  {"{final} denoise"});
  return *sde.table();
}

/// Where a consistency model's denoiser is asked: the levels that are given, or chosen ones from EDM's most noise down.
Levels levels_of_jumps(const SamplerSettings& s, const Sde& sde) {
  Levels levels;
  for (const double sigma :
       s.levels.empty() ? consistency_sigmas(s.steps, std::min(s.first, edm_range(sde).most)) : s.levels)
    levels.push_back(sde.at_sigma(sigma));
  return levels;
}

}  // namespace

SamplerPlan make_sampler_plan(const SamplerSettings& s, const Sde& sde) {
  if (s.sampler == Kind::rk45) {
    const SigmaRange range = edm_range(sde);
    SamplerPlan made;
    made.prior_sigma = range.most;
    made.flow = FlowPlan{sde, s.tolerance, sde.at_sigma(range.most), sde.at_sigma(range.least)};
    made.clip = s.clip, made.name = name_of(s.sampler);
    return made;
  }
  if (s.sampler == Kind::consistency) {
    SamplerPlan made = consistency_plan(levels_of_jumps(s, sde), s.boundary);
    made.clip = s.clip, made.name = name_of(s.sampler);
    return made;
  }
  const Levels levels = noise_levels(sde, s.grid, s.steps, {s.rho, s.offset});
  const auto plan = [&]() -> SamplerPlan {
    switch (s.sampler) {
      case Kind::euler_maruyama:
        return euler_maruyama_plan(sde, levels, s.final_step);
      case Kind::reverse_diffusion:
        return reverse_diffusion_plan(sde, levels, s.final_step);
      case Kind::ancestral:
        return ancestral_plan(sde, levels, s.variance);
      case Kind::ddim:
        if (s.final_step == FinalStep::first_level)
          return ddim_to_first_level_plan(table_of(sde), levels, s.eta);
        return ddim_plan(levels, s.eta);
      case Kind::euler_ancestral:
        return ddim_plan(levels, s.eta);
      case Kind::euler:
        return euler_plan(sde, levels, s.churn);
      case Kind::heun:
        return heun_plan(sde, levels, s.churn);
      case Kind::dpmpp_2m:
      case Kind::dpmpp_3m:
      case Kind::dpmpp_2m_sde:
      case Kind::dpmpp_3m_sde:
        return dpm_solver_plan(levels, {info_of(s.sampler).order, s.eta, s.lower_order_final});
      case Kind::unipc:
        return unipc_plan(levels, {s.order, 0, s.lower_order_final});
      case Kind::rk45:
      case Kind::consistency:
        break;
    }
    fail("a sampler is missing here");
  }();
  SamplerPlan made = s.corrector > 0 ? with_corrector(plan, s.corrector, s.snr) : plan;
  if (s.clip.kind == Clip::Kind::image) made = with_clipped_image_alone(made);
  // A discrete chain begins with noise alone at whatever level is first, as its peers have it.
  if (sde.table()) made.prior_sigma = sde.prior_stddev() / levels.front().mean;
  made.batch_norms = s.snr_norm == SnrNorm::batch;
  made.clip = s.clip, made.name = name_of(s.sampler);
  return made;
}

namespace {

std::string text_of_levels(const std::vector<double>& levels) {
  std::string text;
  for (const double sigma : levels) text += cat(text.empty() ? "" : ",", shortest_text(sigma));
  return text;
}

}  // namespace

SamplerFacts facts_of(const SamplerSettings& s) {
  const unsigned takes = info_of(s.sampler).takes;
  const bool chooses = info_of(s.sampler).steps == 0, gridded = !chooses && !(takes & kLevels);
  SamplerFacts facts = {{"sampler", std::string(name_of(s.sampler))}};
  const auto add = [&](bool matters, const char* name, const std::string& value) {
    if (matters) facts.emplace_back(name, value);
  };
  add(!chooses, "steps", cat(s.steps));
  add(chooses, "tolerance", shortest_text(s.tolerance));
  add(!s.levels.empty(), "levels", text_of_levels(s.levels));
  add(gridded, "grid", std::string(name_of(s.grid)));
  add(gridded && s.grid == Grid::karras, "rho", shortest_text(s.rho));
  add(!chooses && s.offset != 0, "offset", cat(s.offset));
  add(takes & kEta, "eta", shortest_text(s.eta));
  add(takes & kVariance, "variance", std::string(name_of(s.variance)));
  add(takes & kOrder, "order", cat(s.order));
  add(s.lower_order_final, "lower_order_final", "true");
  const bool churned = (takes & kChurn) && s.churn.amount > 0;
  add(churned, "churn", shortest_text(s.churn.amount));
  add(churned, "churn_min", shortest_text(s.churn.least));
  add(churned, "churn_max", shortest_text(s.churn.most));
  add(churned, "churn_noise", shortest_text(s.churn.noise));
  const bool usual = s.sampler == Kind::ddim && s.final_step == FinalStep::denoise;
  add((takes & kFinal) && !usual, "final", std::string(name_of(s.final_step)));
  add(s.corrector > 0, "corrector", cat(s.corrector));
  add(s.corrector > 0, "snr", shortest_text(s.snr));
  add(s.corrector > 0, "snr_norm", std::string(name_of(s.snr_norm)));
  add(true, "clip", s.clip.text());
  return facts;
}

std::string text_of(const SamplerSettings& s) {
  std::string text;
  for (const auto& [name, value] : facts_of(s))
    text += name == "sampler" ? value
            : name == "steps" ? cat(", ", value, value == "1" ? " step" : " steps")
                              : cat(", ", name, " ", value);
  return text;
}

int64_t evaluations_of(const SamplerSettings& s) {
  if (info_of(s.sampler).steps == 0) return 0;
  const int64_t each = info_of(s.sampler).evaluations + s.corrector;
  return s.steps * each - (info_of(s.sampler).evaluations - 1);  // Heun's last step takes one
}

}  // namespace ito::model
