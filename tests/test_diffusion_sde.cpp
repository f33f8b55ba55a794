#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "model/diffusion/forward_chain.h"
#include "model/diffusion/sde.h"
#include "tests/helpers.h"

using namespace ito;
using namespace ito::model;
using doctest::Approx;

namespace {

/// The reference values are known to this many units of their last printed digit.
Approx printed(double value, double last_digit) { return Approx(value).scale(0).epsilon(last_digit / value); }

std::vector<Sde> all_sdes() {
  return {Sde(Ve{}), Sde(Ve{0.01, 90}), Sde(Vp{}), Sde(SubVp{}), Sde(Simple{}), Sde(Simple{267})};
}

const double kTimes[] = {1e-5, 1e-3, 0.03, 0.25, 0.5, 0.9, 1};

}  // namespace

TEST_CASE("VE marginals: sigma(t) and the constant ratio g / sigma") {
  const Sde ve50(Ve{0.01, 50}), ve90(Ve{0.01, 90});
  CHECK(ve50.stddev(0.25) == printed(0.08408964, 1e-8));
  CHECK(ve50.stddev(0.5) == printed(0.70710678, 1e-8));
  CHECK(ve50.stddev(0.75) == printed(5.94603558, 1e-8));
  CHECK(ve50.diffusion(0.3) / ve50.stddev(0.3) == printed(4.12727348, 1e-8));
  CHECK(ve90.stddev(0.25) == printed(0.09740037, 1e-8));
  CHECK(ve90.stddev(0.5) == printed(0.9486833, 1e-7));
  CHECK(ve90.stddev(0.75) == printed(9.24021086, 1e-8));
  CHECK(ve90.diffusion(0.8) / ve90.stddev(0.8) == printed(4.26731294, 1e-8));
}

TEST_CASE("simple SDE marginals at sigma = 25, and the bases for wider priors") {
  const Sde simple(Simple{25});
  CHECK(simple.stddev(1e-5) == printed(0.00316233, 1e-8));
  CHECK(simple.stddev(1e-3) == printed(0.03167374, 1e-8));
  CHECK(simple.stddev(0.1) == printed(0.37465710, 1e-8));
  CHECK(simple.stddev(0.5) == printed(1.93080543, 1e-8));
  CHECK(simple.stddev(1) == printed(9.84521456, 1e-8));
  CHECK(simple.diffusion(0.5) == Approx(5).epsilon(1e-14));
  CHECK(simple.prior_stddev() == simple.stddev(1));
  const double bases[] = {159, 267, 304, 648}, priors[] = {50, 80, 90, 180};
  for (int i = 0; i < 4; ++i) CHECK(std::abs(Sde(Simple{bases[i]}).prior_stddev() - priors[i]) < 0.2);
}

TEST_CASE("VP and sub-VP marginals") {
  const Sde vp{Vp{}}, sub{SubVp{}};
  struct Row {
    double t, mean, vp_stddev, sub_stddev, sub_diffusion;
  };
  const Row rows[] = {{1e-3, .99994503, .01048542, .00010994, .00513450},
                      {0.1, .94672180, .32205254, .10371784, .64113775},
                      {0.5, .28118288, .95965420, .92093619, 3.16024945},
                      {1, .00657159, .99997841, .99995681, 4.47213595}};
  for (const Row& row : rows) {
    CAPTURE(row.t);
    CHECK(vp.mean(row.t) == printed(row.mean, 1e-8));
    CHECK(sub.mean(row.t) == vp.mean(row.t));
    CHECK(vp.stddev(row.t) == printed(row.vp_stddev, 1e-8));
    CHECK(sub.stddev(row.t) == printed(row.sub_stddev, 1e-8));
    CHECK(sub.diffusion(row.t) == printed(row.sub_diffusion, 1e-8));
    CHECK(vp.diffusion(row.t) == Approx(std::sqrt(0.1 + 19.9 * row.t)).epsilon(1e-14));
  }
}

TEST_CASE("drift and diffusion generate the marginals: a' = f a and (s^2)' = 2 f s^2 + g^2") {
  for (const Sde& sde : all_sdes()) {
    for (double t : kTimes) {
      CAPTURE(sde.equations().index());
      CAPTURE(t);
      // Fourth-order central differences, h relative to t because VP's s^2 is the more curved the smaller t.
      // They are off by (rate h)^4 / 30, where the fastest rate, of VE's s^2, is 2 ln(40000): 7e-9; and by
      // rounding.
      const double h = 1e-3 * t;
      const auto slope = [&](auto f) {
        return (8 * (f(t + h) - f(t - h)) - (f(t + 2 * h) - f(t - 2 * h))) / (12 * h);
      };
      const double f = sde.drift(t), g = sde.diffusion(t), variance = sde.stddev(t) * sde.stddev(t);
      const double eps = 1e-15 / h;
      CHECK(std::abs(slope([&](double u) { return sde.mean(u); }) - f * sde.mean(t)) <
            1e-8 * std::abs(f) + 10 * eps);
      const double expected = 2 * f * variance + g * g;
      CHECK(std::abs(slope([&](double u) { return sde.stddev(u) * sde.stddev(u); }) - expected) <
            1e-8 * expected + 10 * eps * variance);
    }
  }
}

TEST_CASE("a level has the same coordinates whether it is asked by time or by sigma") {
  for (const Sde& sde : all_sdes()) {
    for (double t : kTimes) {
      CAPTURE(sde.equations().index());
      CAPTURE(t);
      const NoiseLevel level = sde.at(t), back = sde.at_sigma(level.sigma);
      CHECK(level.t == t);
      CHECK(level.sigma == level.stddev / level.mean);
      CHECK(back.t == Approx(t).scale(0).epsilon(1e-11));
      CHECK(back.mean == Approx(level.mean).scale(0).epsilon(1e-11));
      CHECK(back.stddev == Approx(level.stddev).scale(0).epsilon(1e-11));
    }
  }
  // The inverse as EDM's table 1 gives it for VP.
  const double sigma = 3.7, b = 19.9;
  CHECK(Sde(Vp{}).time_of(sigma) ==
        Approx((std::sqrt(0.01 + 2 * b * std::log(1 + sigma * sigma)) - 0.1) / b));
}

TEST_CASE("a table has its chain's levels at the indices, and is an SDE between them") {
  const ForwardChain chain = ForwardChain::vp();
  const NoiseTable table;
  for (int i : {0, 1, 2, 10, 499, 998, 999}) {
    CAPTURE(i);
    const LinearGaussian& marginal = chain.marginal(i);
    CHECK(table.mean(table.time_at(i)) == Approx(marginal.scale).scale(0).epsilon(1e-11));
    CHECK(table.stddev(table.time_at(i)) == Approx(marginal.stddev).scale(0).epsilon(1e-11));
    CHECK(table.sigma_at(i) == Approx(marginal.stddev / marginal.scale).scale(0).epsilon(1e-11));
    CHECK(table.time_of(table.sigma_at(i)) == Approx(table.time_at(i)).epsilon(1e-12));
  }
  const Sde sde(table);
  for (double index : {-3.0, 0.5, 0.25, 7.5, 420.75, 998.5, 1003.0}) {  // a' = f a and (s^2)' = 2 f s^2 + g^2
    CAPTURE(index);
    const double t = index / 999, h = 1e-6, f = sde.drift(t), g = sde.diffusion(t), s = sde.stddev(t);
    const auto slope = [&](auto of) { return (of(t + h) - of(t - h)) / (2 * h); };
    CHECK(slope([&](double u) { return sde.mean(u); }) == Approx(f * sde.mean(t)).scale(0).epsilon(1e-6));
    CHECK(slope([&](double u) { return sde.stddev(u) * sde.stddev(u); }) ==
          Approx(2 * f * s * s + g * g).scale(0).epsilon(2e-6));
    CHECK(sde.at_sigma(sde.at(t).sigma).t == Approx(t).scale(0).epsilon(1e-10));
  }
  CHECK(sde.preserves_variance());
  CHECK_FALSE(Sde(SubVp{}).preserves_variance());
  // A step down from an index has the slope of the piece below it, the one that the step goes through.
  const auto rate = [&](double index) { return -2 * table.drift(index / 999); };
  CHECK(rate(1) / rate(0.5) ==
        Approx(std::pow(table.stddev(1 / 999.0) / table.stddev(0.5 / 999), 2)).epsilon(1e-9));
}

TEST_CASE("schedules of betas, and what makes none") {
  const auto betas = [](BetaSchedule schedule, int levels) {
    return betas_of({.schedule = schedule, .levels = levels});
  };
  CHECK(betas(BetaSchedule::linear, 3)[1] == Approx(0.01005));
  CHECK(betas(BetaSchedule::scaled_linear, 3)[1] == Approx(std::pow(0.5 * (0.01 + std::sqrt(0.02)), 2)));
  CHECK(betas(BetaSchedule::sigmoid, 3)[1] == Approx(0.01005));
  const std::vector<double> cosine = betas(BetaSchedule::cosine, 1000);
  CHECK(cosine.back() == 0.999);
  CHECK(cosine[0] == Approx(4.12841e-5).epsilon(1e-4));  // arXiv:2102.09672's programs have it so
  CHECK(tests::error_of([] { betas_of({.levels = 1}); }) ==
        "a table has from 2 to 1000000 noise levels, not 1");
  CHECK_THROWS_AS(betas_of({.levels = 3, .betas = {0.1, 0.2, 0.3}}), Error);
  CHECK_THROWS_AS(betas_of({.schedule = BetaSchedule::listed, .levels = 3, .betas = {0.1, 0.2}}), Error);
  CHECK_THROWS_AS(betas_of({.schedule = BetaSchedule::listed, .levels = 2, .betas = {0.1, 1}}), Error);
}

TEST_CASE("prior and ends") {
  CHECK(Sde().prior_stddev() == 80);
  CHECK(Sde().stddev(0) == 0.002);
  CHECK(Sde(Vp{}).prior_stddev() == 1);
  CHECK(Sde(SubVp{}).prior_stddev() == 1);
  CHECK(Sde(Ve{}).sampling_end() == 1e-5);
  for (const Sde& sde : {Sde(Vp{}), Sde(SubVp{}), Sde(Simple{})}) CHECK(sde.sampling_end() == 1e-3);
}

TEST_CASE("SDEs by name: options go both ways, bad ones are refused with a reason") {
  SdeOptions o;
  o.sigma_min = 0.01, o.sigma_max = 90, o.beta_min = 0.2, o.beta_max = 15, o.base = 304;
  for (const char* name : {"ve", "vp", "sub-vp", "simple", "table"}) {
    o.kind = parse_name<SdeKind>(name);
    const Sde sde = make_sde(o), again = make_sde(options_of(sde));
    CHECK(name_of(options_of(sde).kind) == name);
    for (double t : kTimes) {
      CHECK(again.stddev(t) == sde.stddev(t));
      CHECK(again.diffusion(t) == sde.diffusion(t));
    }
  }
  CHECK_THROWS_WITH_AS(
      parse_name<SdeKind>("sub_vp"),
      "unknown SDE \"sub_vp\"; did you mean \"sub-vp\"? Known: ve, vp, sub-vp, simple, table", Error);
  SdeOptions bad;
  bad.sigma_max = bad.sigma_min;
  CHECK_THROWS_AS(make_sde(bad), Error);
  bad.kind = SdeKind::vp, bad.beta_min = 0;
  CHECK_THROWS_AS(make_sde(bad), Error);
  bad.kind = SdeKind::simple, bad.base = 1;
  CHECK_THROWS_AS(make_sde(bad), Error);
  CHECK_THROWS_AS(Sde(Vp{}).at(0), Error);
  CHECK_THROWS_AS(Sde(Vp{}).at(std::nan("")), Error);
  CHECK_THROWS_AS(Sde().at_sigma(0), Error);
}

TEST_CASE("DDPM's chain: the tables") {
  const ForwardChain chain = ForwardChain::vp();
  CHECK(chain.size() == 1000);
  CHECK(chain.beta(0) == Approx(1e-4).epsilon(1e-13));
  CHECK(chain.beta(999) == Approx(0.02).epsilon(1e-13));
  CHECK(chain.alpha_bar(0) == Approx(0.9999).epsilon(1e-13));
  CHECK(chain.alpha_bar(99) == printed(.8970181457, 1e-10));
  CHECK(chain.alpha_bar(499) == printed(.07858724288, 1e-11));
  CHECK(chain.alpha_bar(999) == printed(4.035829765e-5, 1e-14));
  const double a1 = Sde(Vp{}).mean(1);
  CHECK(a1 * a1 == printed(4.3186e-5, 1e-9));  // the continuous limit is near but not equal
}

TEST_CASE("SMLD's chain: log-linear levels") {
  const ForwardChain chain = ForwardChain::ve(1000, 0.01, 90);
  CHECK(chain.marginal(0).stddev == 0.01);
  CHECK(chain.marginal(1).stddev == printed(.010092, 1e-6));
  CHECK(chain.marginal(500).stddev == printed(.953016, 1e-6));
  CHECK(chain.marginal(998).stddev == printed(89.183458, 1e-6));
  CHECK(chain.marginal(501).stddev / chain.marginal(500).stddev == printed(1.009155754, 1e-9));
}

TEST_CASE("the steps q(x_i | x_{i-1}) composed from the image give the marginals") {
  for (const ForwardChain& chain : {ForwardChain::vp(), ForwardChain::vp(37, 1e-3, 0.3),
                                    ForwardChain::ve(1000, 0.01, 90), ForwardChain::ve(2, 0.1, 5)}) {
    LinearGaussian composed;
    for (int i = 0; i < chain.size(); ++i) {
      composed = compose(composed, chain.step(i));
      const double tolerance = 4e-16 * (i + 8);  // a few roundings a step
      CHECK(composed.scale == Approx(chain.marginal(i).scale).scale(0).epsilon(tolerance));
      // 1 - abar loses digits while abar is near 1.
      CHECK(composed.stddev == Approx(chain.marginal(i).stddev).scale(0).epsilon(tolerance + 1e-12));
    }
  }
}

TEST_CASE("a chain's index for continuous time, and its limits") {
  const ForwardChain chain = ForwardChain::vp();
  CHECK(chain.index_of(0) == 0);
  CHECK(chain.index_of(0.5) == 499);
  CHECK(chain.index_of(1) == 999);
  CHECK_THROWS_AS(chain.index_of(1.01), Error);
  CHECK_THROWS_AS(ForwardChain::vp(1), Error);
  CHECK_THROWS_AS(ForwardChain::vp(10, 0.1, 1), Error);
  CHECK_THROWS_AS(ForwardChain::ve(10, 1, 0.5), Error);
}
