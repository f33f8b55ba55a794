#include <iostream>
#include <numeric>

#include "apps/console/live_line.h"
#include "apps/console/number_text.h"
#include "apps/console/program.h"
#include "apps/console/stopping.h"
#include "apps/inputs/checkpoint.h"
#include "apps/inputs/samples.h"
#include "data/pictures/contact_sheet.h"
#include "data/pictures/image.h"
#include "kernels/base/clock.h"
#include "kernels/base/math.h"
#include "model/diffusion/sampler.h"
#include "model/diffusion/sampler_options.h"

namespace ito::apps {
namespace {

namespace fs = std::filesystem;

/// What is asked of ./sample.
struct Request {
  model::SamplerOptions sampler;
  bool list_samplers = false;
  std::string run, checkpoint, out, seeds;
  int count = 64;
  DeviceRequest device;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  fields(o.sampler, visit);
  visit(o.list_samplers, Field("list_samplers", "print what each sampler is, and do nothing else"));
  visit(o.run, Field("run", "a training run's folder; its newest checkpoint is used")
                   .otherwise("the newest run below runs/"));
  visit(o.checkpoint, Field("checkpoint", "one checkpoint's folder"));
  visit(o.count, Field("count", "how many images, seeds 0 .. N-1", from(1).to(kMostSeeds)));
  visit(o.seeds, Field("seeds", "which images instead: 5, 0-63 or 0-15,100"));
  visit(o.out, Field("out", "where grid.png, 000000.png ... and samples.json go")
                   .otherwise("the run's folder/images; with --checkpoint: samples"));
  fields(o.device, visit);
}

std::vector<uint64_t> chosen_seeds(const Request& f) {
  if (!f.seeds.empty()) return parse_seeds(f.seeds);
  std::vector<uint64_t> seeds(static_cast<size_t>(f.count));
  std::iota(seeds.begin(), seeds.end(), uint64_t(0));
  return seeds;
}

fs::path output_folder(const Request& f, const fs::path& checkpoint) {
  if (!f.out.empty()) return f.out;
  if (!f.checkpoint.empty()) return "samples";
  return checkpoint.parent_path().parent_path() / "images";
}

/// Seconds of one evaluation of a full chunk: the last of four, since the first ones choose plans.
double time_evaluation(engine::Device& device, const model::Denoiser& denoiser,
                       const model::SamplerPlan& plan, const engine::Shape& image, int chunk) {
  model::SamplerPlan once = plan;
  once.stages.resize(1);
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
  const model::SamplerSettings& sampler;
  const model::SamplerPlan& plan;
  std::vector<uint64_t> seeds;
  fs::path out;
  int chunk;  // images at a time
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

void write_images(const Job& job, const uint8_t* pixels, const uint64_t* seeds, size_t count) {
  const size_t each = size_t(job.image().count());
  for (size_t i = 0; i < count; ++i) {
    data::Image image(int(job.image()[1]), int(job.image()[0]));
    std::copy_n(pixels + i * each, each, image.rgb.begin());
    data::write_png(picture(job, seeds[i]), image, texts_of(job.note, {seeds[i]}));
  }
}

/// The result of a sampling: all of it, or what was made before a signal.
struct Made {
  size_t images = 0;
  std::vector<uint8_t> first;  // pixels of the first images, as many as a grid has room for
};

/// Samples chunk by chunk and writes each chunk's images as soon as they are there. Every image in the folder
/// is listed in samples.json, whenever this is killed.
Made run(engine::Device& device, Job& job) {
  const model::Denoiser denoiser = job.loaded.denoiser();
  model::Sampler sampler(device, denoiser, job.plan, job.image(), job.chunk);
  const size_t chunk = size_t(sampler.chunk()), each = size_t(job.image().count());
  const size_t shown = data::room_in_grid(job.seeds.size(), int(job.image()[0]), int(job.image()[1]));
  const int64_t evaluations = job.evaluations();
  Made made;
  LiveLine line;
  const double start = now();
  int64_t done = 0;
  const auto progress = [&] {
    if (interrupted()) throw Interrupted{};
    ++done;
    const double left = (now() - start) / double(done) * double(evaluations - done);
    line.show(cat(done * 100 / evaluations, " %   ", done, " of ", evaluations, " evaluations   ",
                  duration(left), " left"));
  };
  for (size_t first = 0; first < job.seeds.size(); first += chunk) {
    const size_t count = std::min(job.seeds.size() - first, chunk);
    const std::vector<uint64_t> seeds(job.seeds.begin() + std::ptrdiff_t(first),
                                      job.seeds.begin() + std::ptrdiff_t(first + count));
    try {
      const std::vector<uint8_t> pixels = sampler.sample(seeds, progress);
      remove_images(job, seeds);
      job.note.seeds.insert(seeds.begin(), seeds.end());
      write_sample_note(job.out, job.note);
      write_images(job, pixels.data(), seeds.data(), count);
      made.images += count;
      const size_t kept = std::min(count, shown - std::min(shown, first));
      made.first.insert(made.first.end(), pixels.begin(), pixels.begin() + std::ptrdiff_t(kept * each));
    } catch (const Interrupted&) {
      break;
    }
  }
  line.end();
  return made;
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
  if (shown < made.images)
    std::cout << "note       " << grid.string() << " shows the first " << thousands(int64_t(shown))
              << ": a grid of more would be too large a picture\n";
}

void describe(const Job& job, const fs::path& checkpoint, engine::Device& device) {
  const model::TrainingOptions& o = job.loaded.options;
  std::cout << "model      " << checkpoint.string() << " (" << o.preset << ", " << o.network.width << "x"
            << o.network.height << ", crop " << o.crop << ", step " << thousands(job.loaded.step) << ")\n"
            << "sampling   " << job.seeds.size() << " images, " << model::text_of(job.sampler) << "\n"
            << "device     " << where(device) << "\n";
  const double each = time_evaluation(device, job.loaded.denoiser(), job.plan, job.image(), job.chunk);
  std::cout << "this will take about " << duration(each * double(job.evaluations())) << std::endl;
}

/// The folder's note, with the seeds that it already has of this sampling.
SampleNote note_of(const model::SamplerSettings& sampler, const model::LoadedModel& loaded,
                   const fs::path& checkpoint, const fs::path& out) {
  const model::TrainingOptions& o = loaded.options;
  SampleNote note;
  fs::path folder = fs::absolute(checkpoint).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();  // "step-00001000/" has an empty one
  const bool in_run = folder.parent_path().filename() == "checkpoints";
  note.run = (in_run ? folder.parent_path().parent_path() : folder).filename().string();
  note.step = loaded.step;
  note.sampling = model::facts_of(sampler);
  note.crop = o.crop, note.height = o.network.height, note.width = o.network.width;
  const std::optional<SampleNote> there = read_sample_note(out);
  if (there && same_sampling(*there, note)) note.seeds = there->seeds;
  return note;
}

int sample(const Request& f) {
  if (f.list_samplers) {
    std::cout << model::sampler_table();
    return 0;
  }
  const engine::DeviceOptions where_to_run = device_options(f.device);
  const std::vector<uint64_t> seeds = chosen_seeds(f);
  const fs::path checkpoint = find_checkpoint(f.checkpoint, f.run);
  engine::Device device(where_to_run);
  const model::LoadedModel loaded = model::load_model(device, checkpoint);
  const model::SamplerSettings sampler =
      model::settle(f.sampler, loaded.options.diffusion.preconditioning.prediction);
  const model::SamplerPlan plan = model::make_sampler_plan(sampler, loaded.sde);
  const model::NetworkConfig& net = loaded.options.network;
  const int chunk = model::sample_chunk(device, loaded.denoiser(), {net.height, net.width, net.channels});
  const fs::path out = output_folder(f, checkpoint);
  check_own_pictures(out);
  check_same_pictures(out, loaded.options.crop, net.height, net.width);
  Job job{loaded, sampler, plan, seeds, out, chunk, note_of(sampler, loaded, checkpoint, out)};
  fs::create_directories(job.out);
  describe(job, checkpoint, device);
  const double start = now();
  const Made made = run(device, job);
  if (made.images == 0)
    stop_if_interrupted("the first images were not complete, so that nothing was written");
  finish(job, made, now() - start);
  return made.images < seeds.size() ? kStoppedCode : 0;
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  ito::apps::catch_interrupts();
  return ito::apps::run_program<ito::apps::Request>(
      "Samples faces from a trained model by solving its reverse SDE.", argc, argv, ito::apps::sample,
      ito::apps::kExitCodes);
}
