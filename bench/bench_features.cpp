#include <cmath>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/console/program.h"
#include "bench/machine.h"
#include "bench/onednn_loop.h"
#include "bench/timing.h"
#include "engine/io/json_text.h"
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

/// What is asked of ./bench_features.
struct Request {
  int batch = 8, size = 64, repeats = 5, threads = 0;
  model::ResizeMode resize = model::ResizeMode::pytorch_fid;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.batch, Field("batch", "images at once", from(1).to(256)));
  visit(o.size, Field("size", "height and width of the images", from(1).to(4096)));
  visit(o.resize, Field("resize", "how images reach 299x299"));
  visit(o.repeats, Field("repeats", "timed runs", from(1).to(1000)));
  visit(o.threads, Field("threads", "of the CPU; 0: all", kThreads));
}

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
  device.recorder().conv_calls = &calls;
  network.pool3({device, {batch, model::kInceptionSize, model::kInceptionSize, 3}, engine::DType::f32});
  device.recorder().conv_calls = nullptr;
  return calls;
}

json measure(const Request& f) {
  Device device({f.threads});
  const model::InceptionFeatures extract(device, random_weights, f.resize, f.batch);
  std::vector<Runnable> loops;
  for (const engine::ConvCall& call : convolutions_of(extract.network(), f.batch)) {
    loops.push_back(onednn_direct(call));
    if (!loops.back()) fail("bench_features compares with oneDNN, which this build does not have");
  }
  std::vector<uint8_t> images(size_t(f.batch) * f.size * f.size * 3);
  for (size_t i = 0; i < images.size(); ++i) images[i] = uint8_t((i * 2654435761u) >> 13);
  std::vector<float> features(size_t(f.batch) * Inception::kFeatures);
  const Runnable ours = [&] { extract(images.data(), f.batch, f.size, f.size, features.data()); };
  const Runnable bare = [&] {
    for (const Runnable& loop : loops) loop();
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
  return {{"what", cat("Inception features, batch ", f.batch, ", ", f.size, "x", f.size, ", ",
                       name_of(f.resize), ", f32")},
          {"machine", machine_of(device).text()},
          {"date", now_text()},
          {"commit", apps::build_commit()},
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

int run(const Request& f) {
  std::cout << io::json_text(measure(f), 1) << "\n";
  return 0;
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  return ito::apps::run_program<ito::bench::Request>(
      "Times the extraction of Inception's features on the CPU, and its convolutions in bare oneDNN.", argc,
      argv, ito::bench::run);
}
