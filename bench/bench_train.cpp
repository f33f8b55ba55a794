#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/console/program.h"
#include "bench/kernel_cases.h"
#include "bench/machine.h"
#include "bench/sampling_speed.h"
#include "bench/timing.h"
#include "engine/io/json_text.h"
#include "kernels/base/clock.h"
#include "kernels/base/names.h"
#include "kernels/base/process_memory.h"
#include "model/diffusion/sampler.h"
#include "model/diffusion/sampler_options.h"
#include "model/training/run_journal.h"
#include "model/training/trainer.h"
#include "model/unet/presets.h"

/// Speed and memory of a whole training step, as JSON: images per second, evaluations per second, the share
/// of the step that its convolutions alone would take, the shares of the data work and of the run's log and
/// page, and peak memory next to what the dry run predicted.
namespace ito::bench {
namespace {

using engine::Backend;
using nlohmann::json;

/// What is asked of ./bench_train.
struct Request {
  std::string preset = "small";
  engine::DeviceChoice device = engine::DeviceChoice::automatic;
  model::Precision precision = model::Precision::f32;
  kernels::Provider conv = kernels::Provider::own;
  int batch = 16, repeats = 5, threads = 0;
  std::optional<int> sampling = {};
  bool evaluation = false;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.preset, Field("preset", "network").one_of(model::preset_names()));
  visit(o.device, Field("device", "where to run"));
  visit(o.precision, Field("precision", "what the network computes in"));
  visit(o.conv, Field("conv", "convolutions and products on a GPU (auto: whichever is faster)"));
  visit(o.batch, Field("batch", "images a batch", from(1).to(65536)));
  visit(o.repeats,
        Field("repeats", "timed steps, on a GPU blocks of 20; the median counts", from(1).to(100000)));
  visit(o.threads, Field("threads", "of the CPU; 0: all", kThreads));
  visit(o.sampling,
        Field("sampling", "times samplers of about so many evaluations instead", from(1).to(10000)));
  visit(o.evaluation, Field("evaluation", "times evaluations of the network alone, of a batch, instead"));
}

/// What is timed at once: long enough on a GPU that the start of a block does not count.
constexpr int kStepsOnGpu = 20, kSamplerStepsOnGpu = 20;

model::TrainingOptions options_of(const Request& f) {
  model::TrainingOptions o;
  o.preset = f.preset, o.network = model::preset(f.preset).network;
  o.batch = f.batch, o.precision = f.precision;
  return o;
}

Setting setting_of(const Request& f) {
  return {engine::choose_backend(f.device), f.batch, compute_type(options_of(f)),
          model::preset(f.preset).network};
}

/// Pixels of some images, each different.
struct Pixels {
  static constexpr int kCount = 64;
  int height, width, channels;
  std::vector<uint8_t> values;

  explicit Pixels(const model::NetworkConfig& n)
      : height(n.height),
        width(n.width),
        channels(n.channels),
        values(size_t(kCount) * height * width * channels) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = uint8_t((i * 2654435761u) >> 13);
  }
  model::ImageSet images() const { return {values.data(), kCount, height, width, channels, "none", {}}; }
};

/// Bytes that this process has in use: resident, or taken from the GPU since `free_before`.
double used_bytes(Device& device, size_t free_before) {
  if (device.backend() == Backend::cpu) return resident_bytes();
  return double(free_before) - double(device.query([](auto& s) { return s.free_bytes(); }));
}

/// Seconds of a step: steps follow each other as in training, and the device is waited for at the ends alone.
double step_time(Device& device, model::Trainer& trainer, Stopwatch& watch) {
  const int steps = device.backend() == Backend::cpu ? 1 : kStepsOnGpu;
  trainer.advance();  // with the stopwatch's first, untimed run: both eager steps and the capture
  return watch
             .time([&] {
               for (int i = 0; i < steps; ++i) trainer.advance();
               device.synchronize();
             })
             .seconds /
         steps;
}

double evaluation_time(Device& device, model::Trainer& trainer, const Setting& setting, Stopwatch& watch) {
  const model::TrainingOptions& o = trainer.options();
  const int steps = device.backend() == Backend::cpu ? 1 : kSamplerStepsOnGpu;
  const model::SamplerPlan plan = model::make_sampler_plan(
      {.sampler = model::SamplerKind::heun, .steps = steps, .grid = model::Grid::karras},
      model::make_sde(o.diffusion.sde));
  const engine::Shape image{o.network.height, o.network.width, o.network.channels};
  model::Sampler sampler(
      device, model::network_denoiser(trainer.ema_network(), {o.diffusion.preconditioning, setting.dtype}),
      plan, image, setting.batch);
  const Runnable run = [&] {
    sampler.run({0});
    device.synchronize();
  };
  for (int i = 0; i < 2; ++i) run();
  return watch.time(run).seconds / plan.evaluations();
}

/// Seconds that the convolutions of a step take in a bare loop: as the step does them, and by the library.
struct Alone {
  double ours = 0, library = 0;  // where the library has none, ours counts
  std::string library_name;
};

Alone convolutions_alone(Device& device, const Setting& setting, const std::vector<engine::ConvCall>& calls) {
  Operands operands(device);
  Stopwatch watch(device, {3, 3, 0}, 0);
  Alone alone;
  for (const auto& call : distinct(calls)) {
    const PreparedCase prepared = convolution_case(setting, call).prepare(operands);
    const double ours = watch.time(prepared.run).seconds;
    alone.ours += call.uses * ours;
    alone.library += call.uses * (prepared.baseline.run ? watch.time(prepared.baseline.run).seconds : ours);
    if (prepared.baseline.run) alone.library_name = prepared.baseline.name;
  }
  return alone;
}

double data_time(Device& device, const Setting& setting) {
  Operands operands(device);
  return Stopwatch(device, {9, 9, 0}, 0).time(batch_cases(setting).front().prepare(operands).run).seconds;
}

/// One row: a step, and its convolutions alone; on the CPU with or without Winograd.
json measure(const Request& f, const Setting& setting, const model::ImageSet& images, bool winograd) {
  const bool cpu = setting.backend == Backend::cpu;
  Device device({f.threads, setting.backend, f.conv, {.conv = {.winograd = winograd}}});
  Stopwatch watch(device, {f.repeats, f.repeats, 0}, 0);
  const size_t free_before = device.query([](auto& s) { return s.free_bytes(); });
  std::vector<engine::ConvCall> calls;  // of the trainer's one dry run
  device.recorder().conv_calls = &calls;
  model::Trainer trainer(device, options_of(f), images);
  const model::MemoryPlan plan = trainer.plan();
  device.recorder().conv_calls = nullptr;
  if (calls.empty()) fail("the dry run of a training step showed no convolution");
  const double before = used_bytes(device, free_before);
  const double step = step_time(device, trainer, watch);
  const double used = used_bytes(device, free_before);
  const size_t sealed = device.arena().peak_bytes();
  trainer.finish();
  trainer.pause();
  const double evaluation = evaluation_time(device, trainer, setting, watch);
  const Alone alone = convolutions_alone(device, setting, calls);
  json row = {{"step_seconds", step},
              {"images_per_second", f.batch / step},
              {"evaluations_per_second", f.batch / evaluation},
              {"convolutions_alone_seconds", alone.ours},
              {"convolution_share", alone.ours / step},
              {"data_share", data_time(device, setting) / step},
              {"arena_bytes_predicted", plan.step_bytes},
              {"arena_bytes_used", sealed},
              {cpu ? "resident_bytes_predicted" : "gpu_bytes_predicted", before + double(plan.step_bytes)},
              {cpu ? "resident_bytes_used" : "gpu_bytes_used", used}};
  row["convolutions"] = !cpu ? name_of(f.conv) : winograd ? "winograd" : "direct";
  // Against Winograd a direct convolution would say nothing about the loop around it.
  if (!alone.library_name.empty() && !(cpu && winograd)) {
    row["library_convolutions_alone_by"] = alone.library_name;
    row["library_convolutions_alone_seconds"] = alone.library;
    row["library_convolution_share"] = alone.library / step;
  }
  return row;
}

/// A folder for what is written while timing, gone at the end.
struct ScratchFolder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / cat("bench_train-", getpid());
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

/// What a run writes for people: a line of the log and its events, every ten steps, and the page with curves
/// as full as they become, every three seconds at most.
json measure_journal(const Request& f, double step) {
  constexpr int kLines = int(model::Curve::kMostPoints), kPages = 25, kStepsPerLine = 10;
  constexpr double kSecondsPerPage = 3;
  const ScratchFolder scratch;
  const model::RunFolder folder(scratch.path);
  model::RunJournal journal(folder, options_of(f), 0, [](const std::string& what) { fail(what); });
  for (int i = 1; i <= kLines; ++i) journal.validation(i * kStepsPerLine, 1.0 / i);
  double begin = now();
  for (int i = 1; i <= kLines; ++i) {
    model::Progress progress;
    progress.step = i * kStepsPerLine, progress.loss = 1.0 / i, progress.images_per_second = 30 + 1.0 / i;
    journal.step(progress, {progress.step - 1, progress.loss, 2 + 1.0 / i, 2e-4, false});
  }
  const double line = (now() - begin) / kLines;
  begin = now();
  for (int i = 0; i < kPages; ++i) journal.ended("timed");
  const double page = (now() - begin) / kPages;
  return {{"log_line_seconds", line},
          {"page_seconds", page},
          {"share_of_step", line / (kStepsPerLine * step) + page / kSecondsPerPage}};
}

/// Rows of samplers, or of evaluations alone, on a network as it is before training: its numbers do not change its
/// speed.
json measure_sampling(const Request& f, const Setting& setting) {
  Device device({f.threads, setting.backend, f.conv});
  engine::ParamStore store(device);
  const model::Network network(engine::Scope(store), setting.network);
  store.allocate(engine::ParamStore::Use::inference, 1, setting.dtype);
  const model::Denoiser denoiser = model::network_denoiser(network, {{}, setting.dtype});
  const SamplingSpeed speed{device,
                            denoiser,
                            model::Sde(),
                            {setting.network.height, setting.network.width, setting.network.channels},
                            f.repeats};
  if (f.evaluation) {
    const std::vector<double> seconds = speed.evaluations_alone(f.batch);
    return json::array({{{"evaluation_seconds", seconds},
                         {"evaluations_per_second", f.batch / timing_of(seconds).seconds},
                         {"peak_bytes", peak_resident_bytes()}}});
  }
  std::vector<model::SamplerKind> kinds;
  for (const auto& row : Names<model::SamplerKind>::kTable) kinds.push_back(row.value);
  return speed.rows(kinds, *f.sampling);
}

/// Rows of training steps.
json measure_training(const Request& f, const Setting& setting) {
  const Pixels pixels(setting.network);
  json rows = json::array();
  rows.push_back(measure(f, setting, pixels.images(), true));
  if (setting.backend == Backend::cpu) rows.push_back(measure(f, setting, pixels.images(), false));
  return rows;
}

int run(const Request& f) {
  const Setting setting = setting_of(f);
  if (f.sampling && f.evaluation) fail("--sampling and --evaluation are two measurements: choose one");
  const bool draws = f.sampling || f.evaluation;
  const json rows = draws ? measure_sampling(f, setting) : measure_training(f, setting);
  Device device({f.threads, setting.backend});
  json report = {{"machine", machine_of(device).text()}, {"date", now_text()},
                 {"commit", apps::build_commit()},       {"preset", f.preset},
                 {"precision", name_of(f.precision)},    {"rows", rows}};
  if (!f.sampling) report["batch"] = f.batch;
  if (!draws) report["journal"] = measure_journal(f, rows[0]["step_seconds"]);
  std::cout << io::json_text(report, 2) << "\n";
  return 0;
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  return ito::apps::run_program<ito::bench::Request>(
      "Times whole training steps, samplers, or evaluations of the network, on this machine; prints JSON.",
      argc, argv, ito::bench::run);
}
