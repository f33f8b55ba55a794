#include "model/training/class_request.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"

namespace ito::model {

ClassRequest::ClassRequest(int classes, std::optional<int> asked) : classes_(classes), asked_(asked) {
  if (asked && (*asked < 0 || *asked >= classes))
    fail(cat("the model knows the classes 0 to ", classes - 1, ", not ", *asked));
}

int ClassRequest::class_for(uint64_t seed) const {
  if (asked_) return *asked_;
  const double u = random_uniform({seed, Purpose::sample_class}, 0);  // in (0, 1)
  return std::min(int(u * classes_), classes_ - 1);
}

std::vector<float> ClassRequest::conditions(const std::vector<uint64_t>& seeds) const {
  std::vector<float> rows(seeds.size() * size_t(classes_));
  for (size_t i = 0; i < seeds.size(); ++i) rows[i * size_t(classes_) + size_t(class_for(seeds[i]))] = 1;
  return rows;
}

}  // namespace ito::model
