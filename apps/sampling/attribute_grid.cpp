#include "apps/sampling/attribute_grid.h"

#include <algorithm>
#include <set>

#include "data/pictures/label.h"
#include "kernels/base/names.h"

namespace ito::apps {
namespace {

/// What a column asks for, besides what is asked of every image.
std::vector<std::string> asked_in(const GuidedModel& guided, const std::vector<std::string>& column) {
  std::vector<std::string> asked = guided.attributes();
  for (const std::string& label : column) asked.push_back(label.substr(1) + (label[0] == '-' ? "=-1" : "=1"));
  return asked;
}

}  // namespace

std::vector<std::vector<std::string>> attribute_columns(const std::string& names) {
  const std::vector<std::string> parts = split_list(names);
  const bool valued = std::any_of(parts.begin(), parts.end(), [](const std::string& name) {
    return name.empty() || name[0] == '-' || name.find('=') != std::string::npos;
  });
  if (valued || parts.size() > 3 || std::set(parts.begin(), parts.end()).size() != parts.size())
    fail_value("--attr-grid", "one to three different attributes, such as Smiling,Eyeglasses", names);
  std::vector<std::vector<std::string>> columns;
  for (size_t c = 0; c < size_t(1) << parts.size(); ++c) {
    columns.emplace_back();
    for (size_t k = 0; k < parts.size(); ++k) {
      const bool without = c >> (parts.size() - 1 - k) & 1;
      columns.back().push_back((without ? "-" : "+") + parts[k]);
    }
  }
  return columns;
}

GridPlan plan_attribute_grid(const model::LoadedModel& loaded, const GuidedModel& guided,
                             const std::vector<std::vector<std::string>>& columns,
                             const std::vector<uint64_t>& seeds) {
  GridPlan plan;
  plan.images.resize(columns.size() * seeds.size());
  for (size_t c = 0; c < columns.size(); ++c) {
    const std::vector<std::string> asked = asked_in(guided, columns[c]);
    const model::AttributeRequest request = loaded.ask(asked);
    const std::vector<std::string>& names = request.rows().names();
    for (size_t r = 0; r < seeds.size(); ++r) {
      GridImage& image = plan.images[r * columns.size() + c] = {seeds[r], asked, {}};
      const std::vector<float> condition = request.condition_for(seeds[r]);
      for (size_t k = 0; k < names.size(); ++k) image.attributes[names[k]] = int(condition[k]);
    }
    if (const model::Agreement a = request.agreement(); !a.all())
      plan.notes.push_back(cat("no training image is ", model::short_list(columns[c]),
                               ": the other attributes are those of images that agree with ", a.most, " of ",
                               a.wanted));
  }
  return plan;
}

data::Image attribute_grid(engine::Device& device, const GuidedModel& guided, const model::SamplerPlan& plan,
                           const engine::Shape& image, const std::vector<std::vector<std::string>>& columns,
                           const std::vector<uint64_t>& seeds, const model::SampleProgress& progress) {
  std::vector<data::Image> images(columns.size() * seeds.size());
  for (size_t c = 0; c < columns.size(); ++c) {
    const std::vector<uint8_t> pixels =
        model::sample_images(device, guided.denoiser(asked_in(guided, columns[c])), plan, image, seeds,
                             [&](double done) { progress((double(c) + done) / double(columns.size())); });
    for (size_t r = 0; r < seeds.size(); ++r) {
      data::Image& one = images[r * columns.size() + c] = data::Image(int(image[1]), int(image[0]));
      std::copy_n(pixels.begin() + std::ptrdiff_t(r) * image.count(), image.count(), one.rgb.begin());
    }
  }
  std::vector<std::string> rows;
  for (const uint64_t seed : seeds) rows.push_back(cat("seed ", seed));
  return data::labelled_grid(images, columns, rows);
}

}  // namespace ito::apps
