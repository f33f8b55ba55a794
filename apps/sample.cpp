#include <cmath>
#include <iostream>
#include <set>

#include "apps/console/live_line.h"
#include "apps/console/number_text.h"
#include "apps/console/output_file.h"
#include "apps/console/program.h"
#include "apps/console/stopping.h"
#include "apps/inputs/samples.h"
#include "apps/sampling/arrays.h"
#include "apps/sampling/attribute_grid.h"
#include "apps/sampling/request.h"
#include "data/pictures/contact_sheet.h"
#include "data/pictures/image.h"
#include "kernels/base/clock.h"
#include "kernels/base/commands.h"
#include "kernels/base/hash.h"
#include "kernels/base/math.h"
#include "kernels/base/process_memory.h"
#include "model/diffusion/sample_chunk.h"
#include "model/diffusion/sampler.h"

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
  std::vector<uint64_t> seeds;
  std::vector<float> noise;  // [seeds,H,W,C], or empty
  fs::path out;
  int strip;  // states of strip.png, or 0
  bool keeps_numbers;
  int chunk;                // images at a time
  size_t evaluation_bytes;  // of memory, for a chunk, besides the weights
  SampleNote note;

  engine::Shape image() const {
    const model::NetworkConfig& net = loaded.options.network;
    return {net.height, net.width, net.channels};
  }
  int64_t evaluations() const { return div_up(int64_t(seeds.size()), chunk) * plan.evaluations(); }
};

fs::path picture(const Job& job, uint64_t seed) {
  char name[32];
  std::snprintf(name, sizeof name, "%06llu.png", static_cast<unsigned long long>(seed));
  return job.out / name;
}

/// Removes images of the same names, which may come from another sampling of the seeds.
void remove_images(const Job& job, const std::vector<uint64_t>& seeds) {
  std::error_code ignored;  // what cannot be removed cannot be written either
  for (const uint64_t seed : seeds) fs::remove(picture(job, seed), ignored);
}

/// The result of a sampling: all of it, or what was made before a signal.
struct Made {
  size_t images = 0;
  double evaluations = 0;           // of the networks, of all images
  std::vector<uint8_t> first;       // pixels of the first images, as many as a grid has room for
  std::vector<float> numbers;       // of all images, if they are kept
  std::vector<data::Image> strips;  // of the first chunk, state after state
};

/// Pixels [H,W,C] as a picture.
data::Image picture_of(const Job& job, const uint8_t* pixels) {
  data::Image image(int(job.image()[1]), int(job.image()[0]));
  std::copy_n(pixels, image.rgb.size(), image.rgb.begin());
  return image;
}

/// The stages whose denoised images strip.png shows: evenly spread, the last one left out, as its result is the image.
std::set<size_t> shown_stages(const Job& job) {
  std::vector<size_t> steps;
  for (size_t i = 0; i < job.plan.stages.size(); ++i)
    if (!job.plan.stages[i].corrects) steps.push_back(i);
  std::set<size_t> shown;
  for (int k = 0; k < job.strip; ++k) shown.insert(steps[size_t(k) * (steps.size() - 1) / size_t(job.strip)]);
  return shown;
}

/// Adds a state of `count` images. They may be outside of [-1, 1].
void add_states(const Job& job, engine::Device& device, const model::Tensor& denoised, size_t count,
                Made& made) {
  std::vector<float> numbers(count * size_t(job.image().count()));
  device.download(numbers.data(), denoised.data(), numbers.size() * sizeof(float));
  for (float& x : numbers) x = std::isfinite(x) ? x : 0;  // the sampler reports these itself
  const std::vector<uint8_t> pixels = model::quantised(numbers);
  for (size_t i = 0; i < count; ++i)
    made.strips.push_back(picture_of(job, pixels.data() + i * size_t(job.image().count())));
}

void write_images(const Job& job, const uint8_t* pixels, const uint64_t* seeds, size_t count) {
  const size_t each = size_t(job.image().count());
  for (size_t i = 0; i < count; ++i)
    data::write_png(picture(job, seeds[i]), picture_of(job, pixels + i * each),
                    texts_of(job.note, {seeds[i]}));
}

/// Samples chunk by chunk and writes each chunk's images as soon as they are there. Every image in the folder
/// is listed in samples.json, whenever this is killed.
Made run(engine::Device& device, Job& job) {
  const model::Denoiser denoiser = job.guided.denoiser();
  model::Sampler sampler(device, denoiser, job.plan, job.image(), job.chunk);
  const size_t chunk = size_t(sampler.chunk()), each = size_t(job.image().count());
  const size_t shown = data::room_in_grid(job.seeds.size(), int(job.image()[0]), int(job.image()[1]));
  const double chunks = double(div_up(job.seeds.size(), chunk));
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
  const std::set<size_t> stages = shown_stages(job);
  const auto hooks_of = [&](size_t first, size_t count) {
    model::SampleHooks hooks;
    hooks.progress = progress_from(first);
    if (!job.noise.empty()) hooks.noise = job.noise.data() + first * each;
    if (first == 0 && job.strip > 0)
      hooks.look = [&, count](size_t stage, const model::Tensor& denoised) {
        if (stages.count(stage)) add_states(job, device, denoised, count, made);
      };
    return hooks;
  };
  for (size_t first = 0; first < job.seeds.size(); first += chunk) {
    const size_t count = std::min(job.seeds.size() - first, chunk);
    const std::vector<uint64_t> seeds(job.seeds.begin() + std::ptrdiff_t(first),
                                      job.seeds.begin() + std::ptrdiff_t(first + count));
    try {
      if (denoiser.prepare) denoiser.prepare(seeds);
      const std::vector<float> numbers = sampler.numbers(seeds, hooks_of(first, count));
      const std::vector<uint8_t> pixels = model::quantised(numbers);
      if (job.keeps_numbers) made.numbers.insert(made.numbers.end(), numbers.begin(), numbers.end());
      remove_images(job, seeds);
      job.note.seeds.insert(seeds.begin(), seeds.end());
      write_sample_note(job.out, job.note);
      write_images(job, pixels.data(), seeds.data(), count);
      made.images += count;
      made.evaluations += sampler.evaluations() * double(count);
      const size_t kept = std::min(count, shown - std::min(shown, first));
      made.first.insert(made.first.end(), pixels.begin(), pixels.begin() + std::ptrdiff_t(kept * each));
    } catch (const Interrupted&) {
      break;
    }
  }
  line.end();
  return made;
}

/// strip.png: a row for each image of the first chunk, its states and itself.
void write_strip(const Job& job, const Made& made) {
  const size_t states = shown_stages(job).size(), rows = made.strips.size() / states;
  if (rows == 0) return;
  std::vector<data::Image> pictures;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t k = 0; k < states; ++k) pictures.push_back(made.strips[k * rows + r]);
    pictures.push_back(picture_of(job, made.first.data() + r * size_t(job.image().count())));
  }
  const fs::path file = job.out / "strip.png";
  const std::vector<uint64_t> seeds(job.seeds.begin(), job.seeds.begin() + std::ptrdiff_t(rows));
  data::write_png(file, data::make_grid(pictures, int(states) + 1), texts_of(job.note, seeds));
  std::cout << "           " << file.string() << " shows " << states << " states of the first " << rows
            << " and the images\n";
}

/// grid.png of what was made, and a line about everything.
void finish(const Job& job, const Made& made, double seconds) {
  const int height = int(job.image()[0]), width = int(job.image()[1]);
  const size_t shown = made.first.size() / size_t(job.image().count());
  const fs::path grid = job.out / "grid.png";
  const std::vector<uint64_t> seeds(job.seeds.begin(), job.seeds.begin() + std::ptrdiff_t(shown));
  data::write_png(grid, data::make_grid(made.first.data(), shown, height, width, data::grid_columns(shown)),
                  texts_of(job.note, seeds));
  const bool stopped = made.images < job.seeds.size();
  std::cout << (stopped ? "stopped; " : "") << "wrote      " << grid.string() << " and " << made.images
            << " of " << job.seeds.size() << " images next to it, in " << duration(seconds) << "\n";
  if (job.plan.flow)
    std::cout << "           its steps took " << std::lround(made.evaluations / double(made.images))
              << " evaluations an image on average\n";
  if (shown < made.images)
    std::cout << "note       " << grid.string() << " shows the first " << thousands(int64_t(shown))
              << ": a grid of more would be too large a picture\n";
}

/// The most memory that is going to be used: an evaluation's comes on top of what is there already.
std::string memory_text(engine::Device& device, const Job& job) {
  const double evaluation = double(job.evaluation_bytes), weights = double(device.persistent_bytes());
  const bool cpu = device.backend() == engine::Backend::cpu;
  return cat(bytes(evaluation + (cpu ? double(resident_bytes()) : weights)),
             cpu ? ": " : " of the GPU: ", bytes(weights), " weights, ", bytes(evaluation),
             " an evaluation of ", job.chunk, job.chunk == 1 ? " image" : " images",
             cpu ? ", the rest program" : "");
}

/// What is going to be done, `times` times.
void describe(const Job& job, const fs::path& checkpoint, engine::Device& device, size_t times) {
  const model::TrainingOptions& o = job.loaded.options;
  std::cout << "model      " << checkpoint.string() << " (" << o.preset << ", " << o.network.width << "x"
            << o.network.height << ", crop " << o.crop << ", step " << thousands(job.loaded.step) << ")\n"
            << "sampling   " << job.seeds.size() * times << " images, " << model::text_of(job.sampler) << "\n"
            << "device     " << where(device) << "\n"
            << "memory     " << memory_text(device, job) << "\n";
  for (const auto& [name, value] : job.guided.facts())
    std::cout << "asked      " << name << " " << value << "\n";
  for (const std::string& note : job.guided.notes()) std::cout << "note       " << note << "\n";
  const double each = time_evaluation(device, job.guided.denoiser(), job.plan, job.image(), job.chunk);
  if (job.plan.flow)
    std::cout << "the tolerance decides how many evaluations this takes: one of " << job.chunk << " images "
              << shortest_text(std::round(each * 1000)) << " ms" << std::endl;
  else
    std::cout << "this will take about " << duration(each * double(job.evaluations()) * double(times))
              << std::endl;
}

/// The folder's note, with the seeds that it already has of this sampling.
SampleNote note_of(const SampleRequest& f, const Job& job, const fs::path& checkpoint) {
  const model::TrainingOptions& o = job.loaded.options;
  SampleNote note;
  fs::path folder = fs::absolute(checkpoint).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();  // "step-00001000/" has an empty one
  const bool in_run = folder.parent_path().filename() == "checkpoints";
  note.run = (in_run ? folder.parent_path().parent_path() : folder).filename().string();
  note.step = job.loaded.step;
  note.sampling = model::facts_of(job.sampler);
  for (const auto& fact : job.guided.facts()) note.sampling.push_back(fact);
  if (!f.noise.empty()) {  // by its numbers: a file may have others later
    const uint64_t sum = Hash().add(job.noise.data(), job.noise.size() * sizeof(float)).value();
    note.sampling.emplace_back("noise", cat(fs::path(f.noise).filename().string(), " ", hex(sum)));
  }
  note.crop = o.crop, note.height = o.network.height, note.width = o.network.width;
  const std::optional<SampleNote> there = read_sample_note(job.out);
  if (there && same_sampling(*there, note)) note.seeds = there->seeds;
  return note;
}

/// Draws and writes the one labelled picture of --attr-grid.
int sample_attribute_grid(const SampleRequest& f, engine::Device& device, const Job& job,
                          const fs::path& checkpoint) {
  check_own_pictures(job.out);
  const auto columns = attribute_columns(f.attribute_grid);
  const size_t images = columns.size() * job.seeds.size();
  if (data::room_in_sheet(images, int(job.image()[0]), int(job.image()[1]), int(columns.size()),
                          int(job.seeds.size())) < images)
    fail_advising(cat(images, " images are more than a picture holds"), {"a smaller {count}"});
  const GridPlan grid_plan = plan_attribute_grid(job.loaded, job.guided, columns, job.seeds);
  describe(job, checkpoint, device, columns.size());
  for (const std::string& note : grid_plan.notes) std::cout << "note       " << note << "\n";
  LiveLine line;
  const double start = now();
  const data::Image grid =
      attribute_grid(device, job.guided, job.plan, job.image(), columns, job.seeds, [&](double done) {
        stop_if_interrupted("nothing was written");
        line.show(part_done(done, now() - start));
      });
  line.end();
  fs::create_directories(job.out);
  const fs::path file = job.out / "attr-grid.png";
  SampleNote note = job.note;
  note.sampling.emplace_back("attr_grid", f.attribute_grid);
  data::write_png(file, grid, texts_of(note, job.seeds));
  write_grid_note(job.out, note, grid_plan.images);
  std::cout << "wrote      " << file.string() << ": " << columns.size() << " columns by value, "
            << job.seeds.size() << " rows by seed, in " << duration(now() - start)
            << "; attr-grid.json has the attributes of each image\n";
  return 0;
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
  finish(job, made, now() - start);
  if (job.strip > 0) write_strip(job, made);
  if (job.keeps_numbers) {
    write_numbers(f.npy, made.numbers, job.image());
    std::cout << "           " << f.npy << " has the same before rounding\n";
  }
  return made.images < job.seeds.size() ? kStoppedCode : 0;
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
  std::vector<float> noise;
  if (!f.noise.empty()) noise = read_noise(f.noise, image);
  const std::optional<int64_t> noises =
      noise.empty() ? std::nullopt : std::optional(int64_t(noise.size()) / image.count());
  const fs::path out = output_folder(f, checkpoint);
  const int chunk = model::sample_chunk(device, guided.denoiser(), image);
  Job job{.loaded = loaded,
          .guided = guided,
          .sampler = sampler,
          .plan = plan,
          .seeds = chosen_seeds(f, noises),
          .noise = noise,
          .out = out,
          .strip = f.strip.value_or(0),
          .keeps_numbers = !f.npy.empty(),
          .chunk = chunk,
          .evaluation_bytes = model::checked_evaluation_bytes(device, guided.denoiser(), image, chunk),
          .note = {}};
  job.note = note_of(f, job, checkpoint);
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
