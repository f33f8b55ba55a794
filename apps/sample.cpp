#include <cmath>
#include <iostream>

#include "apps/console/live_line.h"
#include "apps/console/number_text.h"
#include "apps/console/output_file.h"
#include "apps/console/program.h"
#include "apps/console/stopping.h"
#include "apps/console/terminal_picture.h"
#include "apps/inputs/give_way.h"
#include "apps/launch/launched.h"
#include "apps/sampling/arrays.h"
#include "apps/sampling/attribute_grid.h"
#include "apps/sampling/drawing.h"
#include "apps/sampling/preview.h"
#include "data/pictures/contact_sheet.h"
#include "engine/agreement.h"
#include "kernels/base/clock.h"
#include "kernels/base/commands.h"
#include "kernels/base/math.h"
#include "kernels/base/process_memory.h"

namespace ito::apps {
namespace {

namespace fs = std::filesystem;

fs::path output_folder(const SampleRequest& f, const fs::path& checkpoint) {
  if (!f.out.empty()) return f.out;
  if (!f.checkpoint.empty() || checkpoint == included_model()) return "samples";
  return checkpoint.parent_path().parent_path() / "images";
}

/// Seconds of one evaluation of a full chunk: the last of four, since the first ones choose plans.
double time_evaluation(engine::Device& device, const model::Denoiser& denoiser,
                       const model::SamplerPlan& plan, const engine::Shape& image, int chunk) {
  model::SamplerPlan once = plan;
  once.stages.resize(1);
  if (once.flow) once.stages[0].level = once.flow->most, once.flow.reset();
  model::Sampler sampler(device, denoiser, once, image, chunk);
  double seconds = 0;
  for (int i = 0; i < (device.backend() == engine::Backend::cpu ? 2 : 4); ++i) {
    stop_if_interrupted("nothing was written");
    const double before = now();
    sampler.run({0});
    device.synchronize();
    seconds = now() - before;
  }
  return seconds;
}

/// A sampling, with where it runs and what is printed about it.
struct Job {
  const Launched& launched;
  engine::Device& device;
  const fs::path& checkpoint;
  const model::LoadedModel& loaded;
  const model::SamplerSettings& sampler;
  Drawing drawing;

  /// Of a rank that has most of them.
  int64_t evaluations() const {
    const int64_t round = int64_t(drawing.chunk.images) * launched.size();
    return div_up(int64_t(drawing.starts.size()), round) * drawing.plan.evaluations();
  }
};

/// grid.png of what was made, and a line about everything.
void finish(const Drawing& d, const Made& made, double seconds) {
  const int height = int(d.image[0]), width = int(d.image[1]);
  const size_t shown = made.first.size() / d.each();
  const fs::path grid = d.out / "grid.png";
  data::write_png(grid, data::make_grid(made.first.data(), shown, height, width, data::grid_columns(shown)),
                  texts_of(d.note, d.numbers(shown)));
  const bool stopped = made.images < d.starts.size();
  std::cout << (stopped ? "stopped; " : "") << "wrote      " << grid.string() << " and " << made.images
            << " of " << d.starts.seeds().size() << " images next to it, in " << duration(seconds) << "\n";
  if (d.plan.flow)
    std::cout << "           its steps took " << std::lround(made.evaluations / double(made.images))
              << " evaluations an image on average\n";
  if (shown < made.images)
    std::cout << "note       " << grid.string() << " shows the first " << thousands(int64_t(shown))
              << ": a grid of more would be too large a picture\n";
}

/// The most memory that is going to be used: an evaluation's comes on top of what is there already.
std::string memory_text(engine::Device& device, const Chunk& chunk) {
  const double evaluation = double(chunk.evaluation_bytes), weights = double(device.persistent_bytes());
  const bool cpu = device.backend() == engine::Backend::cpu;
  return cat(bytes(evaluation + (cpu ? double(resident_bytes()) : weights)),
             cpu ? ": " : " of the GPU: ", bytes(weights), " weights, ", bytes(evaluation),
             " an evaluation of ", chunk.images, chunk.images == 1 ? " image" : " images",
             cpu ? ", the rest program" : "", ranks_text(device.ranks()));
}

/// What is going to be done, `times` times.
void describe(const Job& job, size_t times) {
  const Drawing& d = job.drawing;
  const model::TrainingOptions& o = job.loaded.options;
  std::cout << "model      " << job.checkpoint.string() << " (" << o.preset << ", " << o.network.width << "x"
            << o.network.height << ", crop " << o.crop << ", step " << thousands(job.loaded.step) << ")\n"
            << "sampling   " << d.starts.seeds().size() * times << " images, " << model::text_of(job.sampler)
            << "\n"
            << "device     " << where(job.device) << ranks_text(job.device.ranks()) << "\n"
            << "memory     " << memory_text(job.device, d.chunk) << "\n";
  for (const auto& facts : {d.guided.facts(), d.starts.facts()})
    for (const auto& [name, value] : facts) std::cout << "asked      " << name << " " << value << "\n";
  for (const std::string& note : d.guided.notes()) std::cout << "note       " << note << "\n";
  double each = 0;  // of all ranks at the same time, which may share cores
  job.launched.together(
      [&] { each = time_evaluation(job.device, d.guided.denoiser(), d.plan, d.image, d.chunk.images); });
  if (d.plan.flow)
    std::cout << "the tolerance decides how many evaluations this takes: one of " << d.chunk.images
              << " images " << shortest_text(std::round(each * 1000)) << " ms" << std::endl;
  else
    std::cout << "this will take about " << duration(each * double(job.evaluations()) * double(times))
              << std::endl;
}

/// Draws the one labelled picture of --attr-grid.
data::Image draw_attribute_grid(const Job& job, const std::vector<std::vector<std::string>>& columns) {
  const Drawing& d = job.drawing;
  LiveLine line;
  const double start = now();
  try {
    return attribute_grid(job.device, d.guided, d.plan, d.image, columns, d.starts.seeds(), [&](double done) {
      give_way();
      line.show(part_done(done, now() - start));
    });
  } catch (const engine::Interrupted&) {
    stop("nothing was written");
  }
}

int sample_attribute_grid(const SampleRequest& f, const Job& job) {
  const Drawing& d = job.drawing;
  job.launched.by_first([&] { check_own_pictures(d.out); });
  const auto columns = attribute_columns(f.attribute_grid);
  const std::vector<uint64_t>& seeds = d.starts.seeds();
  const size_t images = columns.size() * seeds.size();
  if (data::room_in_sheet(images, int(d.image[0]), int(d.image[1]), int(columns.size()), int(seeds.size())) <
      images)
    fail_advising(cat(images, " images are more than a picture holds"), {"a smaller {count}"});
  const GridPlan grid_plan = plan_attribute_grid(job.loaded, d.guided, columns, seeds);
  describe(job, columns.size());
  for (const std::string& note : grid_plan.notes) std::cout << "note       " << note << "\n";
  const double start = now();
  const data::Image grid = draw_attribute_grid(job, columns);
  job.launched.by_first([&] {
    fs::create_directories(d.out);
    const fs::path file = d.out / "attr-grid.png";
    SampleNote note = d.note;
    note.sampling.emplace_back("attr_grid", f.attribute_grid);
    data::write_png(file, grid, texts_of(note, seeds));
    write_grid_note(d.out, note, grid_plan.images);
    std::cout << "wrote      " << file.string() << ": " << columns.size() << " columns by value, "
              << seeds.size() << " rows by seed, in " << duration(now() - start)
              << "; attr-grid.json has the attributes of each image\n";
  });
  return 0;
}

/// The first pictures as the terminal shows them, unless it shows none or --no-preview is given.
void print_preview(const Drawing& d, std::optional<bool> wanted, const Made& made) {
  const Terminal terminal = output_terminal();
  if (!wanted.value_or(terminal.shows_pictures)) return;
  const data::Image grid = preview_grid(made.first.data(), made.first.size() / d.each(), d.image,
                                        terminal.columns, terminal.lines);
  std::cout << terminal_picture(grid.rgb.data(), grid.height, grid.width, terminal.colors);
}

/// All that is written besides the pictures themselves.
void write_results(const SampleRequest& f, const Drawing& d, const Made& made, double seconds) {
  print_preview(d, f.preview, made);
  finish(d, made, seconds);
  const fs::path strip = d.out / "strip.png";
  if (const size_t rows = d.strip > 0 ? write_strip(d, made, strip) : 0; rows > 0)
    std::cout << "           " << strip.string() << " shows " << shown_stages(d.plan, d.strip).size()
              << " states of the first " << rows << " and the images\n";
  if (d.keeps_numbers) {
    write_numbers(f.npy, made.numbers, d.image);
    std::cout << "           " << f.npy << " has the same before rounding\n";
  }
}

/// Where pictures go, made and ready. Those of this sampling that are there already stay part of it.
void open_folder(const Launched& launched, Drawing& d) {
  launched.by_first([&] {
    check_own_pictures(d.out);
    check_same_pictures(d.out, d.note.crop, d.note.height, d.note.width);
    fs::create_directories(d.out);
    if (const auto there = read_sample_note(d.out); there && same_sampling(*there, d.note))
      d.note.seeds = there->seeds;
  });
  launched.check_shared(d.out);
}

int sample_images_of(const SampleRequest& f, Job& job) {
  open_folder(job.launched, job.drawing);
  describe(job, 1);
  const double start = now();
  LiveLine line;
  const Made made =
      draw(job.device, job.drawing, [&](double done) { line.show(part_done(done, now() - start)); });
  line.end();
  if (made.images == 0) stop("the first images were not complete, so that nothing was written");
  job.launched.by_first([&] { write_results(f, job.drawing, made, now() - start); });
  return made.images < job.drawing.starts.size() ? kStoppedCode : 0;
}

/// Error: the ranks would not draw the same; with the first difference.
void check_ranks(const Job& job) {
  const Drawing& d = job.drawing;
  std::string sampling;
  for (const auto& [name, value] : d.note.sampling) sampling += cat(name, " ", value, "\n");
  engine::check_equal(job.launched.ranks(), {{"version", version_text()},
                                             {"device", job.device.name()},
                                             {"model", cat(d.note.run, ", step ", d.note.step)},
                                             {"sampling", sampling}});
}

/// Rank 0's, since a run under way may have a newer one a moment later.
fs::path chosen_checkpoint(const SampleRequest& f, const Launched& launched) {
  std::string found;
  launched.by_first([&] { found = find_checkpoint(f.checkpoint, f.run).string(); });
  return engine::broadcast_text(launched.ranks(), found);
}

/// Where there is no run, and no model is named: says which one is drawn from instead, and returns the sampler for a
/// first look, unless one is asked for.
model::SamplerOptions introduce_included_model(const model::SamplerOptions& asked) {
  std::cout
      << "note       no run is below runs/: this model comes with Ito, and has seen drawn faces alone; one "
         "of your own: "
      << commands::kHowToTrain << "\n";
  const bool chosen = asked.fast || asked.best || asked.sampler || asked.steps || asked.evaluations;
  if (chosen) return asked;
  model::SamplerOptions quick = asked;
  quick.fast = true;
  return quick;
}

/// The end of a line about another rank that ended.
std::string what_remains(const SampleRequest& f, const fs::path& out) {
  if (!f.attribute_grid.empty()) return "before all was drawn; nothing was written";
  return cat("before all was drawn; the pictures in ", out.string(),
             " are complete, but may be fewer than its samples.json lists; the same command draws all again");
}

int sample(SampleRequest f, Launched& launched) {
  constexpr double kStuckAfter = 600;  // seconds
  if (f.list_samplers) {
    std::cout << model::sampler_table();
    return 0;
  }
  check_attribute_grid(f);
  check_starts(f);
  launched.by_first([&] { check_output("--npy", f.npy); });
  const engine::Backend backend = engine::choose_backend(f.device.device, launched.gpu());
  const fs::path checkpoint = chosen_checkpoint(f, launched), out = output_folder(f, checkpoint);
  if (f.checkpoint.empty() && f.run.empty() && checkpoint == included_model())
    f.sampler = introduce_included_model(f.sampler);
  launched.watch(kStuckAfter, [text = what_remains(f, out)] { return text; });
  engine::Device device(launched.device(f.device.threads, backend, f.device.conv));
  const model::LoadedModel loaded = model::load_model(device, checkpoint);
  const model::NetworkConfig& net = loaded.options.network;
  const engine::Shape image{net.height, net.width, net.channels};
  const model::SamplerSettings sampler = loaded.settle(f.sampler);
  const model::SamplerPlan plan = model::make_sampler_plan(sampler, loaded.sde);
  if (f.strip && plan.flow)
    fail_advising(cat("a strip shows steps, and the sampler ", plan.name, " takes others for each image"),
                  {"no {strip}", "{sampler} heun, for example"});
  if (f.strip && sampler.steps < 2)
    fail_advising("a strip shows steps on the way, and there is one", {"{steps} 2 or more"});
  if (!f.attribute_grid.empty()) check_knows_attributes(loaded);
  const GuidedModel guided(device, loaded, f.guidance);
  Job job{.launched = launched,
          .device = device,
          .checkpoint = checkpoint,
          .loaded = loaded,
          .sampler = sampler,
          .drawing = {.guided = guided,
                      .plan = plan,
                      .image = image,
                      .starts = Starts(f, image),
                      .out = out,
                      .strip = f.strip.value_or(0),
                      .keeps_numbers = !f.npy.empty(),
                      .chunk = {},
                      .note = {}}};
  job.drawing.note = note_of(f, checkpoint, loaded, sampler, guided, job.drawing.starts);
  check_ranks(job);
  job.drawing.chunk = chunk_of(f, device, guided.denoiser(), image);
  return f.attribute_grid.empty() ? sample_images_of(f, job) : sample_attribute_grid(f, job);
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  ito::apps::catch_interrupts();
  return ito::apps::run_launched<ito::apps::SampleRequest>(
      "Samples faces from a trained model by solving its reverse SDE. Several ranks (mpirun, srun) share the "
      "images.",
      argc, argv, ito::apps::sample, ito::apps::kExitCodes);
}
