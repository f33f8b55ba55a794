#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/console/program.h"
#include "bench/line_chart.h"
#include "bench/machine.h"
#include "bench/mixture.h"
#include "data/dataset.h"
#include "data/pictures/contact_sheet.h"
#include "data/pictures/image.h"
#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"
#include "kernels/base/parallel.h"
#include "kernels/base/philox.h"
#include "model/diffusion/sampler.h"
#include "model/diffusion/sampler_options.h"
#include "model/metrics/frechet.h"
#include "model/metrics/pixel_features.h"
#include "model/training/checkpoint.h"

/// Error against evaluations for every sampler: on a mixture of three Gaussians whose denoiser is known, as the
/// distance between what is drawn and the mixture; and with --run, of a trained model's images, as FD-pixels8 to a
/// data set.
namespace ito::bench {
namespace {

using model::SamplerKind;
using nlohmann::json;

// The mixture is half as wide: with few steps some samplers leave it altogether.
constexpr double kOffTheChart = 1;

/// What is asked of ./bench_samplers.
struct Request {
  std::string run, reference, cache = "runs/cache", evaluations = "5,7,10,15,20,35,50,100", samplers, clip,
                              json, svg, strip;
  int count = 1000, shown = 2, threads = 0;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.run, Field("run", "a checkpoint's folder: its images instead of the mixture"));
  visit(o.reference, Field("reference", "real images, for --run"));
  visit(o.cache, Field("cache", "folder of decoded images"));
  visit(o.count, Field("count", "images a point, of --run", from(2).to(1e6)));
  visit(o.evaluations, Field("evaluations", "budgets of evaluations an image"));
  visit(o.samplers, Field("samplers", "their names, separated by commas").otherwise("all"));
  visit(o.clip,
        Field("clip", "of --run: none, static or quantiles, separated by commas; each sampler takes each")
            .otherwise("the model's"));
  visit(o.strip, Field("strip", "a PNG that receives the first images of each point of --run, side by side"));
  visit(o.shown, Field("shown", "images a point in --strip", from(1).to(1000)));
  visit(o.threads, Field("threads", "0: all", kThreads));
  visit(o.json, Field("json", "a file that receives the numbers"));
  visit(o.svg, Field("svg", "a file that receives the plot"));
}

std::vector<SamplerKind> samplers_of(const Request& f) {
  std::vector<SamplerKind> kinds;
  if (f.samplers.empty())
    for (const auto& row : Names<SamplerKind>::kTable) kinds.push_back(row.value);
  else
    for (const std::string& name : split_list(f.samplers)) kinds.push_back(parse_name<SamplerKind>(name));
  return kinds;
}

/// Wasserstein-2 distance between what a plan draws and the mixture: the rms distance of sorted samples to quantiles.
double mixture_distance(const model::SamplerPlan& plan, int threads) {
  constexpr int kPaths = 20000;
  const Mixture mixture;
  std::vector<double> ends(kPaths), exact(kPaths);
  parallel_for(kPaths, thread_count(threads), [&](size_t i) {
    const double p = (double(i) + 0.5) / kPaths;
    uint32_t drawn = 0;
    exact[i] = mixture.point_at(p, 0);
    ends[i] = run_plan(
        plan, mixture.point_at(p, plan.prior_sigma),
        [&](double x, double sigma) { return mixture.denoise(x, sigma); },
        [&] {
          return random_normal({i, Purpose::test, 0, 0}, drawn++);
        });
  });
  std::sort(ends.begin(), ends.end());
  double sum = 0;
  for (int i = 0; i < kPaths; ++i) sum += square(ends[size_t(i)] - exact[size_t(i)]);
  return std::sqrt(sum / kPaths);
}

model::FeatureStatistics statistics_of(const uint8_t* pixels, size_t count, int height, int width) {
  model::FeatureSums sums(model::kPixelFeatures);
  std::vector<float> features(model::kPixelFeatures);
  for (size_t i = 0; i < count; ++i) {
    model::pixel_features(pixels + i * size_t(height) * size_t(width) * 3, height, width, features.data());
    sums.add({features.data(), 1, model::kPixelFeatures});
  }
  return sums.statistics();
}

/// FD-pixels8 of a model's images by a plan.
class ModelDistance {
 public:
  ModelDistance(engine::Device& device, const Request& f)
      : device_(device),
        count_(f.count),
        shown_(std::min(f.shown, f.count)),
        loaded_(model::load_model(device, f.run)) {
    const model::NetworkConfig& net = loaded_.options.network;
    data::DatasetOptions options;
    options.height = net.height, options.width = net.width, options.cache_dir = f.cache,
    options.split = "all";
    if (loaded_.options.crop != "none") options.crop = loaded_.options.crop;
    const data::Dataset real = data::open_dataset(f.reference, options);
    real_ = statistics_of(real.pixels(), real.count(), net.height, net.width);
    const size_t taken = std::min(size_t(f.count), real.count() / 2);
    const uint8_t* rest = real.pixels() + taken * size_t(net.height) * size_t(net.width) * 3;
    floor_ = frechet_distance(statistics_of(real.pixels(), taken, net.height, net.width),
                              statistics_of(rest, real.count() - taken, net.height, net.width));
  }
  /// The same of as many real images (at most half of them) to the other real ones: the distance falls with their
  /// number.
  double floor() const { return floor_; }
  const model::LoadedModel& loaded() const { return loaded_; }
  double of(const model::SamplerPlan& plan) {
    const model::NetworkConfig& net = loaded_.options.network;
    std::vector<uint64_t> seeds(static_cast<size_t>(count_));
    std::iota(seeds.begin(), seeds.end(), uint64_t(0));
    const std::vector<uint8_t> pixels = model::sample_images(device_, loaded_.varied_denoiser(), plan,
                                                             {net.height, net.width, net.channels}, seeds);
    const auto kept = std::ptrdiff_t(shown_) * net.height * net.width * 3;
    first_.insert(first_.end(), pixels.begin(), pixels.begin() + kept);
    return frechet_distance(statistics_of(pixels.data(), seeds.size(), net.height, net.width), real_);
  }
  /// The first images of each plan so far, in a row.
  data::Image strip() const {
    const model::NetworkConfig& net = loaded_.options.network;
    const size_t images = first_.size() / (size_t(net.height) * size_t(net.width) * 3);
    return data::make_grid(first_.data(), images, net.height, net.width, int(images), 0);
  }

 private:
  engine::Device& device_;
  int count_, shown_;
  model::LoadedModel loaded_;
  model::FeatureStatistics real_;
  double floor_ = 0;
  std::vector<uint8_t> first_;
};

/// One sampler with one clip: how its settings begin, and its name in what is printed.
struct Candidate {
  model::SamplerOptions options;
  std::string name;
};

std::vector<Candidate> candidates_of(const Request& f) {
  std::vector<Candidate> candidates;
  for (const SamplerKind kind : samplers_of(f)) {
    const std::string name(name_of(kind));
    if (f.clip.empty()) {
      candidates.push_back({{.sampler = kind}, name});
      continue;
    }
    for (const std::string& clip : split_list(f.clip))
      candidates.push_back({{.sampler = kind, .clip = clip}, cat(name, ", ", clip)});
  }
  return candidates;
}

int run(const Request& f) {
  if (f.run.empty() != f.reference.empty()) fail("--run and --reference belong together");
  if (f.run.empty() && !(f.clip.empty() && f.strip.empty())) fail("--clip and --strip need --run");
  engine::Device device({f.threads, engine::Backend::cpu});
  std::optional<ModelDistance> images;
  if (!f.run.empty()) images.emplace(device, f);
  const model::Prediction prediction =
      images ? images->loaded().options.diffusion.preconditioning.prediction : model::Prediction::edm;
  const model::Sde sde = images ? images->loaded().sde : model::Sde();
  json rows = json::array();
  std::vector<Line> lines;
  for (const Candidate& candidate : candidates_of(f)) {
    Line line{candidate.name, {}, model::info_of(*candidate.options.sampler).stochastic};
    for (const std::string& text : split_list(f.evaluations)) {
      const int budget = parse_option<int>("each number of --evaluations", text, model::kSamplerSteps);
      model::SamplerOptions options = candidate.options;
      options.evaluations = budget;
      const model::SamplerSettings settings = model::settle(options, prediction);
      const model::SamplerPlan plan = model::make_sampler_plan(settings, sde);
      const double distance = images ? images->of(plan) : mixture_distance(plan, f.threads);
      std::printf("%-24s %5d evaluations  %.6g\n", line.name.c_str(), plan.evaluations(), distance);
      std::fflush(stdout);
      if (distance < kOffTheChart) line.points.emplace_back(plan.evaluations(), distance);
      rows.push_back({{"sampler", name_of(settings.sampler)},
                      {"clip", settings.clip.text()},
                      {"evaluations", plan.evaluations()},
                      {"distance", distance}});
    }
    lines.push_back(std::move(line));
  }
  json result = {
      {"commit", apps::build_commit()},
      {"machine", machine_of(device).text()},
      {"date", now_text()},
      {"what", images ? cat("FD-pixels8 of ", f.count, " images") : "Wasserstein-2 distance to the mixture"},
      {"rows", rows}};
  if (images)
    result["floor"] = images->floor(),
    std::printf("floor: %d real images to the others  %.6g\n", f.count, images->floor());
  if (!f.strip.empty()) data::write_png(f.strip, images->strip());
  if (!f.json.empty()) io::write_file_atomic(f.json, io::json_text(result, 1) + "\n");
  if (!f.svg.empty())
    io::write_file_atomic(f.svg,
                          line_chart(images ? "A trained model's images" : "A mixture of three Gaussians",
                                     "evaluations of the network an image (dashed: samplers with noise)",
                                     images ? "FD-pixels8" : "Wasserstein-2 distance", lines));
  return 0;
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  return ito::apps::run_program<ito::bench::Request>(
      "Measures every sampler's error against its evaluations of the network.", argc, argv, ito::bench::run);
}
