#pragma once

#include <cstdint>
#include <vector>

namespace ito::model {

/// The Inception score (Salimans et al., 2016, arXiv:1606.03498) of `count` images in `splits` parts, each
/// exp(mean KL(p(y|x) || p(y))), p the softmax of the logits (without the last layer's bias, as TensorFlow's
/// code has it). Logits come in the images' order, any number of rows at a time.
class InceptionScore {
 public:
  struct Result {
    double mean = 0, deviation = 0;  // over the splits, divisor their number
  };

  /// Error: fewer images than splits, no class.
  InceptionScore(int64_t count, int64_t classes, int splits = 10);
  /// f32 [rows, classes]. Error: more rows than were announced.
  void add(const float* logits, int64_t rows);
  /// Error: fewer rows than were announced.
  Result result() const;

 private:
  struct Split {
    int64_t rows = 0;
    double negative_entropy = 0;      // sum of p ln p
    std::vector<double> probability;  // sum of p(y|x), a class each
  };

  int64_t count_, classes_, added_ = 0;
  std::vector<Split> splits_;
};

}  // namespace ito::model
