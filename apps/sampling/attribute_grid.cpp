#include "apps/sampling/attribute_grid.h"

#include <algorithm>
#include <set>

#include "data/pictures/label.h"
#include "kernels/base/names.h"

namespace ito::apps {

std::vector<std::vector<std::string>> attribute_columns(const std::string& names) {
  const std::vector<std::string> parts = split_list(names);
  const bool empty =
      std::any_of(parts.begin(), parts.end(), [](const std::string& name) { return name.empty(); });
  if (empty || parts.size() > 3 || std::set(parts.begin(), parts.end()).size() != parts.size())
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

data::Image attribute_grid(engine::Device& device, const GuidedModel& guided, const model::SamplerPlan& plan,
                           const engine::Shape& image, const std::vector<std::vector<std::string>>& columns,
                           const std::vector<uint64_t>& seeds, const model::SampleProgress& progress) {
  std::vector<data::Image> images(columns.size() * seeds.size());
  for (size_t c = 0; c < columns.size(); ++c) {
    std::vector<std::string> asked = guided.attributes();
    for (const std::string& label : columns[c])
      asked.push_back(label.substr(1) + (label[0] == '-' ? "=-1" : "=1"));
    const std::vector<uint8_t> pixels =
        model::sample_images(device, guided.denoiser(asked), plan, image, seeds,
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
