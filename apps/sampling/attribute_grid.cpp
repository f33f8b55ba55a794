#include "apps/sampling/attribute_grid.h"

#include <algorithm>
#include <set>

#include "apps/sampling/picture.h"
#include "data/pictures/label.h"
#include "engine/agreement.h"
#include "kernels/base/math.h"
#include "kernels/base/names.h"
#include "model/diffusion/sample_chunk.h"

namespace ito::apps {
namespace {

/// What a column asks for, besides what is asked of every image.
std::vector<std::string> asked_in(const GuidedModel& guided, const std::vector<std::string>& column) {
  std::vector<std::string> asked = guided.attributes();
  for (const std::string& label : column) asked.push_back(label.substr(1) + (label[0] == '-' ? "=-1" : "=1"));
  return asked;
}

std::vector<uint8_t> draw_chunk(engine::Device& device, const model::Denoiser& denoiser,
                                const model::SamplerPlan& plan, const engine::Shape& image, int chunk,
                                const std::vector<uint64_t>& seeds, const model::SampleProgress& progress) {
  if (denoiser.prepare) denoiser.prepare(seeds);
  return model::Sampler(device, denoiser, plan, image, chunk).sample(seeds, {.progress = progress});
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
  kernels::Wire& ranks = device.ranks();
  const auto chunk =
      size_t(model::sample_chunk(device, guided.denoiser(asked_in(guided, columns[0])), image));
  const size_t each = size_t(image.count()), chunks = div_up(seeds.size(), chunk);  // of a column
  const size_t all = columns.size() * chunks;
  std::vector<uint8_t> own;  // each column's last chunk is filled up
  engine::together(ranks, [&] {
    for (size_t c = 0; c < all; ++c) {
      if (!engine::is_own_chunk(ranks, c)) continue;
      const size_t first = c % chunks * chunk;
      const std::vector<uint8_t> made =
          draw_chunk(device, guided.denoiser(asked_in(guided, columns[c / chunks])), plan, image, int(chunk),
                     {seeds.begin() + std::ptrdiff_t(first),
                      seeds.begin() + std::ptrdiff_t(std::min(first + chunk, seeds.size()))},
                     [&](double done) { progress((double(c) + done) / double(all)); });
      own.insert(own.end(), made.begin(), made.end());
      own.resize(own.size() + chunk * each - made.size());
    }
  });
  const std::vector<uint8_t> pixels = engine::gather_chunks(ranks, std::move(own), all * chunk, chunk, each);
  std::vector<data::Image> images;
  for (size_t r = 0; r < seeds.size(); ++r)
    for (size_t c = 0; c < columns.size(); ++c)
      images.push_back(picture_of(pixels.data() + (c * chunks * chunk + r) * each, image));
  std::vector<std::string> rows;
  for (const uint64_t seed : seeds) rows.push_back(cat("seed ", seed));
  return data::labelled_grid(images, columns, rows);
}

}  // namespace ito::apps
