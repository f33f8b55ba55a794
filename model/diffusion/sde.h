#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <variant>

#include "kernels/base/options.h"
#include "model/diffusion/noise_table.h"

/// The forward processes of score-based diffusion: dx = f(t) x dt + g(t) dW for t in [0, 1], with marginals
///   x_t = a(t) x_0 + s(t) z,  z ~ N(0, I)        (a: mean(t), s: stddev(t)).
/// "sigma" alone is always the noise-to-signal ratio s/a, EDM's noise level: x_t / a = x_0 + sigma z.
/// Pixels are in [-1, 1]. Source: Song et al., arXiv:2011.13456, section 3.4 and appendices B, C.
namespace ito::model {

/// Variance exploding: s(t) = sigma_min (sigma_max / sigma_min)^t, a = 1, f = 0. The exact kernel from t = 0
/// has variance s(t)^2 - sigma_min^2; as the paper does, we let x_0 carry sigma_min's noise and use s(t)^2.
/// The default range is the one for faces.
struct Ve {
  double sigma_min = 0.002, sigma_max = 80;

  double log_ratio() const { return std::log(sigma_max / sigma_min); }
  double mean(double) const { return 1; }
  double stddev(double t) const { return sigma_min * std::pow(sigma_max / sigma_min, t); }
  double drift(double) const { return 0; }
  double diffusion(double t) const { return stddev(t) * std::sqrt(2 * log_ratio()); }
  double prior_stddev() const { return sigma_max; }
  double time_of(double sigma) const { return std::log(sigma / sigma_min) / log_ratio(); }
  double sampling_end() const { return 1e-5; }
};

/// What VP and sub-VP share: b(t) = beta_min + t (beta_max - beta_min), B(t) = integral of b from 0 to t,
/// a = exp(-B/2), f = -b/2.
struct LinearBeta {
  double beta_min = 0.1, beta_max = 20;

  double beta(double t) const { return beta_min + t * (beta_max - beta_min); }
  double integral(double t) const { return t * (beta_min + 0.5 * t * (beta_max - beta_min)); }
  double time_of_integral(double value) const {  // the quadratic's root, written so that nothing cancels
    return 2 * value / (beta_min + std::sqrt(beta_min * beta_min + 2 * (beta_max - beta_min) * value));
  }
  double mean(double t) const { return std::exp(-0.5 * integral(t)); }
  double drift(double t) const { return -0.5 * beta(t); }
  double prior_stddev() const { return 1; }
  double sampling_end() const { return 1e-3; }
};

/// Variance preserving: s^2 = 1 - a^2, g^2 = b. Then sigma^2 = exp(B) - 1. The limit of DDPM's chain.
struct Vp : LinearBeta {
  double stddev(double t) const { return std::sqrt(-std::expm1(-integral(t))); }
  double diffusion(double t) const { return std::sqrt(beta(t)); }
  double time_of(double sigma) const { return time_of_integral(std::log1p(sigma * sigma)); }
};

/// Sub-VP: s = 1 - a^2 (no root), g^2 = b (1 - exp(-2 B)). Then sigma = 2 sinh(B/2).
struct SubVp : LinearBeta {
  double stddev(double t) const { return -std::expm1(-integral(t)); }
  double diffusion(double t) const { return std::sqrt(-beta(t) * std::expm1(-2 * integral(t))); }
  double time_of(double sigma) const { return time_of_integral(2 * std::asinh(0.5 * sigma)); }
};

/// The simple SDE dx = base^t dW: a = 1, s^2 = (base^(2t) - 1) / (2 ln base). base 25 gives s(1) = 9.85,
/// right for 28x28 digits; faces at 64x64 need s(1) of 50 to 180, base 159 to 648.
struct Simple {
  double base = 25;

  double mean(double) const { return 1; }
  double stddev(double t) const {
    return std::sqrt(std::expm1(2 * t * std::log(base)) / (2 * std::log(base)));
  }
  double drift(double) const { return 0; }
  double diffusion(double t) const { return std::pow(base, t); }
  double prior_stddev() const { return stddev(1); }
  double time_of(double sigma) const {
    return std::log1p(2 * std::log(base) * sigma * sigma) / (2 * std::log(base));
  }
  double sampling_end() const { return 1e-3; }
};

/// One noise level in all of its coordinates: x_t = mean x_0 + stddev z = mean (x_0 + sigma z).
struct NoiseLevel {
  double t = 0, mean = 1, stddev = 0, sigma = 0;
};

/// One of the five, as a plain value.
class Sde {
 public:
  using Equations = std::variant<Ve, Vp, SubVp, Simple, NoiseTable>;

  Sde(Equations equations = Ve{}) : equations_(std::move(equations)) {}
  const Equations& equations() const { return equations_; }

  /// a(t), s(t); f(t), where the forward drift is f(t) x; g(t).
  double mean(double t) const;
  double stddev(double t) const;
  double drift(double t) const;
  double diffusion(double t) const;
  /// Sampling starts at x_1 ~ N(0, prior_stddev^2 I).
  double prior_stddev() const;
  /// The reverse process stops here (1e-5 for VE, 0 of a table, else 1e-3): the score grows without bound as t -> 0.
  double sampling_end() const;
  /// Training draws t from (training_start, 1).
  static constexpr double training_start() { return 1e-5; }

  /// The t at which s(t) / a(t) is sigma (it rises with t, also outside [0, 1]). Needs sigma > 0.
  double time_of(double sigma) const;
  /// The level at t, or the one whose noise-to-signal ratio is sigma. Error if there is no noise.
  NoiseLevel at(double t) const;
  NoiseLevel at_sigma(double sigma) const;

  /// Whether x_t keeps unit variance: the limit of DDPM's chain, or that chain itself.
  bool preserves_variance() const;
  /// The table of a discrete chain, else null.
  const NoiseTable* table() const { return std::get_if<NoiseTable>(&equations_); }

 private:
  Equations equations_;
};

enum class SdeKind : uint8_t { ve, vp, sub_vp, simple, table };  // in the order of Sde::Equations

/// Everything that names an SDE in flags and files. Each SDE reads its own numbers only.
struct SdeOptions {
  SdeKind kind = SdeKind::ve;
  double sigma_min = Ve{}.sigma_min, sigma_max = Ve{}.sigma_max;
  double beta_min = LinearBeta{}.beta_min, beta_max = LinearBeta{}.beta_max;
  double base = Simple{}.base;
  NoiseTableOptions table = {};
};

template <FieldsOf<SdeOptions> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.kind, Field("sde", "forward process").otherwise("ve; simple for tutorial"));
  visit(o.sigma_min, Field("sigma_min", "least noise of ve", above(0).to(1e6)));
  visit(o.sigma_max, Field("sigma_max", "most noise of ve", above(0).to(1e6)));
  visit(o.beta_min, Field("beta_min", "rate of vp and sub-vp at t = 0", above(0).to(1e6)));
  visit(o.beta_max, Field("beta_max", "rate of vp and sub-vp at t = 1", above(0).to(1e6)));
  visit(o.base, Field("base", "of simple: dx = base^t dW", above(1).to(1e6)));
  const NoiseTableOptions usual;
  visit(o.table.schedule,
        Field("beta_schedule", "how the betas of table are spaced")
            .one_of({"linear", "scaled-linear", "cosine", "sigmoid"})  // listed: in files alone
            .absent_at(double(usual.schedule)));
  visit(o.table.levels,
        Field("table_levels", "noise levels of table", from(2).to(1e6)).absent_at(usual.levels));
  visit(o.table.beta_start,
        Field("beta_start", "first beta of table", above(0).below(1)).absent_at(usual.beta_start));
  visit(o.table.beta_end,
        Field("beta_end", "last beta of table", above(0).below(1)).absent_at(usual.beta_end));
  visit(o.table.betas, Field("betas").newer());
}

/// Checks the numbers of its kind.
Sde make_sde(const SdeOptions&);
/// Its options, such that make_sde gives it back.
SdeOptions options_of(const Sde&);

}  // namespace ito::model

template <>
struct ito::Names<ito::model::SdeKind> {
  using SdeKind = model::SdeKind;
  static constexpr std::string_view kKind = "SDE";
  static constexpr Named<SdeKind> kTable[] = {{"ve", SdeKind::ve},
                                              {"vp", SdeKind::vp},
                                              {"sub-vp", SdeKind::sub_vp},
                                              {"simple", SdeKind::simple},
                                              {"table", SdeKind::table}};
};
