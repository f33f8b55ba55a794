#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/diffusion/samplers.h"
#include "parity_recipe.h"
#include "plan_runs.h"

/// Samplers against diffusers' schedulers and k-diffusion's functions (tests/reference/sampler_values.py), on five
/// numbers whose denoiser is known.
namespace ito::tests {
namespace {

using namespace model;
using nlohmann::json;

/// The plan that a case is about. A scheduler's levels have its own a; where it is not recorded, no sampler asks for
/// it.
SamplerPlan plan_of(const json& c) {
  Levels levels;
  const std::vector<double> sigmas = c.at("sigmas");
  for (size_t i = 0; i < sigmas.size(); ++i) {
    const double mean = c.contains("means") ? c.at("means").at(i).get<double>() : 1.0;
    levels.push_back({0, mean, mean * sigmas[i], sigmas[i]});
  }
  const std::string name = c.at("name");
  const double eta = c.value("eta", 0.0);
  if (name == "ddim") return ddim_plan(levels, eta);
  if (name == "ancestral")
    return ancestral_plan(Sde(Vp{}), levels, c.at("variance") == "large" ? Variance::large : Variance::small);
  if (name == "heun") return heun_plan(Sde(), levels, {});
  const Multistep multistep{c.at("order"), eta,
                            !c.value("exact", false)};  // diffusers lowers the order at the end
  return name == "unipc" ? unipc_plan(levels, multistep) : dpm_solver_plan(levels, multistep);
}

TEST_CASE("samplers have the values of diffusers and k-diffusion") {
  const json cases = json::parse(std::ifstream(ITO_SOURCE_DIR "/tests/fixtures/samplers.json")).at("cases");
  CHECK(cases.size() == 22);
  for (const json& c : cases) {
    CAPTURE(c.at("name"));
    CAPTURE(c.value("order", 0));
    CAPTURE(c.value("eta", -1.0));
    CAPTURE(c.at("sigmas").size());
    const SamplerPlan plan = plan_of(c);
    for (size_t pixel = 0; pixel < 5; ++pixel) {
      uint32_t step = 0;
      const auto noise = [&] { return double(parity_stream(100 + step++, 5, 1)[pixel]) * std::sqrt(3.0); };
      const double got = run_plan(
          plan, c.at("start").at(pixel), [](double x, double sigma) { return Mixture().denoise(x, sigma); },
          noise);
      CAPTURE(pixel);
      // They compute some coefficients in f32.
      CHECK(got == doctest::Approx(c.at("result").at(pixel).get<double>()).epsilon(2e-5));
    }
  }
}

}  // namespace
}  // namespace ito::tests
