#include <atomic>
#include <cmath>
#include <iostream>
#include <numeric>

#include "apps/console/live_line.h"
#include "apps/console/number_text.h"
#include "apps/console/program.h"
#include "apps/console/stopping.h"
#include "apps/evaluation/run_fid.h"
#include "apps/inputs/checkpoint.h"
#include "apps/inputs/samples.h"
#include "apps/launch/launched.h"
#include "apps/training/request.h"
#include "apps/training/run_data.h"
#include "apps/training/shared_run.h"
#include "apps/training/source.h"
#include "data/pictures/contact_sheet.h"
#include "data/pictures/image.h"
#include "engine/agreement.h"
#include "kernels/base/clock.h"
#include "kernels/base/commands.h"
#include "kernels/base/math.h"
#include "kernels/base/path_text.h"
#include "kernels/base/process_memory.h"
#include "model/training/checkpoint.h"
#include "model/training/fine_tuning.h"
#include "model/training/recipe.h"
#include "model/training/session.h"
#include "model/unet/network.h"

namespace ito::apps {
namespace {

model::ImageSet image_set(const data::Dataset& images, const model::TrainingOptions& options) {
  model::ImageSet set{
      images.pixels(), int64_t(images.count()), images.height(), images.width(), 3, images.crop(), {}, {}};
  const std::vector<int8_t> rows = images.attribute_columns(options.attributes);
  set.conditions.assign(rows.begin(), rows.end());
  set.classes = images.classes();
  return set;
}

bool tunes(const model::TrainingOptions& o) { return o.objective == model::ObjectiveKind::consistency; }

void describe(const model::TrainingOptions& o, const data::Dataset& images, const model::NetworkSize& size,
              engine::Device& device) {
  std::cout << "images     " << thousands(int64_t(images.count())) << " of " << o.network.width << "x"
            << o.network.height << ", crop " << images.crop() << ", split " << images.split() << "\n"
            << "network    " << o.preset << ": " << thousands(size.parameters) << " parameters, "
            << cat(std::round(size.forward_flops * 1e-7) / 100) << " GFLOP forward\n"
            << (o.from ? cat("from       ", text_of(*o.from), ": its averaged weights\n") : "")
            << (o.attributes.empty() ? "" : cat("attributes ", model::short_list(o.attributes), "\n"))
            << (o.classes.empty() ? "" : cat("classes    ", model::short_list(o.classes), "\n"))
            << "objective  " << name_of(o.diffusion.sde.kind) << ", "
            << name_of(o.diffusion.preconditioning.prediction) << " prediction, "
            << name_of(o.diffusion.weighting) << " weighting, " << name_of(o.diffusion.draw.kind)
            << " noise levels"
            << (tunes(o) ? cat(", tuned to consistency in ", o.consistency.stages, " stages") : "") << "\n"
            << "training   " << thousands(o.steps) << " steps of " << o.batch
            << (o.accumulate > 1 ? cat(" x ", o.accumulate) : "") << " images, " << name_of(o.precision)
            << ", on " << where(device) << ranks_text(device.ranks()) << "\n";
  if (const auto until = model::images_until_faces(o))
    std::cout << "faces      to be expected from about " << thousands(*until) << " images on, step "
              << thousands(div_up(*until, int64_t(o.batch) * o.accumulate))
              << ", as with drawn faces (docs/training.md)\n";
}

std::string four_digits(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", x);
  return text;
}

std::string progress_text(const model::Progress& p) {
  return cat("step ", p.step, "/", p.steps, "   loss ", four_digits(p.loss), "   ",
             std::lround(p.images_per_second), " images/s   ", duration(p.seconds_left), " left   ",
             bytes(resident_bytes()),
             p.validation_loss ? cat("   valid ", four_digits(*p.validation_loss)) : "",
             p.skipped ? cat("   ", p.skipped, " skipped") : "");
}

/// Throws Stopped on all ranks if a signal asked one of them to stop.
void stop_together(kernels::Wire& ranks, const std::string& outcome) {
  if (engine::agree(ranks, interrupted() ? 1 : 0, "").code) stop(outcome);
}

/// Prints options, memory and time of a run, without writing anything: memory from a dry run of a step, time from three
/// real steps.
int dry_run(const TrainingRequest& f, engine::Device& device, model::Trainer& trainer,
            const model::NetworkSize& size) {
  const double base = resident_bytes();
  const model::MemoryPlan plan = trainer.plan();
  const model::TrainingOptions& o = trainer.options();
  double best = INFINITY;
  for (int i = 0; i < 4; ++i) {
    stop_together(device.ranks(), "the dry run is not done");
    const double before = now();
    trainer.step();
    if (i) best = std::min(best, now() - before);
  }
  const double images = double(o.batch) * o.accumulate;
  const std::string step = bytes(double(plan.step_bytes)) + " a step, ";
  if (device.backend() == engine::Backend::cuda)
    std::cout << "memory     " << bytes(double(plan.total())) << " of the GPU: " << step
              << bytes(double(plan.persistent_bytes)) << " weights, optimizer and images\n";
  else
    std::cout << "memory     " << bytes(base + double(plan.step_bytes)) << ": " << step
              << bytes(double(plan.persistent_bytes))
              << " weights and optimizer, the rest program and images\n";
  const std::optional<int64_t> until = model::images_until_faces(o);
  std::cout << "time       " << duration(best * double(o.steps)) << " for " << thousands(o.steps)
            << " steps at " << std::lround(images / best) << " images/s ("
            << std::lround(3 * size.forward_flops * images / best * 1e-9)
            << " GFLOP/s); grids and saving not included"
            << (until ? cat("; to first faces ", duration(best * double(*until) / images)) : "") << "\n"
            << "options    " << flags_text(f, o) << "\n";
  return 0;
}

/// Images per second of training, measured for some seconds on a trainer of its own.
double probe(engine::Device& device, const model::TrainingOptions& options, const model::ImageSet& images,
             double seconds) {
  model::Trainer trainer(device, options, images);
  for (int i = 0; i < 3; ++i) trainer.step();  // these choose plans, and one is recorded
  const double start = now();
  int steps = 0;
  // Rank 0's clock decides for all.
  while (engine::broadcast_value(device.ranks(), steps < 3 || now() - start < seconds)) {
    stop_together(device.ranks(), "nothing was learned in the probe");
    trainer.advance();
    ++steps;
  }
  trainer.finish();
  const double rate = steps * double(options.batch) * options.accumulate / (now() - start);
  return engine::broadcast_value(device.ranks(), rate);
}

/// Evaluations of the network that an image of a grid takes.
int64_t grid_evaluations(const model::TrainingOptions& o) {
  int64_t evaluations = 0;
  for (const model::SamplerSettings& sampler : grid_samplers(o)) evaluations += evaluations_of(sampler);
  return evaluations;
}

/// Images of a grid: --sample-count, or as many as a picture has room for.
int grid_images(const model::TrainingOptions& o) {
  if (o.sample_count == 0) return 0;
  const size_t grids = grid_samplers(o).size();
  return int(data::room_in_grid(size_t(o.sample_count) * grids, o.network.height, o.network.width) / grids);
}

/// Steps that fill --minutes, grids included; a run that has begun keeps its number.
int64_t steps_for_minutes(const TrainingRequest& f, engine::Device& device, const model::TrainingOptions& o,
                          const model::ImageSet& images, const std::optional<RunFid>& fid) {
  const auto begun = options_of_run(run_path(f));
  // Rank 0's answer, since the others would wait for it in the probe.
  if (const int64_t steps = engine::broadcast_value(device.ranks(), begun ? begun->steps : 0)) return steps;
  const double rate = probe(device, o, images, 10), batch = double(o.batch) * o.accumulate;
  // Each evaluation of an image of a grid takes about a third of a training pass.
  const double grid = grid_images(o) * double(grid_evaluations(o)) / (3 * rate);
  // An image of a validation takes one evaluation.
  const double validation = o.validate_count / (3 * rate);
  const double measuring = fid ? fid->seconds(rate) : 0;
  const double per_step = batch / rate + grid / double(o.sample_every) +
                          validation / double(o.validate_every ? o.validate_every : o.save_every) +
                          (fid ? measuring / double(f.fid_every) : 0);
  // At the end, and at step 0 of a run from other weights.
  const double around = (o.from ? 2 : 1) * (grid + validation + measuring);
  const int64_t steps = std::max<int64_t>(1, int64_t((*f.minutes * 60 - around) / per_step));
  std::cout << "probe      " << std::lround(rate) << " images/s: " << *f.minutes << " minutes are "
            << thousands(steps) << " steps, " << thousands(int64_t(double(steps) * batch)) << " images\n";
  return steps;
}

void print_notes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) std::cout << "note       " << note << "\n";
}

/// The FID network, if --fid-every asks for it; prints its cost.
std::optional<RunFid> open_fid(const TrainingRequest& f, const model::TrainingOptions& o,
                               engine::Device& device, const model::ImageSet& images) {
  if (f.fid_every == 0) return std::nullopt;
  std::optional<RunFid> fid(
      std::in_place, device,
      RunFid::Options{f.inception, f.fid_count, model::evaluations_of(model::grid_sampler(o))}, images);
  std::cout << "fid        of " << thousands(fid->count()) << " images every " << thousands(f.fid_every)
            << " steps: " << fid->cost() << "\n";
  print_notes(fid->notes());
  return fid;
}

std::optional<double> measure_fid(RunFid& fid, model::Trainer& trainer, LiveLine& line) {
  line.end();
  const std::optional<double> value = fid.measure(trainer, line);
  line.end();
  if (value)
    std::cout << "fid        step " << thousands(trainer.step_number()) << ": FID-" << fid.count() << " is "
              << four_digits(*value) << std::endl;
  return value;
}

using Grids = std::vector<std::vector<uint8_t>>;

/// The grids of a run's samplers next to each other.
data::Image grid_picture(const Grids& grids, size_t count, const model::NetworkConfig& net) {
  constexpr int kBetween = 8;  // pixels
  std::vector<data::Image> pictures;
  for (const std::vector<uint8_t>& pixels : grids)
    pictures.push_back(
        data::make_grid(pixels.data(), count, net.height, net.width, data::grid_columns(count)));
  return pictures.size() == 1 ? pictures[0] : data::make_grid(pictures, int(pictures.size()), kBetween);
}

/// The texts of a grid as run_session draws it: seeds 0.. by the run's sampler.
data::PngTexts texts_of_grid(const std::filesystem::path& run, int64_t step, const model::TrainingOptions& o,
                             int count) {
  SampleNote note;
  note.run = (std::filesystem::absolute(run) / "").lexically_normal().parent_path().filename().string();
  note.step = step;
  const std::vector<model::SamplerSettings> samplers = grid_samplers(o);
  note.sampling = model::facts_of(samplers.back());
  for (auto& [name, value] : note.sampling)
    if (name == "steps" && samplers.size() == 2) value = cat(samplers[0].steps, " and ", value);
  std::vector<uint64_t> seeds(static_cast<size_t>(count));
  std::iota(seeds.begin(), seeds.end(), uint64_t(0));
  return texts_of(note, seeds);
}

int finished(const model::RunFolder& folder, const std::string& out) {
  std::cout << "this run is finished: " << model::newest_checkpoint(folder.path())->string()
            << "\nsample it with " << commands::kSample << " --run " << shell_quoted(out)
            << ", or give more --steps to go on\n";
  return 0;
}

/// The data of the images to learn from; a run that goes on must keep to its own. A dry run only prints what would
/// happen.
RunData checked_data(const TrainingRequest& f, const model::TrainingOptions& o, const data::Dataset& images) {
  RunData data = run_data(f, o, images);
  std::string note;
  try {
    note = check_run_data(run_path(f), data, f, o);
  } catch (const Error& error) {
    if (!f.dry_run) throw;
    note = cat("training would be refused: ", with_flags(error));
  }
  if (!note.empty()) std::cout << "note       " << note << std::endl;
  return data;
}

int ended(const model::RunFolder& folder, const std::string& out, const model::SessionResult& result,
          bool writes) {
  if (!writes) return result.finished ? 0 : kStoppedCode;
  if (!result.images && result.finished) return finished(folder, out);
  std::cout << (result.finished ? "finished   " : "stopped    ") << "at step " << result.progress.step << ", "
            << std::lround(result.progress.images_per_second) << " images/s, peak memory "
            << bytes(peak_resident_bytes()) << "\nsaved      " << result.checkpoint.string() << "\n"
            << (result.finished ? cat("next       ", commands::kSample, " --run ", shell_quoted(out))
                                : std::string("go on with the same command"))
            << "\n";
  return result.finished ? 0 : kStoppedCode;
}

void note_conv(engine::Device& device, const model::TrainingOptions& options) {
  if (device.backend() == engine::Backend::cpu && options.conv != kernels::Provider::own)
    std::cout << "note       --conv " << name_of(options.conv)
              << " is for a GPU: it is stored with the run, and not used here\n";
}

int train(const Flags& flags, Launched& launched) {
  TrainingRequest request = training_request(flags);
  request.threads = launched.threads(request.threads);
  const engine::Backend backend = engine::choose_backend(request.device, launched.gpu());
  if (request.reduce == engine::Reduction::nccl && backend == engine::Backend::cpu)
    fail("--reduce nccl is for GPUs; leave it out");
  std::unique_ptr<Source> source = open_source(request);
  model::TrainingOptions options = training_options(flags, request, backend, source.get());
  const std::string out = run_path(request);
  const auto step = std::make_shared<std::atomic<int64_t>>(0);  // the watch may outlive this function
  launched.watch(request.stuck_after, [out, step] { return where_training_is(out, *step); });
  std::optional<data::Dataset> opened;
  launched.one_by_machine([&] { opened.emplace(open_images(request, options)); });
  const data::Dataset& images = *opened;
  complete(options, request, images);
  const model::NetworkSize size = model::measure(options.network);
  engine::Device device(launched.device(request.threads, backend, options.conv));
  note_conv(device, options);
  if (request.probe) {
    std::cout << probe(device, options, image_set(images, options), *request.probe) << "\n";
    return 0;
  }
  const RunData data = checked_data(request, options, images);
  std::optional<RunFid> fid = open_fid(request, options, device, image_set(images, options));
  if (request.minutes)
    set_steps(
        options,
        engine::broadcast_value(  // clocks differ
            device.ranks(), steps_for_minutes(request, device, options, image_set(images, options), fid)));
  check_ranks(device, options, data);
  describe(options, images, size, device);
  print_notes(notes_about(device.ranks(), request.reduce));
  model::Trainer trainer(device, options, image_set(images, options), request.reduce);
  const auto begin = [&] {
    std::vector<std::string> notes = model::begin_from(source->model, trainer);
    source.reset();  // a model's memory
    return notes;
  };
  if (request.dry_run) {
    if (source) print_notes(begin());
    return dry_run(request, device, trainer, size);
  }

  const model::RunFolder folder = open_run(device.ranks(), out, data);
  LiveLine line;
  model::SessionHooks hooks;
  hooks.saved = [&](const std::filesystem::path&) { write_run_data(out, data); };
  hooks.begin = begin;
  hooks.interrupted = interrupted;
  hooks.note = [&](const std::string& text) {
    line.end();
    std::cout << "note       " << text << std::endl;
  };
  hooks.report = [&](const model::Progress& p) {
    *step = p.step;
    line.show(progress_text(p));
  };
  hooks.write_grid = [&](const std::filesystem::path& path, const Grids& grids, int count) {
    data::write_png(path, grid_picture(grids, size_t(count), options.network),
                    texts_of_grid(folder.path(), trainer.step_number(), options, count));
  };
  hooks.most_in_grid = grid_images(options);
  if (hooks.most_in_grid < options.sample_count)
    hooks.note(cat("a grid has room for the first ", thousands(hooks.most_in_grid), " of --sample-count ",
                   thousands(options.sample_count), " images at this size"));
  if (fid) {
    hooks.fid_every = request.fid_every;
    hooks.fid = [&] { return measure_fid(*fid, trainer, line); };
  }
  std::cout << "run        " << out << "   (Ctrl-C saves; the same command goes on)" << std::endl;
  std::optional<data::Dataset> held_out;
  launched.one_by_machine([&] {
    if (auto held = open_validation(request, options, images)) held_out.emplace(std::move(*held));
  });
  const model::ImageSet validation = image_set(held_out ? *held_out : images, options);
  const model::SessionResult result = model::run_session(device, trainer, folder, hooks, &validation);
  line.end();
  return ended(folder, out, result, launched.writes());
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  CLI::App app{"Trains a score-based diffusion model on CelebA or any folder of images."};
  ito::apps::Flags flags(app);
  ito::apps::add_flags(flags);
  app.footer(ito::apps::kExitCodes);
  ito::apps::catch_interrupts();
  return ito::apps::run_launched(
      app, argc, argv, [&](ito::apps::Launched& launched) { return ito::apps::train(flags, launched); });
}
