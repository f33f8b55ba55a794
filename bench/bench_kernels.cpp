#include <fstream>
#include <iostream>

#include "apps/console/program.h"
#include "bench/kernel_cases.h"
#include "bench/kernel_report.h"
#include "kernels/base/clock.h"
#include "model/training/options.h"
#include "model/unet/presets.h"

/// How fast each kernel is over the shapes of a network, against what the machine can do and against other
/// ways to do the same.
namespace ito::bench {
namespace {

/// What is asked of ./bench_kernels.
struct Request {
  engine::DeviceChoice device = engine::DeviceChoice::automatic;
  std::optional<model::Precision> dtype;
  std::string preset = "celeba64", filter, json;
  std::optional<int> batch, repeats;
  int threads = 0;
  bool list = false;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.device, Field("device", "where to run"));
  visit(o.dtype, Field("dtype", "of activations").otherwise("bf16 on a GPU, f32 on the CPU"));
  visit(o.preset, Field("preset", "the network whose shapes are taken").one_of(model::preset_names()));
  visit(o.batch, Field("batch", "images", from(1).to(4096)).otherwise("32 on a GPU, 2 on the CPU"));
  visit(o.filter, Field("filter", "only cases that contain this text (a kind, kernel, shape or dtype)"));
  visit(o.repeats,
        Field("repeats", "timed runs of each case", from(1).to(100000)).otherwise("5 to 50, within 0.25 s"));
  visit(o.threads, Field("threads", "of the CPU; 0: all", kThreads));
  visit(o.json, Field("json", "a file that receives everything as one JSON object"));
  visit(o.list, Field("list", "print which cases there are, and run none"));
}

Setting setting_of(const Request& f) {
  Setting s;
  s.backend = engine::choose_backend(f.device);
  const bool cuda = s.backend == engine::Backend::cuda;
  s.batch = f.batch.value_or(cuda ? 32 : 2);
  const model::Precision precision = f.dtype.value_or(cuda ? model::Precision::bf16 : model::Precision::f32);
  s.dtype = precision == model::Precision::bf16 ? DType::bf16 : DType::f32;
  s.network = model::preset(f.preset).network;
  return s;
}

Cases cases_of(const Request& f, const Setting& setting) {
  std::vector<kernels::Conv2dDims> more;
  if (f.preset == "celeba64") more.push_back(unet_cu_convolution());
  return filtered(all_cases(setting, network_shapes(setting.network, setting.batch), more), f.filter);
}

Repeats repeats_of(const Request& f) { return f.repeats ? Repeats{*f.repeats, *f.repeats, 0} : Repeats{}; }

/// Opened before anything is measured: a path that cannot be written costs no minutes.
std::ofstream open_json(const std::string& path) {
  std::ofstream file;
  if (path.empty()) return file;
  file.open(path);
  if (!file) fail(cat("cannot write ", path, ": choose another --json FILE"));
  return file;
}

/// A GPU's clocks depend on what it does: they are looked at while a case runs.
MachineInfo machine_at_work(Operands& operands, const Case& c) {
  engine::Device& device = operands.device();
  MachineInfo machine = machine_of(device);
  if (machine.gpu.empty()) return machine;
  const PreparedCase prepared = c.prepare(operands);
  machine.observed = observe_gpu([&] { prepared.run(), device.synchronize(); });
  return machine;
}

int run(const Request& f) {
  const Setting setting = setting_of(f);
  const Cases cases = cases_of(f, setting);
  if (f.list) {
    list_cases(std::cout, cases);
    return 0;
  }
  std::ofstream json = open_json(f.json);
  const double start = now();
  engine::Device device({f.threads, setting.backend});
  Operands operands(device);
  Stopwatch watch(device, repeats_of(f), flush_bytes(device));
  const Ceilings ceilings = measure_ceilings(operands, watch, setting.dtype, ceiling_sizes(device));
  const std::string what =
      cat("Kernels over the shapes of ", f.preset, ", batch ", setting.batch, ", ", name_of(setting.dtype));
  Table table(std::cout, ceilings);
  const MachineInfo machine = machine_at_work(operands, cases.front());
  table.head(machine, what);
  std::vector<Measurement> measurements;
  for (const Case& c : cases) {
    measurements.push_back(measure(operands, watch, c));
    table.row(measurements.back());
  }
  table.foot(now() - start);
  if (!json.is_open()) return 0;
  json << to_json(machine, what, ceilings, measurements) << "\n";
  if (!json.flush()) fail(cat("cannot write ", f.json, ": is the disk full?"));
  return 0;
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  return ito::apps::run_program<ito::bench::Request>(
      "Times every kernel over the shapes of a network, against this machine's own ceilings.", argc, argv,
      ito::bench::run);
}
