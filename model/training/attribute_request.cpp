#include "model/training/attribute_request.h"

#include <algorithm>
#include <map>
#include <memory>

#include "kernels/base/names.h"
#include "kernels/base/options.h"
#include "kernels/base/philox.h"

namespace ito::model {

namespace {

/// The attribute of one part of a list, such as "-Eyeglasses".
WantedAttribute parse_one(const std::string& part, const std::vector<std::string>& names) {
  const bool dash = part.rfind('-', 0) == 0;
  const size_t equals = part.find('=');
  const std::string name = part.substr(dash, equals - dash);
  if (name.empty())
    fail(cat("\"", part, "\" names no attribute; attributes are given as Smiling, -Eyeglasses or Male=-1"));
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) fail_unknown_name("attribute", name, names);
  const size_t index = size_t(found - names.begin());
  if (equals == std::string::npos) return {index, dash ? -1 : 1};
  const std::string value = part.substr(equals + 1);
  if (value != "1" && value != "-1") fail_value(name, "1 or -1", value);
  if (dash) fail(cat("\"", part, "\": either -", name, " or ", name, "=-1 leaves no doubt"));
  return {index, value == "1" ? 1 : -1};
}

}  // namespace

std::vector<WantedAttribute> parse_wanted(const std::vector<std::string>& texts,
                                          const std::vector<std::string>& names) {
  std::map<size_t, int> values;
  for (const std::string& text : texts)
    for (const std::string& part : split_list(text)) {
      const WantedAttribute wanted = parse_one(part, names);
      const auto [there, is_new] = values.emplace(wanted.index, wanted.value);
      if (there->second != wanted.value)
        fail(cat("the attribute ", names[wanted.index], " is to be both 1 and -1"));
    }
  std::vector<WantedAttribute> result;
  for (const auto& [index, value] : values) result.push_back({index, value});
  return result;
}

AttributeRequest::AttributeRequest(AttributeRows rows, const std::vector<std::string>& texts)
    : rows_(std::move(rows)), wanted_(parse_wanted(texts, rows_.names())) {
  if (rows_.empty()) fail("there are no images to take the attributes from that are not asked for");
  for (int64_t row = 0; row < rows_.count(); ++row) {
    const size_t agreeing = agreeing_with(row);
    if (agreeing < most_) continue;
    if (agreeing > most_) agreeing_.clear();
    most_ = agreeing;
    agreeing_.push_back(row);
  }
}

size_t AttributeRequest::agreeing_with(int64_t row) const {
  return size_t(std::count_if(wanted_.begin(), wanted_.end(), [&](const WantedAttribute& wanted) {
    return rows_.value(row, wanted.index) == wanted.value;
  }));
}

int64_t AttributeRequest::row_for(uint64_t seed) const {
  const double u = random_uniform({seed, Purpose::attribute_row}, 0);  // in (0, 1)
  return agreeing_[std::min(size_t(u * double(agreeing_.size())), agreeing_.size() - 1)];
}

std::vector<float> AttributeRequest::condition_for(uint64_t seed) const {
  std::vector<float> condition = rows_.row(row_for(seed));
  for (const WantedAttribute& wanted : wanted_) condition[wanted.index] = float(wanted.value);
  return condition;
}

std::vector<float> AttributeRequest::conditions(const std::vector<uint64_t>& seeds) const {
  std::vector<float> all;
  for (const uint64_t seed : seeds) {
    const std::vector<float> one = condition_for(seed);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

Denoiser attribute_denoiser(engine::Device& device, const Network& network, const DenoiserOptions& options,
                            AttributeRequest request, const Guidance& guidance) {
  const auto kept = std::make_shared<const AttributeRequest>(std::move(request));
  return guided_denoiser(
      device, network, options,
      [kept](const std::vector<uint64_t>& seeds) { return kept->conditions(seeds); }, guidance);
}

Denoiser varied_denoiser(engine::Device& device, const Network& network, const DenoiserOptions& options,
                         const AttributeRows& rows) {
  if (rows.empty()) return network_denoiser(network, options);
  return attribute_denoiser(device, network, options, AttributeRequest(rows, {}), {});
}

}  // namespace ito::model
