#include "model/diffusion/sde.h"

namespace ito::model {

double Sde::mean(double t) const {
  return std::visit([&](const auto& e) { return e.mean(t); }, equations_);
}

double Sde::stddev(double t) const {
  return std::visit([&](const auto& e) { return e.stddev(t); }, equations_);
}

double Sde::drift(double t) const {
  return std::visit([&](const auto& e) { return e.drift(t); }, equations_);
}

double Sde::diffusion(double t) const {
  return std::visit([&](const auto& e) { return e.diffusion(t); }, equations_);
}

double Sde::prior_stddev() const {
  return std::visit([](const auto& e) { return e.prior_stddev(); }, equations_);
}

double Sde::sampling_end() const {
  return std::visit([](const auto& e) { return e.sampling_end(); }, equations_);
}

double Sde::time_of(double sigma) const {
  if (!(sigma > 0)) fail(cat("no time has noise level sigma = ", sigma, "; it must be above 0"));
  return std::visit([&](const auto& e) { return e.time_of(sigma); }, equations_);
}

NoiseLevel Sde::at(double t) const {
  NoiseLevel level;
  level.t = t, level.mean = mean(t), level.stddev = stddev(t);
  if (!(level.stddev > 0))
    fail(cat("there is no noise at t = ", t, ", so no score; use t >= ", training_start()));
  level.sigma = level.stddev / level.mean;
  return level;
}

NoiseLevel Sde::at_sigma(double sigma) const {
  NoiseLevel level;
  level.t = time_of(sigma), level.mean = mean(level.t), level.sigma = sigma;
  level.stddev = level.mean * sigma;
  return level;
}

bool Sde::preserves_variance() const { return std::holds_alternative<Vp>(equations_) || table(); }

Sde make_sde(const SdeOptions& o) {
  switch (o.kind) {
    case SdeKind::ve:
      if (!(o.sigma_min > 0 && o.sigma_max > o.sigma_min))
        fail(cat("the VE SDE needs 0 < sigma_min < sigma_max, not ", o.sigma_min, " and ", o.sigma_max));
      return Sde(Ve{o.sigma_min, o.sigma_max});
    case SdeKind::vp:
    case SdeKind::sub_vp:
      if (!(o.beta_min > 0 && o.beta_max > o.beta_min))
        fail(cat("the ", name_of(o.kind), " SDE needs 0 < beta_min < beta_max, not ", o.beta_min, " and ",
                 o.beta_max));
      if (o.kind == SdeKind::vp) return Sde(Vp{{o.beta_min, o.beta_max}});
      return Sde(SubVp{{o.beta_min, o.beta_max}});
    case SdeKind::simple:
      if (!(o.base > 1)) fail(cat("the simple SDE dx = base^t dW needs base > 1, not ", o.base));
      return Sde(Simple{o.base});
    case SdeKind::table:
      return Sde(NoiseTable(o.table));
  }
  fail("an SDE's kind is missing here");
}

SdeOptions options_of(const Sde& sde) {
  SdeOptions o;
  o.kind = SdeKind(sde.equations().index());
  if (const Ve* ve = std::get_if<Ve>(&sde.equations()))
    o.sigma_min = ve->sigma_min, o.sigma_max = ve->sigma_max;
  if (const Vp* vp = std::get_if<Vp>(&sde.equations())) o.beta_min = vp->beta_min, o.beta_max = vp->beta_max;
  if (const SubVp* vp = std::get_if<SubVp>(&sde.equations()))
    o.beta_min = vp->beta_min, o.beta_max = vp->beta_max;
  if (const Simple* simple = std::get_if<Simple>(&sde.equations())) o.base = simple->base;
  if (const NoiseTable* table = sde.table()) o.table = table->options();
  return o;
}

}  // namespace ito::model
