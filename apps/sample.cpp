#include <iostream>
#include <numeric>

#include "apps/app_main.h"
#include "apps/app_model.h"
#include "data/contact_sheet.h"
#include "data/image.h"
#include "model/diffusion/sampler.h"

namespace ito::apps {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string run, checkpoint, out, seeds, sampler = "euler-maruyama", device = "auto";
  int steps = 1000, count = 64, threads = 0;
};

void add_flags(CLI::App& app, Flags& f) {
  app.add_option("--steps", f.steps, "sampler steps")->capture_default_str();
  app.add_option("--sampler", f.sampler,
                 "euler-maruyama (the reverse SDE) or heun (EDM's, good from 18 steps)")
      ->capture_default_str();
  app.add_option(
      "--run", f.run,
      "a training run's folder; its newest checkpoint is used (default: the newest run below runs/)");
  app.add_option("--checkpoint", f.checkpoint, "one checkpoint's folder");
  app.add_option("--count", f.count, "how many images, seeds 0 .. N-1")->capture_default_str();
  app.add_option("--seeds", f.seeds, "which images instead: 5, 0-63 or 0-15,100");
  app.add_option("--out", f.out, "where grid.png and 000000.png ... go (default: the run's folder/images)");
  app.add_option("--device", f.device, "auto, cpu or cuda")->capture_default_str();
  app.add_option("--threads", f.threads, "CPU threads (0: all)")->capture_default_str();
}

std::vector<uint64_t> chosen_seeds(const Flags& f) {
  if (!f.seeds.empty()) return parse_seeds(f.seeds);
  if (f.count < 1) fail(cat("--count must be at least 1, is ", f.count));
  std::vector<uint64_t> seeds(static_cast<size_t>(f.count));
  std::iota(seeds.begin(), seeds.end(), uint64_t(0));
  return seeds;
}

fs::path output_folder(const Flags& f, const fs::path& checkpoint) {
  if (!f.out.empty()) return f.out;
  if (!f.checkpoint.empty()) return "samples";
  return checkpoint.parent_path().parent_path() / "images";
}

/// Seconds of one denoiser evaluation of a full chunk: the second of two, since the first chooses plans.
double time_evaluation(engine::Device& device, const model::Denoiser& denoiser,
                       const model::SamplerPlan& plan, const engine::Shape& image) {
  model::SamplerPlan once = plan;
  once.stages.resize(1);
  once.stages[0].from_start = false;
  const std::vector<uint64_t> seeds(model::kSampleChunk, 0);
  double seconds = 0;
  for (int i = 0; i < 2; ++i) {
    const double before = wall_clock();
    model::sample_chunk(device, denoiser, once, image, seeds);
    seconds = wall_clock() - before;
  }
  return seconds;
}

void write_images(const fs::path& out, const std::vector<uint8_t>& pixels, const std::vector<uint64_t>& seeds,
                  const model::NetworkConfig& net) {
  fs::create_directories(out);
  const size_t each = size_t(net.height) * size_t(net.width) * 3;
  for (size_t i = 0; i < seeds.size(); ++i) {
    data::Image image(net.width, net.height);
    std::copy_n(pixels.begin() + std::ptrdiff_t(i * each), each, image.rgb.begin());
    char name[32];
    std::snprintf(name, sizeof name, "%06llu.png", static_cast<unsigned long long>(seeds[i]));
    data::write_png(out / name, image);
  }
  data::write_png(out / "grid.png", data::make_grid(pixels.data(), seeds.size(), net.height, net.width,
                                                    grid_columns(int64_t(seeds.size()))));
}

int sample(const Flags& f) {
  check_device(f.device);
  const std::vector<uint64_t> seeds = chosen_seeds(f);
  const fs::path checkpoint = find_checkpoint(f.checkpoint, f.run);
  engine::Device device({f.threads});
  const model::LoadedModel loaded = model::load_model(device, checkpoint);
  const model::NetworkConfig& net = loaded.options.network;
  const engine::Shape image{net.height, net.width, net.channels};
  const model::SamplerPlan plan = model::make_sampler_plan(f.sampler, loaded.sde, f.steps);
  const model::Denoiser denoiser = loaded.denoiser();
  std::cout << "model      " << checkpoint.string() << " (" << loaded.options.preset << ", " << net.width
            << "x" << net.height << ", crop " << loaded.options.crop << ", step " << thousands(loaded.step)
            << ")\n"
            << "sampling   " << seeds.size() << " images, " << f.sampler << ", " << f.steps << " steps, on "
            << processor(device.threads()) << "\n";
  const double chunks = double((seeds.size() + model::kSampleChunk - 1) / model::kSampleChunk);
  const double each = time_evaluation(device, denoiser, plan, image);
  std::cout << "this will take about " << duration(each * plan.evaluations() * chunks) << std::endl;
  LiveLine line;
  const double start = wall_clock();
  const std::vector<uint8_t> pixels =
      model::sample_images(device, denoiser, plan, image, seeds, [&](int64_t done, int64_t total) {
        if (interrupted()) fail("interrupted: nothing was written");
        const double elapsed = wall_clock() - start;
        line.show(cat(done * 100 / total, " %   ", done, " of ", total, " evaluations   ",
                      duration(elapsed / double(done) * double(total - done)), " left"));
      });
  line.end();
  const fs::path out = output_folder(f, checkpoint);
  write_images(out, pixels, seeds, net);
  std::cout << "wrote      " << (out / "grid.png").string() << " and " << seeds.size()
            << " images beside it, in " << duration(wall_clock() - start) << "\n";
  return 0;
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  CLI::App app{"Samples faces from a trained model by solving its reverse SDE.", "sample"};
  ito::apps::Flags flags;
  ito::apps::add_flags(app, flags);
  ito::apps::catch_interrupts();
  return ito::apps::run_program(app, argc, argv, [&] { return ito::apps::sample(flags); });
}
