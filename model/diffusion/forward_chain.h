#pragma once

#include <cmath>
#include <vector>

namespace ito::model {

/// The law of y given x when y = scale x + stddev z, z ~ N(0, I): a step of a chain as well as its marginal.
struct LinearGaussian {
  double scale = 1, stddev = 0;
};

/// First one, then the other.
inline LinearGaussian compose(const LinearGaussian& first, const LinearGaussian& second) {
  return {second.scale * first.scale, std::hypot(second.scale * first.stddev, second.stddev)};
}

/// The discrete forward process: q(x_i | x_{i-1}) for i = 0..n-1, x_{-1} the image, and its marginals
/// q(x_i | image). Sources: DDPM (arXiv:2006.11239, eq. 2 and 4); SMLD (arXiv:2011.13456, eq. 8).
class ForwardChain {
 public:
  /// q = N(sqrt(1 - beta_i) x, beta_i I) with beta_i linear from beta_first to beta_last;
  /// marginal N(sqrt(abar_i) x, (1 - abar_i) I), abar_i = product of (1 - beta_j) for j <= i.
  static ForwardChain vp(int n = 1000, double beta_first = 1e-4, double beta_last = 0.02);
  /// q = N(x, (sigma_i^2 - sigma_{i-1}^2) I) with sigma_{-1} = 0, ln sigma_i linear from ln sigma_min to ln
  /// sigma_max; marginal N(x, sigma_i^2 I).
  static ForwardChain ve(int n, double sigma_min, double sigma_max);

  int size() const { return int(steps_.size()); }
  const LinearGaussian& step(int i) const { return steps_.at(size_t(i)); }
  const LinearGaussian& marginal(int i) const { return marginals_.at(size_t(i)); }
  double beta(int i) const { return step(i).stddev * step(i).stddev; }
  double alpha_bar(int i) const { return marginal(i).scale * marginal(i).scale; }
  /// The entry for continuous time t in [0, 1]: trunc(t (n - 1)), as score_sde has it.
  int index_of(double t) const;

 private:
  std::vector<LinearGaussian> steps_, marginals_;
};

}  // namespace ito::model
