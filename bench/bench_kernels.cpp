#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>

#include "bench/kernel_cases.h"
#include "bench/kernel_report.h"
#include "kernels/base/clock.h"
#include "kernels/base/names.h"
#include "model/unet/presets.h"

/// How fast each kernel is over the shapes of a network, against what the machine can do and against other
/// ways to do the same.
namespace ito::bench {
namespace {

constexpr Named<DType> kDTypes[] = {{"f32", DType::f32}, {"bf16", DType::bf16}};

struct Flags {
  std::string device = "auto", dtype, preset = "celeba64", filter, json;
  int batch = 0, repeats = 0, threads = 0;
  bool list = false;
};

void add_flags(CLI::App& app, Flags& f) {
  app.add_option("--device", f.device, "auto, cpu or cuda")->capture_default_str();
  app.add_option("--dtype", f.dtype, "of activations: f32 or bf16; default: bf16 on a GPU, f32 on the CPU");
  app.add_option("--preset", f.preset, "the network whose shapes are taken")->capture_default_str();
  app.add_option("--batch", f.batch, "images; default: 32 on a GPU, 2 on the CPU")
      ->check(CLI::Range(1, 4096));
  app.add_option("--filter", f.filter, "only cases that contain this text (a kind, kernel, shape or dtype)");
  app.add_option("--repeats", f.repeats, "timed runs of each case; default: 5 to 50, within 0.25 s")
      ->check(CLI::Range(1, 100000));
  app.add_option("--threads", f.threads, "of the CPU; 0: all")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_option("--json", f.json, "a file that receives everything as one JSON object");
  app.add_flag("--list", f.list, "say which cases there are, and run none");
}

Setting setting_of(const Flags& f) {
  Setting s;
  s.backend = engine::parse_backend(f.device);
  const bool cuda = s.backend == engine::Backend::cuda;
  s.batch = f.batch ? f.batch : cuda ? 32 : 2;
  s.dtype = f.dtype.empty() ? (cuda ? DType::bf16 : DType::f32) : value_of_name("dtype", f.dtype, kDTypes);
  s.network = model::preset(f.preset).network;
  return s;
}

Cases cases_of(const Flags& f, const Setting& setting) {
  std::vector<kernels::Conv2dDims> more;
  if (f.preset == "celeba64") more.push_back(unet_cu_convolution());
  return filtered(all_cases(setting, network_shapes(setting.network, setting.batch), more), f.filter);
}

Repeats repeats_of(const Flags& f) { return f.repeats ? Repeats{f.repeats, f.repeats, 0} : Repeats{}; }

/// Opened before anything is measured: a path that cannot be written costs no minutes.
std::ofstream open_json(const std::string& path) {
  std::ofstream file;
  if (path.empty()) return file;
  file.open(path);
  if (!file) fail(cat("cannot write ", path, ": choose another --json FILE"));
  return file;
}

/// A GPU's clocks depend on what it does: they are looked at while a case runs.
Machine machine_at_work(Operands& operands, const Case& c) {
  engine::Device& device = operands.device();
  Machine machine = machine_of(device);
  if (machine.gpu.empty()) return machine;
  const Trial trial = c.prepare(operands);
  machine.observed = observe_gpu([&] { trial.work(), device.synchronize(); });
  return machine;
}

void run(const Flags& f) {
  const Setting setting = setting_of(f);
  const Cases cases = cases_of(f, setting);
  if (f.list) return list_cases(std::cout, cases);
  std::ofstream json = open_json(f.json);
  const double start = now();
  engine::Device device({f.threads, setting.backend});
  Operands operands(device);
  Stopwatch watch(device, repeats_of(f), flush_bytes(device));
  const Ceilings ceilings = measure_ceilings(operands, watch, setting.dtype, ceiling_sizes(device));
  const std::string what =
      cat("Kernels over the shapes of ", f.preset, ", batch ", setting.batch, ", ", name_of(setting.dtype));
  Table table(std::cout, ceilings);
  const Machine machine = machine_at_work(operands, cases.front());
  table.head(machine, what);
  std::vector<Measurement> measurements;
  for (const Case& c : cases) {
    measurements.push_back(measure(operands, watch, c));
    table.row(measurements.back());
  }
  table.foot(now() - start);
  if (!json.is_open()) return;
  json << to_json(machine, what, ceilings, measurements) << "\n";
  if (!json.flush()) fail(cat("cannot write ", f.json, ": is the disk full?"));
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  CLI::App app{"Times every kernel over the shapes of a network, against this machine's own ceilings.",
               "bench_kernels"};
  ito::bench::Flags flags;
  ito::bench::add_flags(app, flags);
  CLI11_PARSE(app, argc, argv);
  try {
    ito::bench::run(flags);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "bench_kernels: " << e.what() << "\n";
    return 1;
  }
}
