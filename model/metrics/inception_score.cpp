#include "model/metrics/inception_score.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"

namespace ito::model {

InceptionScore::InceptionScore(int64_t count, int64_t classes, int splits)
    : count_(count), classes_(classes), splits_(size_t(std::max(splits, 1))) {
  if (splits < 1 || count < splits || classes < 1)
    fail(cat("the Inception score needs an image for each of its ", splits, " splits, there are ", count));
  for (Split& split : splits_) split.probability.resize(size_t(classes));
}

void InceptionScore::add(const float* logits, int64_t rows) {
  if (rows > count_ - added_)
    fail(cat("the Inception score of ", count_, " images was given ", added_ + rows));
  std::vector<double> p(static_cast<size_t>(classes_));
  const int64_t splits = int64_t(splits_.size());
  size_t at = 0;
  for (int64_t i = 0; i < rows; ++i, ++added_, logits += classes_) {
    while (added_ >= int64_t(at + 1) * count_ / splits) ++at;  // part k ends at floor((k + 1) count / splits)
    Split& split = splits_[at];
    const double largest = *std::max_element(logits, logits + classes_);
    double sum = 0, weighted = 0;
    for (int64_t c = 0; c < classes_; ++c) {
      const double z = logits[c] - largest;
      p[size_t(c)] = std::exp(z);
      sum += p[size_t(c)], weighted += p[size_t(c)] * z;
    }
    if (!std::isfinite(sum)) fail(cat("the logits of image ", added_, " are not finite"));
    for (int64_t c = 0; c < classes_; ++c) split.probability[size_t(c)] += p[size_t(c)] / sum;
    split.negative_entropy += weighted / sum - std::log(sum);
    ++split.rows;
  }
}

InceptionScore::Result InceptionScore::result() const {
  if (added_ != count_) fail(cat("the Inception score of ", count_, " images was given ", added_));
  double sum = 0, squares = 0;
  for (const Split& split : splits_) {
    double divergence = split.negative_entropy / double(split.rows);
    for (const double total : split.probability) {
      const double p = total / double(split.rows);
      if (p > 0) divergence -= p * std::log(p);
    }
    const double score = std::exp(divergence);
    sum += score, squares += score * score;
  }
  const double n = double(splits_.size()), mean = sum / n;
  return {mean, std::sqrt(std::max(0.0, squares / n - mean * mean))};
}

}  // namespace ito::model
