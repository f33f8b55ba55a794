#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "bench/onednn_loop.h"
#include "model/diffusion/sampler.h"
#include "model/training/trainer.h"
#include "model/unet/presets.h"

/// Speed and memory of a whole training step, as JSON: images per second, evaluations per second, the share
/// of the step that its convolutions alone would take, the share of the data work, and peak memory beside
/// what the dry run predicted.
namespace ito::bench {
namespace {

using nlohmann::json;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + std::ptrdiff_t(v.size() / 2), v.end());
  return v[v.size() / 2];
}

template <class F>
double median_time(int repeats, F&& f) {
  f();
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const double before = now();
    f();
    seconds.push_back(now() - before);
  }
  return median(seconds);
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown";
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double all = 0, resident = 0;
  statm >> all >> resident;
  return resident * double(sysconf(_SC_PAGESIZE));
}

using Signature = std::tuple<int, int, int, int, int, int, int, int, int, int, int, int, int, int>;

/// The step's convolutions: each distinct pass once, with how often it is made.
std::vector<std::pair<engine::ConvCall, int>> distinct(const std::vector<engine::ConvCall>& calls) {
  std::map<Signature, std::pair<engine::ConvCall, int>> found;
  for (const engine::ConvCall& c : calls) {
    const auto& d = c.dims;
    auto& entry = found[{d.n, d.h, d.w, d.c1, d.c2, d.k, d.r, d.s, d.stride, d.pad_top, d.pad_left,
                         d.pad_bottom, d.pad_right, int(c.pass)}];
    entry.first = c;
    ++entry.second;
  }
  std::vector<std::pair<engine::ConvCall, int>> result;
  for (const auto& [key, entry] : found) result.push_back(entry);
  return result;
}

/// Our kernels' time for one pass, on buffers of their own.
double kernel_time(kernels::CpuStream& stream, const engine::ConvCall& call, int repeats) {
  using kernels::ConvPass;
  const auto& d = call.dims;
  std::vector<float> x(size_t(d.n) * d.h * d.w * d.c1, 0.5f), x2(size_t(d.n) * d.h * d.w * d.c2, 0.5f);
  std::vector<float> w(size_t(d.k) * d.r * d.s * d.c(), 0.1f), b(size_t(d.k), 0.1f);
  std::vector<float> y(size_t(d.n) * d.out_h() * d.out_w() * d.k, 0.5f);
  std::vector<float> workspace(
      kernels::conv2d_workspace_bytes(stream, d, kernels::DType::f32, call.pass) / 4 + 64);
  const auto aligned = [](std::vector<float>& v) {
    return kernels::Out{reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(v.data()) + 63) / 64 * 64),
                        kernels::DType::f32};
  };
  const auto out = [](std::vector<float>& v) {
    return kernels::Out{v.empty() ? nullptr : v.data(), kernels::DType::f32};
  };
  return median_time(repeats, [&] {
    if (call.pass == ConvPass::forward)
      kernels::conv2d_forward(stream, d, out(x), out(x2), out(w), {out(b), {}, {}}, out(y),
                              aligned(workspace));
    else if (call.pass == ConvPass::backward_data)
      kernels::conv2d_backward_data(stream, d, out(y), out(w), out(x), out(x2), aligned(workspace));
    else
      kernels::conv2d_backward_weights(stream, d, out(y), out(x), out(x2), out(w), out(b),
                                       aligned(workspace));
  });
}

double data_time(engine::Device& device, const model::TrainingOptions& o, const model::ImageSet& images,
                 int repeats) {
  const engine::Shape shape{o.batch, images.height, images.width, 3};
  engine::Tensor input(device, shape, engine::DType::f32), target = like(input);
  const std::vector<kernels::SampleRecipe> recipes(size_t(o.batch), {0, 0, 1, 1, 1, 1, 1});
  const uint32_t step = 0;
  const kernels::MakeBatchDims dims{
      o.batch, images.height, images.width, 3, 0, kernels::Purpose::diffusion_noise, &step};
  return median_time(repeats, [&] {
    device.launch([&](auto& s) {
      kernels::make_batch(s, dims, images.pixels, recipes.data(), input.out(), target.out());
    });
  });
}

double evaluation_time(engine::Device& device, model::Trainer& trainer, const model::TrainingOptions& o,
                       int repeats) {
  const engine::Shape image{o.network.height, o.network.width, 3};
  const model::SamplerPlan plan = model::make_sampler_plan("heun", model::make_sde(o.diffusion.sde), 1);
  model::Sampler sampler(device, model::network_denoiser(trainer.ema_network(), {}), plan, image, o.batch);
  return median_time(repeats, [&] { sampler.run({0}); });
}

/// One row: the step with or without Winograd, and its convolutions alone.
json measure(const model::TrainingOptions& o, const model::ImageSet& images, bool winograd, int repeats,
             int threads) {
  engine::Device device({threads});
  device.cpu_stream().state<kernels::ConvPreference>().winograd = winograd;
  model::Trainer trainer(device, o, images);
  const double before = resident_bytes();
  std::vector<engine::ConvCall> calls;
  device.trace_convolutions(&calls);
  const model::MemoryPlan plan = trainer.plan();
  device.trace_convolutions(nullptr);
  for (int i = 0; i < 2; ++i) trainer.step();
  const double step = median_time(repeats, [&] { trainer.step(); });
  const double used = resident_bytes();
  const size_t sealed = device.arena().peak_bytes();
  trainer.pause();
  const double evaluation = evaluation_time(device, trainer, o, repeats);
  double bare = 0, ours = 0;
  for (const auto& [call, count] : distinct(calls)) {
    const double kernel = kernel_time(device.cpu_stream(), call, 3);
    ours += count * kernel;
    const double library = winograd ? 0 : onednn_direct_time(call, 3);
    bare += count * (library > 0 ? library : kernel);
  }
  return {{"convolutions", winograd ? "winograd" : "direct"},
          {"step_seconds", step},
          {"images_per_second", o.batch / step},
          {"evaluations_per_second", o.batch / evaluation},
          {"convolutions_alone_seconds", winograd ? ours : bare},
          {"convolutions_alone_by", winograd ? "our kernels" : "oneDNN direct, NHWC"},
          {"our_convolutions_alone_seconds", ours},
          {"convolution_share", (winograd ? ours : bare) / step},
          {"data_share", data_time(device, o, images, 9) / step},
          {"arena_bytes_predicted", plan.step_bytes},
          {"arena_bytes_used", sealed},
          {"resident_bytes_predicted", before + double(plan.step_bytes)},
          {"resident_bytes_used", used}};
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  using namespace ito;  // NOLINT
  CLI::App app{"Times whole training steps on this machine; prints JSON.", "bench_train"};
  std::string preset = "small";
  int batch = 16, repeats = 5, threads = 0;
  app.add_option("--preset", preset)->capture_default_str();
  app.add_option("--batch", batch)->capture_default_str();
  app.add_option("--repeats", repeats, "timed steps; the median counts")->capture_default_str();
  app.add_option("--threads", threads, "0: all")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    model::TrainingOptions o;
    o.preset = preset;
    o.network = model::preset(preset).network;
    o.batch = batch;
    const size_t each = size_t(o.network.height) * size_t(o.network.width) * 3;
    std::vector<uint8_t> pixels(64 * each);
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = uint8_t((i * 2654435761u) >> 13);
    const model::ImageSet images{pixels.data(), 64, o.network.height, o.network.width, 3, "none", {}};
    nlohmann::json rows = nlohmann::json::array();
    for (bool winograd : {true, false}) rows.push_back(bench::measure(o, images, winograd, repeats, threads));
    std::cout << nlohmann::json({{"processor", bench::processor()},
                                 {"preset", preset},
                                 {"batch", batch},
                                 {"rows", rows}})
                     .dump(2)
              << "\n";
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "bench_train: " << e.what() << "\n";
    return 1;
  }
}
