#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/console/program.h"
#include "bench/formula_denoiser.h"
#include "bench/line_chart.h"
#include "bench/machine.h"
#include "bench/mixture.h"
#include "bench/model_distance.h"
#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"
#include "kernels/base/parallel.h"
#include "kernels/base/philox.h"
#include "model/diffusion/sampler.h"
#include "model/diffusion/sampler_options.h"

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
                              plot, json, svg, strip;
  int count = 1000, shown = 2, exact = 0, threads = 0;
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
  visit(
      o.exact,
      Field(
          "exact",
          "images whose rms distance to rk45 with a tolerance of 1e-6 is printed, for samplers without noise",
          from(0).to(1e6)));
  visit(o.threads, Field("threads", "0: all", kThreads));
  visit(o.json, Field("json", "a file that receives the numbers"));
  visit(o.plot,
        Field("plot", "files of --json, separated by commas: --svg draws them, and nothing is measured"));
  visit(o.svg, Field("svg", "a file that receives the plot"));
}

/// Those that are asked for, else all that the model draws by: one that jumps to the image has its own alone.
std::vector<SamplerKind> samplers_of(const Request& f, bool jumps) {
  std::vector<SamplerKind> kinds;
  if (f.samplers.empty())
    for (const auto& row : Names<SamplerKind>::kTable) {
      if ((row.value == SamplerKind::consistency) == jumps) kinds.push_back(row.value);
    }
  else
    for (const std::string& name : split_list(f.samplers)) kinds.push_back(parse_name<SamplerKind>(name));
  return kinds;
}

constexpr int kPaths = 20000;
constexpr const char* kEvaluations = "evaluations of the network an image (dashed: samplers with noise)";

/// What a plan draws from the mixture's own quantiles, one by one.
std::vector<double> mixture_ends(const model::SamplerPlan& plan, int threads) {
  const Mixture mixture;
  std::vector<double> ends(kPaths);
  parallel_for(kPaths, thread_count(threads), [&](size_t i) {
    uint32_t drawn = 0;
    ends[i] = run_plan(
        plan, mixture.point_at((double(i) + 0.5) / kPaths, plan.prior_sigma),
        [&](double x, double sigma) { return mixture.denoise(x, sigma); },
        [&] {
          return random_normal({i, Purpose::test, 0, 0}, drawn++);
        });
  });
  return ends;
}

/// The same of a plan whose steps are not known beforehand: images of one pixel.
std::vector<double> mixture_ends(engine::Device& device, const model::SamplerPlan& plan,
                                 double* evaluations) {
  const Mixture mixture;
  std::vector<float> noise;
  for (int i = 0; i < kPaths; ++i)
    noise.push_back(float(mixture.point_at((i + 0.5) / kPaths, plan.prior_sigma) / plan.prior_sigma));
  const auto denoise = [&](double x, double sigma) { return mixture.denoise(x, sigma); };
  model::Sampler sampler(device, formula_denoiser(denoise), plan, {1, 1, 1}, kPaths);
  const std::vector<float> ends =
      sampler.numbers(std::vector<uint64_t>(kPaths, 0), {.progress = {}, .noise = noise.data()});
  *evaluations = sampler.evaluations();
  return {ends.begin(), ends.end()};
}

/// Wasserstein-2 distance between what a plan draws and the mixture: the rms distance of sorted samples to quantiles.
Measured mixture_distance(engine::Device& device, const model::SamplerPlan& plan, int threads) {
  const Mixture mixture;
  Measured m;
  m.evaluations = plan.evaluations();
  std::vector<double> ends =
      plan.flow ? mixture_ends(device, plan, &m.evaluations) : mixture_ends(plan, threads);
  std::sort(ends.begin(), ends.end());
  double sum = 0;
  for (int i = 0; i < kPaths; ++i) sum += square(ends[size_t(i)] - mixture.point_at((i + 0.5) / kPaths, 0));
  m.distance = std::sqrt(sum / kPaths);
  return m;
}

/// One sampler with one clip: how its settings begin, and its name in what is printed.
struct Candidate {
  model::SamplerOptions options;
  std::string name;
};

std::vector<Candidate> candidates_of(const Request& f, bool jumps) {
  std::vector<Candidate> candidates;
  for (const SamplerKind kind : samplers_of(f, jumps)) {
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

using Settle = std::function<model::SamplerSettings(const model::SamplerOptions&)>;

/// The candidate with each budget of evaluations; one that chooses its steps itself, with tolerances.
std::vector<model::SamplerSettings> settings_of(const Candidate& candidate, const Request& f,
                                                const Settle& settle) {
  std::vector<model::SamplerSettings> all;
  model::SamplerOptions options = candidate.options;
  if (model::info_of(*options.sampler).steps == 0) {
    for (const double tolerance : {1e-2, 1e-3, 1e-4, 1e-5}) {
      options.tolerance = tolerance;
      all.push_back(settle(options));
    }
    return all;
  }
  for (const std::string& text : split_list(f.evaluations)) {
    options.evaluations = parse_option<int>("each number of --evaluations", text, model::kSamplerSteps);
    all.push_back(settle(options));
  }
  return all;
}

/// Measures all candidates, and prints as it goes.
class Sweep {
 public:
  Sweep(engine::Device& device, const Request& f) : device_(device), f_(f) {
    if (!f.run.empty())
      images_.emplace(device, ModelDistance::Options{f.run, f.reference, f.cache, f.count, f.shown, f.exact});
  }
  void run() {
    for (const Candidate& candidate : candidates_of(f_, images_ && jumps(images_->loaded().options)))
      measure(candidate);
    if (images_) std::printf("floor: %d real images to the others  %.6g\n", f_.count, images_->floor());
  }
  json result() const {
    json all = {{"commit", apps::build_commit()},
                {"machine", machine_of(device_).text()},
                {"date", now_text()},
                {"what", images_ ? cat("FD-pixels8 of ", f_.count, " images")
                                 : "Wasserstein-2 distance to the mixture"},
                {"rows", rows_}};
    if (images_) all["floor"] = images_->floor();
    return all;
  }
  std::string chart() const {
    return line_chart(images_ ? "A trained model's images" : "A mixture of three Gaussians", kEvaluations,
                      images_ ? "FD-pixels8" : "Wasserstein-2 distance", lines_);
  }
  data::Image strip() const { return images_->strip(); }

 private:
  void measure(const Candidate& candidate) {
    const bool stochastic = model::info_of(*candidate.options.sampler).stochastic;
    Line line{candidate.name, {}, stochastic};
    const auto settle = [&](const model::SamplerOptions& o) {
      return images_ ? images_->loaded().settle(o) : model::settle(o, model::Prediction::edm);
    };
    for (const model::SamplerSettings& settings : settings_of(candidate, f_, settle)) {
      const model::SamplerPlan plan = model::make_sampler_plan(settings, sde());
      const Measured m =
          images_ ? images_->of(plan, !stochastic) : mixture_distance(device_, plan, f_.threads);
      std::printf("%-24s %6.1f evaluations  %.6g", line.name.c_str(), m.evaluations, m.distance);
      if (m.rms) std::printf("   rms %.6g", *m.rms);
      std::printf("\n");
      std::fflush(stdout);
      if (images_ || m.distance < kOffTheChart) line.points.emplace_back(m.evaluations, m.distance);
      rows_.push_back({{"sampler", name_of(settings.sampler)},
                       {"clip", settings.clip.text()},
                       {"evaluations", m.evaluations},
                       {"distance", m.distance}});
      if (m.rms) rows_.back()["rms"] = *m.rms;
    }
    lines_.push_back(std::move(line));
  }
  model::Sde sde() const { return images_ ? images_->loaded().sde : model::Sde(); }

  engine::Device& device_;
  const Request& f_;
  std::optional<ModelDistance> images_;
  json rows_ = json::array();
  std::vector<Line> lines_;
};

/// The plot of what was measured by several calls.
std::string chart_of(const std::string& files) {
  std::map<std::string, std::map<double, double>> points;
  for (const std::string& file : split_list(files)) {
    const json result = json::parse(io::read_file(file));
    for (const json& row : result.at("rows"))
      points[row.at("sampler")][row.at("evaluations")] = row.at("distance");
  }
  std::vector<Line> lines;
  for (const auto& [name, at] : points)
    lines.push_back({name, {at.begin(), at.end()}, model::info_of(parse_name<SamplerKind>(name)).stochastic});
  return line_chart("A trained model's images", kEvaluations, "FD-pixels8", lines);
}

int run(const Request& f) {
  if (!f.plot.empty()) {
    if (f.svg.empty()) fail("--plot needs --svg FILE");
    io::write_file_atomic(f.svg, chart_of(f.plot));
    return 0;
  }
  if (f.run.empty() != f.reference.empty()) fail("--run and --reference belong together");
  if (f.run.empty() && !(f.clip.empty() && f.strip.empty() && f.exact == 0))
    fail("--clip, --strip and --exact need --run");
  if (f.exact > f.count) fail(cat("--exact ", f.exact, " must be at most --count, ", f.count));
  engine::Device device({f.threads, engine::Backend::cpu});
  Sweep sweep(device, f);
  sweep.run();
  if (!f.strip.empty()) data::write_png(f.strip, sweep.strip());
  if (!f.json.empty()) io::write_file_atomic(f.json, io::json_text(sweep.result(), 1) + "\n");
  if (!f.svg.empty()) io::write_file_atomic(f.svg, sweep.chart());
  return 0;
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  return ito::apps::run_program<ito::bench::Request>(
      "Measures every sampler's error against its evaluations of the network.", argc, argv, ito::bench::run);
}
