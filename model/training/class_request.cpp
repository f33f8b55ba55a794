#include "model/training/class_request.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/base/options.h"
#include "kernels/base/philox.h"

namespace ito::model {

int parse_class(const std::string& text, int classes, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) return int(found - names.begin());
  const bool is_number = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (!names.empty() && !is_number) fail_unknown_name("class", text, names);
  return parse_option<int>("a class", text, from(0).to(classes - 1));
}

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

Denoiser class_denoiser(engine::Device& device, const Network& network, const DenoiserOptions& options,
                        const ClassRequest& request, const Guidance& guidance) {
  const auto conditions = [request](const std::vector<uint64_t>& seeds) { return request.conditions(seeds); };
  return guided_denoiser(device, network, options, conditions, guidance);
}

}  // namespace ito::model
