#include <doctest/doctest.h>

#include <tuple>

#include "model/metrics/frechet.h"
#include "model/metrics/kernel_distance.h"
#include "model/metrics/neighbours.h"
#include "model/metrics/vendi.h"
#include "model/training/session.h"
#include "model/unet/presets.h"
#include "tests/blobs.h"
#include "tests/helpers.h"
#include "tests/op_evaluation.h"

/// The same bits for any number of threads, where there is enough work to be divided among them (test_ops has every
/// op): results and gradients of ops, metrics, and all that training writes.
namespace ito::tests {
namespace {

namespace fs = std::filesystem;
using engine::Activation;
using engine::Padding;
using model::TrainingOptions;
using Inputs = std::vector<Tensor>;

OpCase conv(const std::string& name, Shape x, Shape w, int stride, Padding padding) {
  return {cat(name, " ", x.str()), {x, w, {w[0]}}, [=](const Inputs& t) {
            return engine::conv2d(t[0], t[1], {t[2], {}, {}}, stride, padding);
          }};
}

/// Every way to compute a convolution, of one image and of an odd number of them.
void add_convolutions(std::vector<OpCase>& cases) {
  const Padding same = Padding::same(3), after{0, 0, 1, 1};
  for (const int n : {1, 3}) {
    for (const int size : {16, 33}) {
      const auto add = [&](const char* name, int c, int k, int r, int s, int stride, Padding padding) {
        cases.push_back(conv(name, {n, size, size, c}, {k, r, s, c}, stride, padding));
      };
      add("3x3", 20, 48, 3, 3, 1, same);
      add("first layer", 3, 32, 3, 3, 1, same);
      add("last layer", 32, 3, 3, 3, 1, same);
      add("stride 2", 24, 40, 3, 3, 2, same);
      add("stride 2, padded behind", 128, 64, 3, 3, 2, after);
      add("1x1", 72, 40, 1, 1, 1, {});
      add("1x1, stride 2", 16, 8, 1, 1, 2, {});
      add("7x7, stride 2", 3, 48, 7, 7, 2, Padding::same(7));
      add("11x11, stride 4", 3, 16, 11, 11, 4, Padding::same(5));
      add("1x7", 32, 48, 1, 7, 1, {0, 3, 0, 3});
      add("3x3 without padding", 48, 20, 3, 3, 1, {});
    }
  }
  cases.push_back(conv("3x3, parts of tiles", {3, 72, 60, 16}, {20, 3, 3, 16}, 1, same));
  cases.push_back(conv("5x5, bands of rows", {1, 52, 47, 64}, {64, 5, 5, 64}, 1, Padding::same(5)));
  cases.push_back(conv("stride 2, bands of rows", {1, 61, 60, 96}, {96, 3, 3, 96}, 2, same));
  // oneDNN orders the sums of this one by the number of threads that it is given.
  cases.push_back(conv("stride 2, wide", {1, 4, 4, 512}, {512, 3, 3, 512}, 2, same));
  cases.push_back({"1x1, two sources",
                   {{1, 17, 16, 40}, {1, 17, 16, 24}, {48, 1, 1, 64}},
                   [](const Inputs& t) { return conv2d(engine::Concat(t[0], t[1]), t[2], {}, 1, {}); }});
  cases.push_back({"stride 2, two sources",
                   {{3, 17, 16, 20}, {3, 17, 16, 12}, {48, 3, 3, 32}},
                   [=](const Inputs& t) { return conv2d(engine::Concat(t[0], t[1]), t[2], {}, 2, same); }});
}

std::vector<OpCase> divided_cases() {
  std::vector<OpCase> cases;
  add_convolutions(cases);
  for (const Shape& x : {Shape{1, 64}, Shape{5, 512}, Shape{300, 130}, Shape{1000, 64}}) {
    for (const int out : {1, 64, 200}) {
      cases.push_back({cat("linear ", x.str(), " to ", out), {x, {out, x[1]}, {out}}, [](const Inputs& t) {
                         return engine::linear(t[0], t[1], t[2]);
                       }});
    }
  }
  for (const int n : {1, 3}) {
    // The first is one task, which Eigen must not divide.
    for (const auto& [tokens, channels, heads] : {std::tuple(50, 512, 1), std::tuple(300, 32, 4)}) {
      const Shape x{n, tokens, channels};
      cases.push_back(
          {cat("attention ", x.str(), ", ", heads, " heads"), {x, x, x}, [heads = heads](const Inputs& t) {
             return engine::attention(t[0], t[1], t[2], heads);
           }});
    }
    cases.push_back({cat("group_norm of ", n), {{n, 40, 40, 32}, {32}, {32}}, [](const Inputs& t) {
                       return engine::group_norm(t[0], t[1], t[2], 8, 1e-5f, Activation::silu);
                     }});
    cases.push_back({cat("squared_error of ", n),
                     {{n, 90, 90, 3}, {n, 90, 90, 3}, {n}},
                     [](const Inputs& t) { return engine::squared_error(t[0], t[1], t[2]); },
                     1,
                     {false, true, true},
                     {true, false, false}});
  }
  return cases;
}

TEST_CASE("results and gradients have the same bits on 1, 2, 3 and 5 threads") {
  const std::vector<OpCase> cases = divided_cases();
  std::vector<Evaluation> want;
  for (const int threads : {1, 2, 3, 5}) {
    CAPTURE(threads);
    Device device({threads, engine::Backend::cpu});
    for (size_t i = 0; i < cases.size(); ++i) {
      CAPTURE(cases[i].name);
      const Evaluation got = evaluate(device, cases[i], inputs_of(cases[i], false), DType::f32);
      if (threads == 1) want.push_back(got);
      CHECK(bool(got.y == want[i].y));
      CHECK(bool(got.gradients == want[i].gradients));
    }
  }
}

TEST_CASE("metrics of features have the same bits on 1, 2, 3 and 5 threads") {
  constexpr int64_t kRows = 300, kColumns = 260;
  std::vector<float> numbers[2];
  for (uint32_t side = 0; side < 2; ++side)
    for (const double x : random_numbers(side, kRows * kColumns, side, false))
      numbers[side].push_back(float(x));
  const model::FeatureRows a{numbers[0].data(), kRows, kColumns}, b{numbers[1].data(), kRows, kColumns};
  std::vector<double> want;
  for (const int threads : {1, 2, 3, 5}) {
    CAPTURE(threads);
    const Device device({threads, engine::Backend::cpu});  // whose threads OpenMP takes for all loops
    model::FeatureSums sums[2] = {model::FeatureSums(kColumns), model::FeatureSums(kColumns)};
    sums[0].add(a), sums[1].add(b);
    std::vector<double> got{model::frechet_distance(sums[0].statistics(), sums[1].statistics()),
                            model::kernel_distance(a, b, {.subsets = 2, .subset_size = 200}).mean,
                            model::vendi_score(a)};
    for (const auto& radii : model::neighbour_radii(a, {3, 5}))
      got.insert(got.end(), radii.begin(), radii.end());
    if (threads == 1) want = got;
    CHECK(bool(got == want));
  }
}

/// A run of a few steps, with a grid, a validation and two checkpoints.
struct Run {
  int size;
  std::vector<uint8_t> pixels;
  TrainingOptions options;

  Run(const char* preset, int size) : size(size), pixels(blobs(7, size)) {
    options.preset = preset;
    model::NetworkConfig& network = options.network = model::preset(preset).network;
    network.height = network.width = size;
    network.block_channels.resize(2), network.attention.resize(2);
    network.block_channels = {24, 40}, network.groups = 8;
    network.dropout = 0.1f;
    options.diffusion = model::default_diffusion(network.kind);
    options.batch = 3;
    options.optimizer.learning_rate = {engine::Decay::constant, 2e-3, 1, 0, 0};
    options.sample_count = 3, options.sample_steps = 2, options.sample_every = 1000;
    options.save_every = 2, options.validate_count = 3;
    set_steps(options, 3);
  }

  /// Checkpoints and grids after the run, by path.
  std::map<std::string, std::string> written(int threads) const {
    const TempFolder folder(memory_folder());
    const model::ImageSet images{pixels.data(), 7, size, size, 3, "none", {}};
    Device device({threads, engine::Backend::cpu});
    model::Trainer trainer(device, options, images);
    model::SessionHooks hooks;
    hooks.write_grid = [](const fs::path& path, const std::vector<std::vector<uint8_t>>& grids, int) {
      put(path, text_of(grids[0]));
    };
    CHECK(run_session(device, trainer, model::RunFolder(folder.path()), hooks, &images).finished);
    auto files = contents_of(folder / "checkpoints");
    files.merge(contents_of(folder / "samples"));
    return files;
  }
};

void check_run(const Run& run) {
  const auto want = run.written(1);
  CHECK(want.size() > 10);
  for (const int threads : {2, 3}) {
    CAPTURE(threads);
    const auto got = run.written(threads);
    REQUIRE(got.size() == want.size());
    for (const auto& file : want) {
      CAPTURE(file.first);
      CHECK(bool(got.at(file.first) == file.second));
    }
  }
}

TEST_CASE("training writes the same bytes on 1, 2 and 3 threads") {
  check_run(Run("tiny", 40));
  check_run(Run("document", 12));
  check_run(Run("tutorial", 12));
}

TEST_CASE("so it does with whatever can be asked for") {
  Run run("tiny", 24);
  run.options.optimizer.kind = engine::OptimizerKind::muon;
  run.options.network.patch = 2, run.options.learn_weighting = true, run.options.power_ema = true;
  run.options.augment = 0.5, run.options.network.augment = true;
  run.options.noise_candidates = 3, run.options.input_noise = 0.1;
  check_run(run);
  Run half("tiny", 20);
  half.options.precision = model::Precision::bf16;
  half.options.batch = 1, half.options.accumulate = 2;
  check_run(half);
}

}  // namespace
}  // namespace ito::tests
