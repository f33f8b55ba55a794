#pragma once

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/options.h"
#include "model/diffusion/preconditioning.h"
#include "model/diffusion/samplers.h"
#include "model/diffusion/schedule.h"

/// How a trained model is sampled: what ./sample and ./evaluate let a user choose, and what that means.
namespace ito::model {

enum class SamplerKind : uint8_t {
  euler_maruyama,
  reverse_diffusion,
  ancestral,
  ddim,
  euler,
  heun,
  euler_ancestral,
  dpmpp_2m,
  dpmpp_3m,
  dpmpp_2m_sde,
  dpmpp_3m_sde,
  unipc,
  rk45,
  consistency,
};

/// Of what a corrector's step depends on: each image's own norms, or their means over the images sampled together, as
/// score_sde has it; then an image depends on the others.
enum class SnrNorm : uint8_t { sample, batch };

inline constexpr Range kSamplerSteps = from(1).to(1000000);
/// Below, f32's own errors are larger than those of steps.
inline constexpr Range kTolerance = from(1e-7).to(1);

/// A sampler as a user asks for it. What is not given is the sampler's own choice.
struct SamplerOptions {
  bool fast = false, best = false;  // a sampler and its evaluations, by what was measured (docs/samplers.md)
  std::optional<SamplerKind> sampler = {};
  std::optional<int> steps = {}, evaluations = {};
  std::optional<Grid> grid = {};
  std::optional<double> rho = {}, eta = {};
  std::optional<int> offset = {};
  std::optional<int> order = {};
  std::optional<Variance> variance = {};
  std::optional<double> churn = {}, churn_min = {}, churn_max = {}, churn_noise = {};
  bool lower_order_final = false;
  std::optional<FinalStep> final_step = {};
  std::optional<int> corrector = {};
  std::optional<double> snr = {};
  std::optional<SnrNorm> snr_norm = {};
  std::optional<double> tolerance = {};
  std::optional<std::string> levels = {};
  std::optional<std::string> clip = {};
};

template <FieldsOf<SamplerOptions> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  constexpr Range kNoise = from(0).to(1e30);
  visit(o.fast, Field("fast", "the sampler that measured best with 20 evaluations").absent_at(0));
  visit(o.best,
        Field("best", "the sampler that measured best, however many evaluations it takes").absent_at(0));
  visit(o.sampler,
        Field("sampler", "how").otherwise("an imported model's own, else euler-maruyama, which suits all"));
  visit(o.steps, Field("steps", "sampler steps", kSamplerSteps).otherwise("the sampler's"));
  visit(o.evaluations,
        Field("evaluations", "as many steps as take so many evaluations of the network an image",
              kSamplerSteps));
  visit(o.grid,
        Field("grid",
              "noise levels evenly spaced in t, sigma^(1/rho), sqrt(t), or ln sigma over all of the "
              "model's levels or EDM's range; the last three: indices of a table, as diffusers has them")
            .otherwise("the sampler's"));
  visit(o.rho, Field("rho", "of the grid karras", above(0).to(1000)).otherwise("7"));
  visit(o.offset, Field("offset", "first index of the grid leading", from(0).to(1e6)).otherwise("0"));
  visit(o.eta, Field("eta", "noise of ddim, euler-ancestral and the -sde samplers; 0: none, 1: all of it",
                     from(0).to(1))
                   .otherwise("0 of ddim, else 1"));
  visit(o.order, Field("order", "of unipc", from(2).to(3)).otherwise("3"));
  visit(o.variance, Field("variance", "of ancestral steps under vp and table").otherwise("small"));
  visit(o.churn, Field("churn", "EDM's noise between the steps of euler and heun", kNoise).otherwise("0"));
  visit(o.churn_min, Field("churn_min", "the least sigma with churn", kNoise).otherwise("0"));
  visit(o.churn_max, Field("churn_max", "the most sigma with churn", kNoise).otherwise("no limit"));
  visit(o.churn_noise, Field("churn_noise", "factor of churn's noise", kNoise).otherwise("1"));
  visit(o.lower_order_final, Field("lower_order_final",
                                   "lower orders in the last steps of dpm++3m and dpm++3m-sde with fewer "
                                   "than 15 steps, and of unipc, as diffusers has them")
                                 .absent_at(0));
  visit(o.final_step,
        Field("final", "last step of euler-maruyama and reverse-diffusion, and of ddim on a table")
            .otherwise("denoise"));
  visit(o.corrector,
        Field("corrector", "Langevin steps before each step of a stochastic sampler", from(0).to(1000))
            .otherwise("0"));
  visit(o.snr, Field("snr", "signal-to-noise ratio of the corrector", from(0).to(1000)).otherwise("0.16"));
  visit(o.snr_norm,
        Field("snr_norm", "of what the corrector's steps depend on (batch: images then depend on each other)")
            .otherwise("sample"));
  visit(o.tolerance,
        Field("tolerance", "error of a step of rk45, absolute and relative", kTolerance).otherwise("1e-3"));
  visit(o.levels, Field("levels", "of consistency: the noise levels sigma that it jumps from, such as 80,0.8")
                      .otherwise("chosen"));
  visit(o.clip,
        Field("clip",
              "denoised images: none; static, to -1 .. 1; image, the same except for the direction of "
              "ddim's noise (as diffusers has it); or a quantile such as 0.995, dynamic thresholding")
            .otherwise("none for models that predict edm or v, else static"));
}

/// A sampler, completely: with a model and a seed it determines every bit of an image.
struct SamplerSettings {
  SamplerKind sampler = SamplerKind::euler_maruyama;
  int steps = 1000;
  Grid grid = Grid::uniform;
  double rho = 7, eta = 0;
  int offset = 0;
  int order = 3;
  Variance variance = Variance::small;
  Churn churn = {};
  bool lower_order_final = false;
  FinalStep final_step = FinalStep::denoise;
  int corrector = 0;
  double snr = 0.16;
  SnrNorm snr_norm = SnrNorm::sample;
  double tolerance = 1e-3;
  std::vector<double> levels = {};  // of consistency; empty: consistency_sigmas
  double first = 80;                // the level of its first jump, where levels is empty, or the SDE's most
  double boundary = 0;              // the level at which the denoised image is the image that is given
  Clip clip = {};
};

/// What there is to know about a sampler besides its steps.
struct SamplerInfo {
  SamplerKind kind;
  const char* summary;  // what it is and when to use it
  bool stochastic;      // as it is by default
  int order;            // as its authors count it
  int evaluations;      // of the network, in a step
  int steps;            // as many as it takes for good images; 0: it chooses them itself
  Grid grid;
  double eta;
  unsigned takes;  // the options that are for some samplers only
};
const SamplerInfo& info_of(SamplerKind);
/// One line for each sampler, under a line of headings.
std::string sampler_table();

/// What a user asks for, with a model's own sampler where it asks for no other: an option that is not given is the
/// model's, except that only `clip` goes with another sampler.
SamplerOptions with_own(const SamplerOptions& asked, const std::optional<SamplerOptions>& own);

/// The same for a model whose denoiser jumps to the image: the sampler consistency, of which `fast` is one evaluation
/// and `best` two. Error: another sampler is asked for, whose steps would mean nothing.
SamplerOptions of_jumps(const SamplerOptions& asked);

/// Completes what a user asks for. Errors: an option that does nothing with the sampler; steps and evaluations at
/// once, or too few evaluations for a step.
SamplerSettings settle(const SamplerOptions&, Prediction);
/// The sampler of these settings. Error: the SDE has none such.
SamplerPlan make_sampler_plan(const SamplerSettings&, const Sde&);

/// The settings that matter for the sampler, as options and values, in one order: what tells two samplings apart.
using SamplerFacts = std::vector<std::pair<std::string, std::string>>;
SamplerFacts facts_of(const SamplerSettings&);
/// The same for a line: "heun, 18 steps, grid karras, rho 7, clip none".
std::string text_of(const SamplerSettings&);

/// Denoiser evaluations an image, without making the plan; 0 where they are not known beforehand.
int64_t evaluations_of(const SamplerSettings&);

}  // namespace ito::model

template <>
struct ito::Names<ito::model::SnrNorm> {
  using SnrNorm = model::SnrNorm;
  static constexpr std::string_view kKind = "norm";
  static constexpr Named<SnrNorm> kTable[] = {{"sample", SnrNorm::sample}, {"batch", SnrNorm::batch}};
};

template <>
struct ito::Names<ito::model::SamplerKind> {
  using SamplerKind = model::SamplerKind;
  static constexpr std::string_view kKind = "sampler";
  static constexpr Named<SamplerKind> kTable[] = {{"euler-maruyama", SamplerKind::euler_maruyama},
                                                  {"reverse-diffusion", SamplerKind::reverse_diffusion},
                                                  {"ancestral", SamplerKind::ancestral},
                                                  {"ddim", SamplerKind::ddim},
                                                  {"euler", SamplerKind::euler},
                                                  {"heun", SamplerKind::heun},
                                                  {"euler-ancestral", SamplerKind::euler_ancestral},
                                                  {"dpm++2m", SamplerKind::dpmpp_2m},
                                                  {"dpm++3m", SamplerKind::dpmpp_3m},
                                                  {"dpm++2m-sde", SamplerKind::dpmpp_2m_sde},
                                                  {"dpm++3m-sde", SamplerKind::dpmpp_3m_sde},
                                                  {"unipc", SamplerKind::unipc},
                                                  {"rk45", SamplerKind::rk45},
                                                  {"consistency", SamplerKind::consistency}};
};
