#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/console/program.h"
#include "bench/face_rules.h"
#include "bench/machine.h"
#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"
#include "model/diffusion/sampler.h"
#include "model/diffusion/sampler_options.h"
#include "model/training/checkpoint.h"

/// How often a model draws what it is asked for: for each attribute, with it and without it, the share of its images
/// that show the value, by a rule of pixels (bench/face_rules.h), for several weights of guidance.
namespace ito::bench {
namespace {

using nlohmann::json;

/// What is asked of ./bench_attributes.
struct Request {
  std::string checkpoint, faces, others, cache = "runs/cache", guidance = "0,1,2,4", sampler = "dpm++2m",
                                         json;
  int count = 200, evaluations = 18, threads = 0;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.checkpoint,
        Field("checkpoint", "a checkpoint's folder, of a run with attributes; without it the rules alone"));
  visit(o.faces, Field("faces", "drawn faces that the rules are fitted on"));
  visit(o.others, Field("others", "drawn faces of another seed that the rules are checked on"));
  visit(o.cache, Field("cache", "folder of decoded images"));
  visit(o.guidance, Field("guidance", "weights, separated by commas"));
  visit(o.sampler, Field("sampler", "its name"));
  visit(o.evaluations, Field("evaluations", "of the network, an image", model::kSamplerSteps));
  visit(o.count, Field("count", "images for each attribute, value and weight", from(1).to(1e6)));
  visit(o.threads, Field("threads", "0: all", kThreads));
  visit(o.json, Field("json", "a file that receives the numbers"));
}

/// Shares of images that have the value that was asked for.
struct Shares {
  double with = 0, without = 0;  // asked for 1, for -1
  double mean() const { return (with + without) / 2; }
};

std::string text_of(const Shares& s) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f (%.1f, %.1f)", 100 * s.mean(), 100 * s.with, 100 * s.without);
  return text;
}

data::Dataset faces_of(const Request& f, const std::string& folder) {
  data::DatasetOptions options;
  options.height = options.width = kRuleSide;
  options.cache_dir = f.cache, options.split = "all", options.crop = "ddim128", options.threads = f.threads;
  return data::open_dataset(folder, options);
}

/// The rules of the attributes that the model knows; of all without a model. Error: it draws other pictures than these
/// are for, or knows none.
std::vector<FaceRule> rules_for(const model::LoadedModel* loaded, const data::Dataset& faces) {
  std::vector<FaceRule> rules;
  for (const RuledAttribute& attribute : ruled_attributes()) {
    if (loaded) {
      const std::vector<std::string>& known = loaded->attributes.names();
      if (std::find(known.begin(), known.end(), attribute.name) == known.end()) continue;
    }
    rules.emplace_back(attribute, faces);
  }
  if (rules.empty()) fail("the model knows none of the attributes that there are rules for");
  return rules;
}

void check_pictures(const model::LoadedModel& loaded, const data::Dataset& faces) {
  const model::NetworkConfig& net = loaded.options.network;
  if (net.height == kRuleSide && net.width == kRuleSide && loaded.options.crop == faces.crop()) return;
  fail(cat("the model draws ", net.height, "x", net.width, " of crop ", loaded.options.crop,
           ", and the rules are for ", kRuleSide, "x", kRuleSide, " of crop ", faces.crop()));
}

/// The model's images, by what is asked for.
class Drawings {
 public:
  Drawings(engine::Device& device, const Request& f, const model::LoadedModel& loaded)
      : device_(device), loaded_(loaded), seeds_(size_t(f.count)) {
    std::iota(seeds_.begin(), seeds_.end(), uint64_t(0));
    const model::SamplerSettings settings =
        model::settle({.sampler = parse_name<model::SamplerKind>(f.sampler), .evaluations = f.evaluations},
                      loaded.options.diffusion.preconditioning.prediction);
    plan_ = model::make_sampler_plan(settings, loaded.sde);
  }

  /// The share of images that show the attribute, where `asked` of it (1 or -1) is asked for. With a weight of 0 the
  /// images are those without a condition, so that the first ones are those of every request.
  double shown(const FaceRule& rule, int asked, double weight) {
    if (weight != 0) return share(rule, draw(cat(rule.name(), "=", asked), weight));
    if (unconditional_.empty()) unconditional_ = draw(cat(rule.name(), "=", asked), weight);
    return share(rule, unconditional_);
  }

 private:
  std::vector<uint8_t> draw(const std::string& asked, double weight) const {
    return model::sample_images(device_, loaded_.attribute_denoiser(loaded_.ask({asked}), {.weight = weight}),
                                plan_, {kRuleSide, kRuleSide, 3}, seeds_);
  }
  double share(const FaceRule& rule, const std::vector<uint8_t>& pixels) const {
    size_t found = 0;
    for (size_t i = 0; i < seeds_.size(); ++i) found += rule.shown(&pixels[i * kRuleSide * kRuleSide * 3]);
    return double(found) / double(seeds_.size());
  }

  engine::Device& device_;
  const model::LoadedModel& loaded_;
  std::vector<uint64_t> seeds_;
  model::SamplerPlan plan_;
  std::vector<uint8_t> unconditional_;
};

json json_of(const Shares& s) { return {{"with", s.with}, {"without", s.without}}; }

std::vector<double> weights_of(const Request& f) {
  std::vector<double> weights;
  for (const std::string& text : split_list(f.guidance))
    weights.push_back(parse_option<double>("each number of --guidance", text, from(-100).to(100)));
  return weights;
}

/// Measures and prints the table, row by row.
json measure(const std::vector<FaceRule>& rules, const data::Dataset& others,
             const std::vector<double>& weights, Drawings* drawings) {
  json rows = json::array();
  std::string head = "| attribute | the rule on drawn faces |", line = "| --- | --- |";
  for (const double weight : weights) head += cat(" guidance ", weight, " |"), line += " --- |";
  std::cout << head << "\n" << line << std::endl;
  for (const FaceRule& rule : rules) {
    const Shares right{rule.recall(others, 1), rule.recall(others, -1)};
    json row = {{"attribute", rule.name()}, {"rule", json_of(right)}, {"guidance", json::array()}};
    std::cout << "| `" << rule.name() << "` | " << text_of(right) << " |" << std::flush;
    for (const double weight : weights) {
      const Shares got{drawings->shown(rule, 1, weight), 1 - drawings->shown(rule, -1, weight)};
      std::cout << " " << text_of(got) << " |" << std::flush;
      row["guidance"].push_back({{"weight", weight}, {"obtained", json_of(got)}});
    }
    std::cout << std::endl;
    rows.push_back(std::move(row));
  }
  return rows;
}

int run(const Request& f) {
  if (f.faces.empty() || f.others.empty())
    fail("--faces and --others are needed: draw them with ./make_faces");
  engine::Device device({f.threads, engine::Backend::cpu});
  const data::Dataset faces = faces_of(f, f.faces), others = faces_of(f, f.others);
  std::optional<model::LoadedModel> loaded;
  std::optional<Drawings> drawings;
  std::vector<double> weights;
  if (!f.checkpoint.empty()) {
    loaded = model::load_model(device, f.checkpoint);
    check_pictures(*loaded, faces);
    drawings.emplace(device, f, *loaded);
    weights = weights_of(f);
  }
  const json rows = measure(rules_for(loaded ? &*loaded : nullptr, faces), others, weights,
                            drawings ? &*drawings : nullptr);
  json result = {{"commit", apps::build_commit()},
                 {"date", now_text()},
                 {"machine", machine_of(device).text()},
                 {"rows", rows}};
  std::cout << "\n" << apps::build_commit() << ", " << now_text() << ", " << machine_of(device).text();
  if (loaded) {
    result.update(
        {{"step", loaded->step}, {"count", f.count}, {"sampler", f.sampler}, {"evaluations", f.evaluations}});
    std::cout << ", step " << loaded->step << ", " << f.count << " images each, " << f.sampler << ", "
              << f.evaluations << " evaluations";
  }
  std::cout << "\n";
  if (!f.json.empty()) io::write_file_atomic(f.json, io::json_text(result, 1) + "\n");
  return 0;
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  return ito::apps::run_program<ito::bench::Request>(
      "Measures on pixels how often a model draws the attributes that it is asked for.", argc, argv,
      ito::bench::run);
}
