#include <cmath>
#include <iostream>
#include <set>

#include "apps/console/live_line.h"
#include "apps/console/number_text.h"
#include "apps/console/output_file.h"
#include "apps/console/program.h"
#include "apps/console/stopping.h"
#include "apps/console/terminal_picture.h"
#include "apps/sampling/arrays.h"
#include "apps/sampling/attribute_grid.h"
#include "apps/sampling/picture.h"
#include "apps/sampling/preview.h"
#include "data/pictures/contact_sheet.h"
#include "engine/io/atomic_file.h"
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

/// Thrown out of the sampler after a signal asked to stop.
struct Interrupted {};

struct Job {
  const model::LoadedModel& loaded;
  const GuidedModel& guided;
  const model::SamplerSettings& sampler;
  const model::SamplerPlan& plan;
  Starts starts;
  fs::path out;
  int strip;  // states of strip.png, or 0
  bool keeps_numbers;
  Chunk chunk;
  SampleNote note;

  engine::Shape image() const {
    const model::NetworkConfig& net = loaded.options.network;
    return {net.height, net.width, net.channels};
  }
  size_t each() const { return size_t(image().count()); }
  int64_t evaluations() const { return div_up(int64_t(starts.size()), chunk.images) * plan.evaluations(); }
  /// Of the first pictures.
  std::vector<uint64_t> numbers(size_t count) const {
    return {starts.numbers().begin(), starts.numbers().begin() + std::ptrdiff_t(count)};
  }
};

/// The result of a sampling: all of it, or what was made before a signal.
struct Made {
  size_t images = 0;
  double evaluations = 0;           // of the networks, of all images
  std::vector<uint8_t> first;       // pixels of the first images, as many as a grid has room for
  std::vector<float> numbers;       // of all images, if they are kept
  std::vector<data::Image> strips;  // of the first chunk, state after state
};

/// Adds a state of `count` images.
void add_states(const Job& job, engine::Device& device, const model::Tensor& denoised, size_t count,
                Made& made) {
  const std::vector<uint8_t> pixels = state_pixels(device, denoised, count, job.image());
  for (size_t i = 0; i < count; ++i)
    made.strips.push_back(picture_of(pixels.data() + i * job.each(), job.image()));
}

/// Adds a chunk's pictures to the folder: first those of the same names are removed, which may come from another
/// sampling, and the note lists the new ones.
void write_images(Job& job, const uint8_t* pixels, size_t first, size_t count) {
  const auto begin = job.starts.numbers().begin() + std::ptrdiff_t(first);
  const std::vector<uint64_t> numbers(begin, begin + std::ptrdiff_t(count));
  std::error_code ignored;  // what cannot be removed cannot be written either
  for (const uint64_t number : numbers) fs::remove(job.out / picture_name(number), ignored);
  job.note.seeds.insert(numbers.begin(), numbers.end());
  write_sample_note(job.out, job.note);
  for (size_t i = 0; i < count; ++i) {
    const std::vector<uint8_t> png =
        encode_picture(pixels + i * job.each(), job.image(), job.note, numbers[i]);
    io::write_file_atomic(job.out / picture_name(numbers[i]),
                          {reinterpret_cast<const char*>(png.data()), png.size()});
  }
}

/// Samples chunk by chunk and writes each chunk's images as soon as they are there. Every image in the folder
/// is listed in samples.json, whenever this is killed.
Made run(engine::Device& device, Job& job) {
  const model::Denoiser denoiser = job.guided.denoiser();
  model::Sampler sampler(device, denoiser, job.plan, job.image(), job.chunk.images);
  const size_t all = job.starts.size(), chunk = size_t(sampler.chunk());
  const size_t shown = data::room_in_grid(all, int(job.image()[0]), int(job.image()[1]));
  const double chunks = double(div_up(all, chunk));
  Made made;
  LiveLine line;
  const double start = now();
  const auto progress_from = [&](size_t first) {
    const size_t chunks_before = first / chunk;
    return [&, chunks_before](double done) {
      if (interrupted()) throw Interrupted{};
      line.show(part_done((double(chunks_before) + done) / chunks, now() - start));
    };
  };
  const std::set<size_t> stages = shown_stages(job.plan, job.strip);
  const auto hooks_of = [&](size_t first, size_t count) {
    model::SampleHooks hooks;
    hooks.progress = progress_from(first);
    if (first == 0 && job.strip > 0)
      hooks.look = [&, count](size_t stage, const model::Tensor& denoised) {
        if (stages.count(stage)) add_states(job, device, denoised, count, made);
      };
    return hooks;
  };
  for (size_t first = 0; first < all; first += chunk) {
    const size_t count = std::min(all - first, chunk);
    try {
      const std::vector<float> numbers =
          draw_numbers(sampler, denoiser, job.starts, first, count, hooks_of(first, count));
      const std::vector<uint8_t> pixels = model::quantised(numbers);
      if (job.keeps_numbers) made.numbers.insert(made.numbers.end(), numbers.begin(), numbers.end());
      write_images(job, pixels.data(), first, count);
      made.images += count;
      made.evaluations += sampler.evaluations() * double(count);
      const size_t kept = std::min(count, shown - std::min(shown, first)) * job.each();
      made.first.insert(made.first.end(), pixels.begin(), pixels.begin() + std::ptrdiff_t(kept));
    } catch (const Interrupted&) {
      break;
    }
  }
  line.end();
  return made;
}

/// strip.png: a row for each image of the first chunk, its states and itself.
void write_strip(const Job& job, const Made& made) {
  const size_t states = shown_stages(job.plan, job.strip).size(), rows = made.strips.size() / states;
  if (rows == 0) return;
  std::vector<data::Image> pictures;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t k = 0; k < states; ++k) pictures.push_back(made.strips[k * rows + r]);
    pictures.push_back(picture_of(made.first.data() + r * job.each(), job.image()));
  }
  const fs::path file = job.out / "strip.png";
  data::write_png(file, data::make_grid(pictures, int(states) + 1), texts_of(job.note, job.numbers(rows)));
  std::cout << "           " << file.string() << " shows " << states << " states of the first " << rows
            << " and the images\n";
}

/// grid.png of what was made, and a line about everything.
void finish(const Job& job, const Made& made, double seconds) {
  const int height = int(job.image()[0]), width = int(job.image()[1]);
  const size_t shown = made.first.size() / job.each();
  const fs::path grid = job.out / "grid.png";
  data::write_png(grid, data::make_grid(made.first.data(), shown, height, width, data::grid_columns(shown)),
                  texts_of(job.note, job.numbers(shown)));
  const bool stopped = made.images < job.starts.size();
  std::cout << (stopped ? "stopped; " : "") << "wrote      " << grid.string() << " and " << made.images
            << " of " << job.starts.seeds().size() << " images next to it, in " << duration(seconds) << "\n";
  if (job.plan.flow)
    std::cout << "           its steps took " << std::lround(made.evaluations / double(made.images))
              << " evaluations an image on average\n";
  if (shown < made.images)
    std::cout << "note       " << grid.string() << " shows the first " << thousands(int64_t(shown))
              << ": a grid of more would be too large a picture\n";
}

/// The most memory that is going to be used: an evaluation's comes on top of what is there already.
std::string memory_text(engine::Device& device, const Job& job) {
  const double evaluation = double(job.chunk.evaluation_bytes), weights = double(device.persistent_bytes());
  const bool cpu = device.backend() == engine::Backend::cpu;
  return cat(bytes(evaluation + (cpu ? double(resident_bytes()) : weights)),
             cpu ? ": " : " of the GPU: ", bytes(weights), " weights, ", bytes(evaluation),
             " an evaluation of ", job.chunk.images, job.chunk.images == 1 ? " image" : " images",
             cpu ? ", the rest program" : "");
}

/// What is going to be done, `times` times.
void describe(const Job& job, const fs::path& checkpoint, engine::Device& device, size_t times) {
  const model::TrainingOptions& o = job.loaded.options;
  std::cout << "model      " << checkpoint.string() << " (" << o.preset << ", " << o.network.width << "x"
            << o.network.height << ", crop " << o.crop << ", step " << thousands(job.loaded.step) << ")\n"
            << "sampling   " << job.starts.seeds().size() * times << " images, "
            << model::text_of(job.sampler) << "\n"
            << "device     " << where(device) << "\n"
            << "memory     " << memory_text(device, job) << "\n";
  for (const auto& facts : {job.guided.facts(), job.starts.facts()})
    for (const auto& [name, value] : facts) std::cout << "asked      " << name << " " << value << "\n";
  for (const std::string& note : job.guided.notes()) std::cout << "note       " << note << "\n";
  const double each = time_evaluation(device, job.guided.denoiser(), job.plan, job.image(), job.chunk.images);
  if (job.plan.flow)
    std::cout << "the tolerance decides how many evaluations this takes: one of " << job.chunk.images
              << " images " << shortest_text(std::round(each * 1000)) << " ms" << std::endl;
  else
    std::cout << "this will take about " << duration(each * double(job.evaluations()) * double(times))
              << std::endl;
}

/// Draws and writes the one labelled picture of --attr-grid.
int sample_attribute_grid(const SampleRequest& f, engine::Device& device, const Job& job,
                          const fs::path& checkpoint) {
  check_own_pictures(job.out);
  const auto columns = attribute_columns(f.attribute_grid);
  const size_t images = columns.size() * job.starts.seeds().size();
  if (data::room_in_sheet(images, int(job.image()[0]), int(job.image()[1]), int(columns.size()),
                          int(job.starts.seeds().size())) < images)
    fail_advising(cat(images, " images are more than a picture holds"), {"a smaller {count}"});
  const GridPlan grid_plan = plan_attribute_grid(job.loaded, job.guided, columns, job.starts.seeds());
  describe(job, checkpoint, device, columns.size());
  for (const std::string& note : grid_plan.notes) std::cout << "note       " << note << "\n";
  LiveLine line;
  const double start = now();
  const data::Image grid = attribute_grid(device, job.guided, job.plan, job.image(), columns,
                                          job.starts.seeds(), [&](double done) {
                                            stop_if_interrupted("nothing was written");
                                            line.show(part_done(done, now() - start));
                                          });
  line.end();
  fs::create_directories(job.out);
  const fs::path file = job.out / "attr-grid.png";
  SampleNote note = job.note;
  note.sampling.emplace_back("attr_grid", f.attribute_grid);
  data::write_png(file, grid, texts_of(note, job.starts.seeds()));
  write_grid_note(job.out, note, grid_plan.images);
  std::cout << "wrote      " << file.string() << ": " << columns.size() << " columns by value, "
            << job.starts.seeds().size() << " rows by seed, in " << duration(now() - start)
            << "; attr-grid.json has the attributes of each image\n";
  return 0;
}

/// The first pictures as the terminal shows them, unless it shows none or --no-preview is given.
void print_preview(const Job& job, std::optional<bool> wanted, const Made& made) {
  const Terminal terminal = output_terminal();
  if (!wanted.value_or(terminal.shows_pictures)) return;
  const data::Image grid = preview_grid(made.first.data(), made.first.size() / job.each(), job.image(),
                                        terminal.columns, terminal.lines);
  std::cout << terminal_picture(grid.rgb.data(), grid.height, grid.width, terminal.colors);
}

int sample_images_of(const SampleRequest& f, engine::Device& device, Job& job, const fs::path& checkpoint) {
  check_own_pictures(job.out);
  check_same_pictures(job.out, job.note.crop, job.note.height, job.note.width);
  fs::create_directories(job.out);
  describe(job, checkpoint, device, 1);
  const double start = now();
  const Made made = run(device, job);
  if (made.images == 0)
    stop_if_interrupted("the first images were not complete, so that nothing was written");
  print_preview(job, f.preview, made);
  finish(job, made, now() - start);
  if (job.strip > 0) write_strip(job, made);
  if (job.keeps_numbers) {
    write_numbers(f.npy, made.numbers, job.image());
    std::cout << "           " << f.npy << " has the same before rounding\n";
  }
  return made.images < job.starts.seeds().size() ? kStoppedCode : 0;
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

int sample(SampleRequest f) {
  if (f.list_samplers) {
    std::cout << model::sampler_table();
    return 0;
  }
  check_attribute_grid(f);
  check_starts(f);
  check_output("--npy", f.npy);
  const engine::DeviceOptions where_to_run = device_options(f.device);
  const fs::path checkpoint = find_checkpoint(f.checkpoint, f.run);
  if (f.checkpoint.empty() && f.run.empty() && checkpoint == included_model())
    f.sampler = introduce_included_model(f.sampler);
  engine::Device device(where_to_run);
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
  Job job{.loaded = loaded,
          .guided = guided,
          .sampler = sampler,
          .plan = plan,
          .starts = Starts(f, image),
          .out = output_folder(f, checkpoint),
          .strip = f.strip.value_or(0),
          .keeps_numbers = !f.npy.empty(),
          .chunk = chunk_of(f, device, guided.denoiser(), image),
          .note = {}};
  job.note = note_of(f, checkpoint, loaded, sampler, guided, job.starts);
  // Pictures of this sampling that are there already stay part of it.
  if (const auto there = read_sample_note(job.out); there && same_sampling(*there, job.note))
    job.note.seeds = there->seeds;
  return f.attribute_grid.empty() ? sample_images_of(f, device, job, checkpoint)
                                  : sample_attribute_grid(f, device, job, checkpoint);
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  ito::apps::catch_interrupts();
  return ito::apps::run_program<ito::apps::SampleRequest>(
      "Samples faces from a trained model by solving its reverse SDE.", argc, argv, ito::apps::sample,
      ito::apps::kExitCodes);
}
