#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/console/program.h"
#include "bench/kernel_cases.h"
#include "bench/kernel_report.h"
#include "model/unet/network.h"
#include "model/unet/presets.h"
#include "tests/helpers.h"
#include "tests/program.h"

/// What bench_kernels measures is what the network does; what it compares does the same; what it prints is
/// what it measured.
namespace ito::bench {
namespace {

using engine::Backend;
using namespace tests;

Setting tiny(DType dtype) { return {Backend::cpu, 2, dtype, model::preset("tiny").network}; }

template <class Dims>
int uses(const std::vector<Used<Dims>>& list) {
  int sum = 0;
  for (const auto& used : list) sum += used.uses;
  return sum;
}

double flops_forward(const Cases& cases) {
  double sum = 0;
  for (const Case& c : cases)
    if (c.name.find("forward") != std::string::npos) sum += c.uses * c.flops;
  return sum;
}

TEST_CASE("the shapes of celeba64 are those of its network") {
  const model::NetworkConfig network = model::preset("celeba64").network;
  const NetworkShapes shapes = network_shapes(network, 1);
  const Setting setting{Backend::cpu, 1, DType::f32, network};
  const model::NetworkSize size = model::measure(network);
  CHECK(shapes.parameters == size.parameters);
  // 22 residual blocks with two norms each, six attention blocks with one, and the last.
  CHECK(uses(shapes.norms) == 51);
  const auto joined = [](const auto& norm) { return norm.dims.c2 > 0; };
  CHECK(std::count_if(shapes.norms.begin(), shapes.norms.end(), joined) == 6);
  CHECK(uses(shapes.attentions) == 6);
  CHECK(uses(shapes.upsamplings) == 3);
  CHECK(flops_forward(convolution_cases(setting, shapes.convolutions)) +
            flops_forward(product_cases(setting, shapes.products)) +
            flops_forward(attention_cases(setting, shapes.attentions)) ==
        doctest::Approx(size.forward_flops).epsilon(1e-12));
}

TEST_CASE("another network's structure is refused") {
  CHECK_THROWS_WITH_AS(network_shapes(model::preset("tutorial").network, 1),
                       doctest::Contains("take one of diffusers' family"), Error);
}

TEST_CASE("median and spread") {
  const Timing t = timing_of({4, 2, 1, 3, 5});
  CHECK(t.seconds == 3);
  CHECK(t.spread == doctest::Approx((4.6 - 1.4) / 3));
  CHECK(t.repeats == 5);
  CHECK(quantile({1, 2}, 0.5) == 1.5);
}

TEST_CASE("the ceiling that takes longer is the one that counts") {
  Ceilings ceilings;
  ceilings.copy.per_second = 100;
  for (double rate : {500.0, 1000.0}) ceilings.arithmetic.push_back({"product", rate, {}});
  Case c;
  c.flops = 2000, c.bytes = 100;
  Share share = share_of({&c, {4, 0, 1}, {}, ""}, ceilings);
  CHECK(!share.of_memory);
  CHECK(share.per_second == 500);
  CHECK(share.share == 0.5);
  c.bytes = 300;
  share = share_of({&c, {4, 0, 1}, {}, ""}, ceilings);
  CHECK(share.of_memory);
  CHECK(share.per_second == 75);
  CHECK(share.share == 0.75);
}

TEST_CASE("a filter keeps what contains it, and refuses what nothing contains") {
  const Cases cases = pointwise_cases(tiny(DType::f32));
  CHECK(filtered(cases, "").size() == cases.size());
  CHECK(filtered(cases, "add_channels").size() == 2);
  CHECK(filtered(cases, "pointwise fill").size() == 1);
  CHECK_THROWS_WITH_AS(filtered(cases, "conv9d"), doctest::Contains("--list"), Error);
}

TEST_CASE("a watch repeats as often as asked, after one run that does not count") {
  Device device({1, Backend::cpu});
  int runs = 0;
  const auto count = [&] { ++runs; };
  CHECK(Stopwatch(device, {3, 3, 0}, 0).time(count).repeats == 3);
  CHECK(runs == 4);
  CHECK(Stopwatch(device, {2, 9, 1e9}, 4096).time(count).repeats == 9);
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) difference += (a[i] - b[i]) * (a[i] - b[i]), norm += b[i] * b[i];
  return std::sqrt(difference / norm);
}

TEST_CASE("a baseline computes the same as its kernel") {
  Device device({2, Backend::cpu});
  Operands operands(device);
  for (DType dtype : {DType::f32, DType::bf16}) {
    const Setting setting = tiny(dtype);
    int compared = 0;
    for (const Case& c : all_cases(setting, network_shapes(setting.network, setting.batch), {})) {
      CAPTURE(c.name);
      CAPTURE(c.shape);
      PreparedCase prepared = c.prepare(operands);
      if (!prepared.baseline.run || !prepared.result.defined()) continue;
      prepared.run();
      const std::vector<double> ours = prepared.result.to_doubles();
      device.zero(prepared.result.data(), prepared.result.bytes());
      prepared.baseline.run();
      CHECK(distance(prepared.result.to_doubles(), ours) < (dtype == DType::f32 ? 1e-5 : 0.02));
      ++compared;
    }
    CHECK(compared >= 10);
  }
}

TEST_CASE("a whole small run on the CPU, as table and as JSON") {
  Device device({2, Backend::cpu});
  Operands operands(device);
  Stopwatch watch(device, {2, 2, 0}, 4096);
  const Setting setting = tiny(DType::f32);
  const Cases cases = all_cases(setting, network_shapes(setting.network, setting.batch), {});
  const Ceilings ceilings = measure_ceilings(operands, watch, DType::f32, {1 << 20, 64, 1 << 12});
  CHECK(ceilings.bytes_per_second() > 0);
  CHECK(ceilings.flops_per_second() > 0);
  std::vector<Measurement> measurements;
  std::ostringstream text;
  Table table(text, ceilings);
  table.head(machine_of(device), "A test");
  for (const Case& c : cases) {
    measurements.push_back(measure(operands, watch, c));
    table.row(measurements.back());
  }
  const auto json = nlohmann::json::parse(to_json(machine_of(device), "A test", ceilings, measurements));
  CHECK(json["machine"]["cpu"] == device.cpu_stream().name());
  CHECK(json["machine"]["threads"] == 2);
  CHECK(json["commit"] == apps::build_commit());
  REQUIRE(json["cases"].size() == cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto& row = json["cases"][i];
    CAPTURE(row.dump());
    CHECK(row["name"] == cases[i].name);
    CHECK(row["ms"].get<double>() > 0);
    CHECK(row["repeats"] == 2);
    CHECK(row.contains("gbps") != row.contains("tflops"));
    CHECK(row["percent_of_ceiling"].get<double>() > 0);
    CHECK(row.contains("baseline") == measurements[i].baseline.has_value());
    CHECK(text.str().find(cases[i].name) != std::string::npos);
  }
}

TEST_CASE("a GPU is looked at while it works") {
  const TempFolder folder;
  const char* given = std::getenv("PATH");
  const std::string path = given ? given : "/usr/bin";
  const auto observed = [&](const std::string& answer, int& worked) {
    const std::filesystem::path program = folder.path() / "nvidia-smi";
    std::ofstream(program) << "#!/bin/sh\nsleep 0.1\n" << answer << "\n";
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    setenv("PATH", (folder.path().string() + ":" + path).c_str(), 1);
    MachineInfo::Observed result = observe_gpu([&] { ++worked; });
    setenv("PATH", path.c_str(), 1);
    return result;
  };
  int worked = 0;
  MachineInfo machine;
  machine.gpu = "A card", machine.driver = machine.runtime = "13.0";
  CHECK(machine.text() == "A card (driver for CUDA 13.0, runtime 13.0)");
  machine.observed = observed("echo '580.65.06, 1755, 2619'", worked);
  CHECK(worked > 0);
  CHECK(machine.text() ==
        "A card (driver for CUDA 13.0, runtime 13.0; driver 580.65.06; at work 1755 MHz, memory 2619 MHz)");
  CHECK(observed("echo '580.65.06, [N/A], [N/A]'", worked).driver == "580.65.06");
  CHECK(observed("echo '580.65.06, [N/A], [N/A]'", worked).clock_mhz == 0);
  CHECK(observed("exit 1", worked).driver.empty());
}

TEST_CASE("the program: a few cases, and mistakes that are reported") {
  const TempFolder folder;
  const auto run = [&](const std::string& arguments) {
    return run_program(folder.path(), "bench_kernels " + arguments);
  };
  const auto told = [&](const std::string& arguments, const std::string& part) {
    const Ended ended = run("--device cpu " + arguments);
    CAPTURE(ended.err);
    CHECK(ended.code != 0);
    CHECK(contains(ended.out + ended.err, part));
  };
  const Ended few = run("--device cpu --preset tiny --filter squared_error --repeats 1");
  CAPTURE(few.err);
  CHECK(few.code == 0);
  CHECK(contains(few.out + few.err, "squared_error_backward"));
  const Ended list = run("--list");
  CHECK(contains(list.out + list.err, "32x64x64x192 -> 64, 3x3"));
  told("--preset tiny --filter conv9d", "--list shows them all");
  told("--preset tiny --dtype f16", "--dtype must be f32 or bf16, is \"f16\"");
  told("--preset tiney", "did you mean \"tiny\"");
  told("--preset tiny --json /nowhere/at/all", "cannot write /nowhere/at/all");
  told("--preset tiny --batch 0", "--batch");
  told("--preset tiny --speed 3", "--speed");
}

}  // namespace
}  // namespace ito::bench
