#include "model/diffusion/forward_chain.h"

#include <algorithm>

#include "kernels/base/error.h"

namespace ito::model {
namespace {

void check_length(int n) {
  if (n < 2) fail(cat("a forward chain needs at least 2 steps, not ", n));
}

}  // namespace

ForwardChain ForwardChain::vp(int n, double beta_first, double beta_last) {
  check_length(n);
  if (!(beta_first > 0 && beta_last >= beta_first && beta_last < 1))
    fail(cat("a VP chain needs 0 < beta_first <= beta_last < 1, not ", beta_first, " and ", beta_last));
  ForwardChain chain;
  double alpha_bar = 1;
  for (int i = 0; i < n; ++i) {
    const double beta = beta_first + (beta_last - beta_first) * i / (n - 1);
    alpha_bar *= 1 - beta;
    chain.steps_.push_back({std::sqrt(1 - beta), std::sqrt(beta)});
    chain.marginals_.push_back({std::sqrt(alpha_bar), std::sqrt(1 - alpha_bar)});
  }
  return chain;
}

ForwardChain ForwardChain::ve(int n, double sigma_min, double sigma_max) {
  check_length(n);
  if (!(sigma_min > 0 && sigma_max > sigma_min))
    fail(cat("a VE chain needs 0 < sigma_min < sigma_max, not ", sigma_min, " and ", sigma_max));
  ForwardChain chain;
  double previous = 0;
  for (int i = 0; i < n; ++i) {
    const double sigma = sigma_min * std::pow(sigma_max / sigma_min, double(i) / (n - 1));
    chain.steps_.push_back({1, std::sqrt((sigma - previous) * (sigma + previous))});
    chain.marginals_.push_back({1, sigma});
    previous = sigma;
  }
  return chain;
}

int ForwardChain::index_of(double t) const {
  if (!(t >= 0 && t <= 1)) fail(cat("a chain's time lies in [0, 1], not ", t));
  return std::min(int(t * (size() - 1)), size() - 1);
}

}  // namespace ito::model
