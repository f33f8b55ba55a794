#include <CLI/CLI.hpp>
#include <cmath>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/machine.h"
#include "bench/onednn_loop.h"
#include "bench/timing.h"
#include "kernels/base/philox.h"
#include "model/metrics/inception.h"

/// Speed of Inception's features, as JSON: images per second, and the share of the time that the network's
/// convolutions alone would take, each by bare oneDNN. Both are measured in turns, since a shared machine's
/// speed drifts; processor time, with one thread, does not see what else runs.
namespace ito::bench {
namespace {

using engine::Device;
using model::Inception;
using nlohmann::json;

struct Flags {
  int batch = 8, size = 64, repeats = 5, threads = 0;
  std::string resize = "pytorch-fid";
};

/// Random numbers under which activations keep their size: filters of variance 2 / fan-in, norms of
/// variance 1.
std::vector<float> random_weights(const std::string& name, const std::vector<int64_t>& shape) {
  size_t count = 1;
  for (const int64_t extent : shape) count *= size_t(extent);
  if (shape.size() == 1)
    return std::vector<float>(count, name.ends_with("mean") || name.ends_with("bias") ? 0.f : 1.f);
  const double deviation = std::sqrt(2.0 * double(shape[0]) / double(count));
  const RandomKey key{std::hash<std::string>{}(name)};
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = float(deviation * random_normal(key, uint32_t(i)));
  return values;
}

/// The network's convolutions for a batch, in order: a dry run is enough.
std::vector<engine::ConvCall> convolutions_of(const Inception& network, int batch) {
  std::vector<engine::ConvCall> calls;
  Device& device = network.device();
  const engine::DryRun dry(device);
  device.trace_convolutions(&calls);
  network.pool3({device, {batch, model::kInceptionSize, model::kInceptionSize, 3}, engine::DType::f32});
  device.trace_convolutions(nullptr);
  return calls;
}

json measure(const Flags& f) {
  Device device({f.threads});
  const model::InceptionFeatures extract(device, random_weights, model::parse_resize_mode(f.resize), f.batch);
  std::vector<Work> loops;
  for (const engine::ConvCall& call : convolutions_of(extract.network(), f.batch)) {
    loops.push_back(onednn_direct(call));
    if (!loops.back()) fail("bench_features compares with oneDNN, which this build does not have");
  }
  std::vector<uint8_t> images(size_t(f.batch) * f.size * f.size * 3);
  for (size_t i = 0; i < images.size(); ++i) images[i] = uint8_t((i * 2654435761u) >> 13);
  std::vector<float> features(size_t(f.batch) * Inception::kFeatures);
  const Work ours = [&] { extract(images.data(), f.batch, f.size, f.size, features.data()); };
  const Work bare = [&] {
    for (const Work& loop : loops) loop();
  };
  Stopwatch watch(device, {}, 0);
  ours(), bare();  // plans are made
  std::vector<double> extraction, convolutions, shares, processor_shares;
  for (int i = 0; i < f.repeats; ++i) {
    const std::clock_t start = std::clock();
    extraction.push_back(watch.once(ours));
    const std::clock_t middle = std::clock();
    convolutions.push_back(watch.once(bare));
    shares.push_back(convolutions.back() / extraction.back());
    processor_shares.push_back(double(std::clock() - middle) / double(middle - start));
  }
  const Timing time = timing_of(extraction), conv = timing_of(convolutions), share = timing_of(shares);
  return {{"what",
           cat("Inception features, batch ", f.batch, ", ", f.size, "x", f.size, ", ", f.resize, ", f32")},
          {"machine", machine_of(device).text()},
          {"date", now_text()},
          {"commit", commit()},
          {"images_per_second", f.batch / time.seconds},
          {"seconds", time.seconds},
          {"spread", time.spread},
          {"bare_onednn_convolutions_seconds", conv.seconds},
          {"bare_over_ours", share.seconds},
          {"bare_over_ours_spread", share.spread},
          {"bare_over_ours_processor_time", timing_of(processor_shares).seconds},
          {"repeats", f.repeats},
          {"peak_bytes", device.arena().peak_bytes()}};
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  CLI::App app{
      "Times the extraction of Inception's features on the CPU beside its convolutions in bare oneDNN.",
      "bench_features"};
  ito::bench::Flags f;
  app.add_option("--batch", f.batch, "images at once")->check(CLI::Range(1, 256))->capture_default_str();
  app.add_option("--size", f.size, "height and width of the images")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--resize", f.resize, "pytorch-fid, tf1 or clean")->capture_default_str();
  app.add_option("--repeats", f.repeats, "timed runs")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--threads", f.threads, "0: all")->check(CLI::Range(0, 4096))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    std::cout << ito::bench::measure(f).dump(1) << "\n";
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "bench_features: " << e.what() << "\n";
    return 1;
  }
}
