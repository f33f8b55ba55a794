#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "apps/console/program.h"
#include "bench/denoiser_loss.h"
#include "bench/drawn_features.h"
#include "bench/machine.h"
#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"
#include "model/diffusion/sampler.h"
#include "model/diffusion/sampler_options.h"
#include "model/metrics/frechet.h"
#include "model/metrics/neighbours.h"
#include "model/training/checkpoint.h"

/// How good the faces are that a checkpoint draws, next to drawn faces that it did not learn from: EDM's loss on fixed
/// noise, FD-drawn, and neighbours among the same features.
namespace ito::bench {
namespace {

using nlohmann::json;

// Without noise, so that a seed's image is the model's doing alone, and with 20 evaluations near the exact flow: .024
// (rms) where Heun's 19 are .041 from it (docs/samplers.md).
constexpr model::SamplerKind kSampler = model::SamplerKind::dpmpp_2m;

constexpr const char* kFeatures = "bench/drawn_features.safetensors";

/// What is asked of ./bench_quality.
struct Request {
  std::string checkpoint, reference, cache = "runs/cache", features, train_features, json, guide, levels;
  std::optional<double> guidance;
  int evaluations = 20;
  engine::DeviceChoice device = engine::DeviceChoice::automatic;
  int count = 1000, loss_count = 256, threads = 0;
  int64_t steps = FeatureTraining{}.steps;
  uint64_t seed = FeatureTraining{}.seed;
  bool about = false;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.checkpoint, Field("checkpoint", "a checkpoint's folder; without it the features are checked"));
  visit(o.reference, Field("reference", "drawn faces that neither the model nor the features learned from"));
  visit(o.cache, Field("cache", "folder of decoded images"));
  visit(o.features,
        Field("features", "weights of the network whose features are compared").otherwise(kFeatures));
  visit(o.count, Field("count", "images that are drawn", from(6).to(1e6)));
  visit(o.evaluations, Field("evaluations", "of the model, an image that is drawn", from(1).to(1e6)));
  visit(o.levels, Field("levels",
                        "of a model that jumps to the image: the noise levels that it jumps from, instead of "
                        "so many evaluations"));
  visit(o.guide, Field("guide", "an earlier checkpoint that images are led away from (autoguidance)"));
  visit(o.guidance, Field("guidance", "how strongly, with --guide", from(-100).to(100)));
  visit(o.loss_count, Field("loss_count", "images of the loss", from(1).to(1e6)));
  visit(o.device, Field("device", "where the model runs"));
  visit(o.threads, Field("threads", "0: all", kThreads));
  visit(o.json, Field("json", "a file that receives the numbers, one line"));
  visit(o.about, Field("about", "print the commit and the machine as JSON, and measure nothing"));
  visit(o.train_features,
        Field("train_features", "drawn faces: trains the features on them instead, and writes --features"));
  visit(o.steps, Field("steps", "of --train-features", from(1).to(1e6)));
  visit(o.seed, Field("seed", "of --train-features", kAnySeed));
}

data::Dataset faces_of(const Request& f, const std::string& folder, int height, int width) {
  data::DatasetOptions options;
  options.height = height, options.width = width;
  options.cache_dir = f.cache, options.split = "all", options.crop = "ddim128", options.threads = f.threads;
  return data::open_dataset(folder, options);
}

json facts(engine::Device& device) {
  return {{"commit", apps::build_commit()}, {"date", now_text()}, {"machine", machine_of(device).text()}};
}

int train(const Request& f, engine::Device& device) {
  if (f.features.empty()) fail("--train-features needs --features, a file that receives the weights");
  if (!f.checkpoint.empty() || !f.reference.empty() || !f.json.empty())
    fail("--train-features measures nothing: leave --checkpoint, --reference and --json away");
  const data::Dataset faces = faces_of(f, f.train_features, kFeatureSide, kFeatureSide);
  train_drawn_features(device, faces, {.steps = f.steps, .seed = f.seed}, f.features,
                       [](int64_t step, double loss) {
                         std::printf("step %6lld   loss %.4f\n", static_cast<long long>(step), loss);
                         std::fflush(stdout);
                       });
  return 0;
}

/// Shares in percent; "-" where there are no such faces.
std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", 100 * share);
  return share < 0 ? "-" : text;
}

/// How well the features see each attribute, at the two sizes that they learned from.
json check_features(const Request& f, const DrawnFeatures& features) {
  json rows = json::array();
  std::printf("| attribute | right of all | with it | without | right at half the size |\n");
  std::printf("| --- | --- | --- | --- | --- |\n");
  const auto seen = [&](int side) { return seen_attributes(features, faces_of(f, f.reference, side, side)); };
  const std::vector<SeenAttribute> whole = seen(kFeatureSide), half = seen(kFeatureSide / 2);
  for (size_t i = 0; i < whole.size(); ++i) {
    const SeenAttribute& s = whole[i];
    std::printf("| `%s` | %s | %s | %s | %s |\n", s.name.c_str(), percent(s.right).c_str(),
                percent(s.with).c_str(), percent(s.without).c_str(), percent(half[i].right).c_str());
    rows.push_back({{"attribute", s.name},
                    {"right", s.right},
                    {"with", s.with},
                    {"without", s.without},
                    {"right_at_half_the_size", half[i].right}});
  }
  return {{"attributes", rows}};
}

/// Real faces of the model's size, or drawn ones: how many, and what is seen in them.
struct Faces {
  size_t count;
  DrawnFeatures::Seen seen;

  model::FeatureRows rows(size_t first, size_t n) const {
    return {seen.features.data() + first * size_t(kDrawnFeatures), int64_t(n), kDrawnFeatures};
  }
  model::FeatureStatistics statistics(size_t first, size_t n) const {
    model::FeatureSums sums(kDrawnFeatures);
    sums.add(rows(first, n));
    return sums.statistics();
  }
};

double mean_distance(const model::FeatureRows& rows, const model::FeatureRows& base) {
  double sum = 0;
  for (const model::Nearest& n : model::nearest_rows(rows, base)) sum += n.distance;
  return sum / double(rows.rows);
}

void add_loss(json& result, const std::vector<LevelLoss>& losses) {
  result["loss"] = mean_loss(losses);
  std::printf("loss        %.5f, the mean of\n", mean_loss(losses));
  for (const LevelLoss& level : losses) {
    std::printf("            %.5f at sigma %.3g\n", level.loss, level.sigma);
    result["losses"].push_back({{"sigma", level.sigma}, {"loss", level.loss}});
  }
  std::fflush(stdout);
}

/// Distances of what was drawn to the real faces. The floor, and the real faces' own neighbours, are of as many real
/// faces (at most half of them) to the others.
void add_distances(json& result, const Faces& drawn, const Faces& real) {
  const size_t apart = std::min(drawn.count, real.count / 2), others = real.count - apart;
  const double distance = frechet_distance(drawn.statistics(0, drawn.count), real.statistics(0, real.count)),
               floor = frechet_distance(real.statistics(0, apart), real.statistics(apart, others));
  const model::Overlap overlap = model::overlap(real.rows(0, apart), drawn.rows(0, drawn.count));
  const model::FeatureRows base = real.rows(apart, others);
  const double nearest = mean_distance(drawn.rows(0, drawn.count), base),
               nearest_real = mean_distance(real.rows(0, apart), base);
  result.update({{"fd_drawn", distance},
                 {"floor", floor},
                 {"precision", overlap.precision},
                 {"recall", overlap.recall},
                 {"density", overlap.density},
                 {"coverage", overlap.coverage},
                 {"nearest", nearest},
                 {"nearest_real", nearest_real}});
  std::printf("FD-drawn    %.4f of %zu images; as many real faces to the others: %.4f\n", distance,
              drawn.count, floor);
  std::printf("overlap     precision %.3f, recall %.3f, density %.3f, coverage %.3f\n", overlap.precision,
              overlap.recall, overlap.density, overlap.coverage);
  std::printf("nearest     %.4f to the nearest real face; from real faces %.4f\n", nearest, nearest_real);
}

/// How many of the attributes that images were drawn under are seen in them, of all and of those that are present.
void add_asked(json& result, const model::AttributeRows& rows, const std::vector<uint64_t>& seeds,
               const std::vector<std::string>& seen_names, const std::vector<float>& answers) {
  const model::AttributeRequest request(rows, {});
  double asked[2] = {}, obtained[2] = {};  // absent, present
  for (size_t i = 0; i < seeds.size(); ++i) {
    const std::vector<float> wanted = request.condition_for(seeds[i]);
    for (size_t k = 0; k < wanted.size(); ++k) {
      const auto name = std::find(seen_names.begin(), seen_names.end(), rows.names()[k]);
      if (name == seen_names.end() || wanted[k] == 0) continue;
      const bool present = wanted[k] > 0;
      const float answer = answers[i * seen_names.size() + size_t(name - seen_names.begin())];
      ++asked[present], obtained[present] += (answer > 0) == present;
    }
  }
  if (asked[0] + asked[1] == 0) return;
  result["obtained"] = (obtained[0] + obtained[1]) / (asked[0] + asked[1]);
  result["obtained_present"] = asked[1] > 0 ? json(obtained[1] / asked[1]) : json();
  std::printf("attributes  %.3f of those asked for are seen; of those that were to be present %.3f\n",
              result["obtained"].get<double>(), obtained[1] / std::max(1.0, asked[1]));
}

void check_model(const model::LoadedModel& loaded) {
  if (loaded.options.crop != "ddim128")
    fail(cat("the model draws pictures of crop ", loaded.options.crop, ", and the features are for ddim128"));
}

/// How images are drawn: a model that jumps to the image has a sampler of its own.
model::SamplerSettings sampler_of(const Request& f, const model::LoadedModel& loaded) {
  if (!f.levels.empty()) return loaded.settle({.levels = f.levels});
  if (jumps(loaded.options)) return loaded.settle({.evaluations = f.evaluations});
  return loaded.settle({.sampler = kSampler, .evaluations = f.evaluations});
}

json measure(const Request& f, const DrawnFeatures& features, engine::Device& device) {
  const model::LoadedModel loaded = model::load_model(device, f.checkpoint);
  check_model(loaded);
  const model::TrainingOptions& o = loaded.options;
  const int height = o.network.height, width = o.network.width;
  const data::Dataset reference = faces_of(f, f.reference, height, width);
  constexpr size_t kLeast = 12;  // so that neighbours exist in each half
  if (reference.count() < kLeast)
    fail(cat(f.reference, " has ", reference.count(), " faces; at least ", kLeast, " are needed"));
  const engine::Shape image{height, width, 3};
  const model::SamplerSettings sampler = sampler_of(f, loaded);
  json result = facts(device);
  result.update({{"step", loaded.step},
                 {"images", loaded.step * o.batch * o.accumulate},
                 {"height", height},
                 {"width", width},
                 {"count", f.count},
                 {"real", reference.count()},
                 {"evaluations", evaluations_of(sampler)},
                 {"sampler", name_of(sampler.sampler)}});
  if (!f.levels.empty()) result["levels"] = f.levels;
  add_loss(result, denoiser_losses(device, loaded.denoiser(), loaded.sde, reference.pixels(),
                                   std::min(reference.count(), size_t(f.loss_count)), image));
  const model::SamplerPlan plan = model::make_sampler_plan(sampler, loaded.sde);
  std::optional<model::LoadedModel> guide;
  model::Denoiser denoiser = loaded.varied_denoiser();
  if (!f.guide.empty()) {
    guide = model::load_model(device, f.guide);
    denoiser = model::autoguided(denoiser, guide->varied_denoiser(), {.weight = *f.guidance});
    result.update({{"guide", guide->step}, {"guidance", *f.guidance}});
  }
  std::vector<uint64_t> seeds(size_t(f.count));
  std::iota(seeds.begin(), seeds.end(), uint64_t(0));
  const std::vector<uint8_t> pixels = model::sample_images(device, denoiser, plan, image, seeds);
  const auto seen = [&](const uint8_t* of, size_t count) {
    return Faces{count, features.look(of, count, height, width)};
  };
  const Faces drawn = seen(pixels.data(), seeds.size());
  add_distances(result, drawn, seen(reference.pixels(), reference.count()));
  if (!loaded.attributes.empty())
    add_asked(result, loaded.attributes, seeds, features.attributes(), drawn.seen.answers);
  return result;
}

int run(const Request& f) {
  // The features' own: they are to be the same wherever the model runs.
  engine::Device cpu({f.threads, engine::Backend::cpu});
  const engine::Backend backend = engine::choose_backend(f.device);
  engine::Device device({f.threads, backend});
  if (f.about) {
    std::printf("%s\n", io::json_text(facts(device)).c_str());
    return 0;
  }
  if (!f.train_features.empty()) return train(f, cpu);
  if (f.guide.empty() == f.guidance.has_value()) fail("give --guide and --guidance, or neither");
  const std::string weights = f.features.empty() ? kFeatures : f.features;
  if (f.reference.empty())
    fail("--reference is needed: draw faces with ./make_faces, of a seed that nothing learned from");
  const DrawnFeatures features(cpu, weights);
  json result = f.checkpoint.empty() ? facts(cpu) : json();
  result.update(f.checkpoint.empty() ? check_features(f, features) : measure(f, features, device));
  std::printf("\n%s, %s, %s\n", result["commit"].get<std::string>().c_str(),
              result["date"].get<std::string>().c_str(), result["machine"].get<std::string>().c_str());
  if (!f.json.empty()) io::write_file_atomic(f.json, io::json_text(result) + "\n");
  return 0;
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  return ito::apps::run_program<ito::bench::Request>(
      "Measures how good the faces are that a checkpoint draws, next to drawn faces.", argc, argv,
      ito::bench::run);
}
