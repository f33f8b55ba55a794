#include <cstdio>
#include <optional>

#include "apps/console/program.h"
#include "bench/scaling_model.h"
#include "engine/io/atomic_file.h"
#include "model/unet/network.h"
#include "model/unet/presets.h"

/// Predicts the step of a training over many ranks from measured pieces, and compares predictions with measured steps
/// (bench/scaling_model.h).
namespace ito::bench {
namespace {

constexpr const char* kPreset = "celeba64";
constexpr int kImages = 256;
constexpr const char* kRanks = "1,8,64,512";
constexpr Range kSeconds = from(0).to(1e6), kRate = above(0).to(1e18);

/// What is asked of ./bench_scaling.
struct Request {
  ScalingModel model;
  std::optional<int64_t> parameters;
  std::optional<std::string> preset, ranks;
  std::optional<Scaling> scaling;
  std::optional<int> batch;
  std::string measured;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.model.per_image, Field("compute",
                                 "seconds an image; with --fixed 96.4 ms at 256 images, measured: celeba64, "
                                 "bf16, H200",
                                 from(1e-9).to(1e6)));
  visit(o.model.fixed,
        Field("fixed", "seconds a step besides, the optimizer's among them; assumed", kSeconds));
  visit(o.preset, Field("preset", "network whose parameters are counted")
                      .one_of(model::preset_names())
                      .otherwise(kPreset));
  visit(
      o.parameters,
      Field("parameters", "numbers that are exchanged, in f32", from(1).to(1e15)).otherwise("the preset's"));
  visit(o.batch, Field("batch", "images: of each rank (weak) or of an update (strong)", from(1).to(1e9))
                     .otherwise(std::to_string(kImages).c_str()));
  visit(o.scaling, Field("scaling", "what stays the same with more ranks").otherwise("weak"));
  visit(o.ranks, Field("ranks", "how many, separated by commas").otherwise(kRanks));
  visit(o.model.links.per_machine, Field("per_machine", "ranks on a machine", from(1).to(65536)));
  visit(o.model.links.levels,
        Field("levels", "of the exchange: 1, among all ranks; 2, inside a machine, then between machines",
              from(1).to(2)));
  visit(o.model.links.bandwidth,
        Field("bandwidth", "bytes/s of a rank inside a machine; NVLink, assumed: 80 % of 450 GB/s", kRate));
  visit(o.model.links.network,
        Field("network", "bytes/s of a rank between machines; 400 Gb/s a GPU, assumed: 90 %", kRate));
  visit(o.model.links.latency, Field("latency", "seconds a phase of the exchange; assumed", kSeconds));
  visit(o.model.links.memory_rate,
        Field("memory_rate", "bytes/s that sums read and write; measured: a copy on an H200", kRate));
  visit(o.model.overlap, Field("overlap", "share of the exchange that the computation hides", from(0).to(1)));
  visit(o.measured, Field("measured",
                          "a file of measured steps, lines of JSON with ranks, batch, accumulate and "
                          "seconds_per_step, to compare instead"));
}

ScalingModel model_of(const Request& f) {
  if (f.preset && f.parameters) fail("--preset and --parameters both give the parameters: choose one");
  ScalingModel model = f.model;
  model.parameters =
      f.parameters ? double(*f.parameters)
                   : double(model::measure(model::preset(f.preset.value_or(kPreset)).network).parameters);
  return model;
}

void compare(const Request& f) {
  if (f.batch || f.scaling || f.ranks)
    fail("--measured brings its own ranks and batches: leave out --ranks, --batch and --scaling");
  std::vector<MeasuredStep> steps;
  try {
    steps = read_measured(io::read_file(f.measured));
  } catch (const Error& e) {
    e.rethrow_at(f.measured);
  }
  const ScalingModel model = model_of(f);
  std::printf("%s\n\n%s", assumptions_text(model).c_str(), measured_table(model, steps).c_str());
}

void predict_all(const Request& f) {
  const ScalingModel model = model_of(f);
  const Scaling scaling = f.scaling.value_or(Scaling::weak);
  const int images = f.batch.value_or(kImages);
  std::vector<Prediction> rows;
  for (const std::string& text : split_list(f.ranks.value_or(kRanks)))
    rows.push_back(
        predict(model, scaling, images, parse_option<int>("each number of --ranks", text, from(1).to(1e6))));
  std::printf("%s\n%s\n\n%s", assumptions_text(model).c_str(), efficiency_text(scaling, images).c_str(),
              prediction_table(rows).c_str());
}

int run(const Request& f) {
  if (f.measured.empty())
    predict_all(f);
  else
    compare(f);
  return 0;
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  return ito::apps::run_program<ito::bench::Request>(
      "Predicts the step of a training over many ranks from measured pieces, as a table in Markdown.", argc,
      argv, ito::bench::run);
}
