#include <doctest/doctest.h>

#include <cmath>

#include "apps/evaluation/report.h"
#include "apps/evaluation/sides.h"
#include "engine/agreement.h"
#include "evaluation_helpers.h"
#include "forked_ranks.h"
#include "model/metrics/inception.h"

/// An evaluation that ranks share, with small functions in place of the networks.
namespace ito::apps {
namespace {

using namespace tests;
using model::Inception;

/// Waves of the pixels' sums over rows.
void fake_features(const uint8_t* images, int64_t n, int h, int w, float* features, float* logits) {
  for (int64_t i = 0; i < n; ++i, images += size_t(h) * size_t(w) * 3) {
    for (int64_t k = 0; k < Inception::kFeatures; ++k) {
      const uint8_t* const row = images + size_t(k % h) * size_t(w) * 3;
      features[i * Inception::kFeatures + k] =
          float(std::sin(double(k + 1) * (row[k % (w * 3)] + row[0]) / 500.0));
    }
    for (int64_t k = 0; logits && k < Inception::kClasses; ++k)
      logits[i * Inception::kClasses + k] = float(images[k]) / 100;
  }
}

MetricNetworks fake_networks() {
  MetricNetworks networks;
  networks.inception = fake_features;
  networks.lpips = [](const uint8_t* a, const uint8_t* b, int64_t pairs, int h, int w, double* distances) {
    const size_t bytes = size_t(h) * size_t(w) * 3;
    for (size_t i = 0; i < size_t(pairs); ++i)
      distances[i] = std::abs(double(a[i * bytes]) - b[i * bytes]) / 255 + 0.1;
  };
  return networks;
}

engine::Device device_of(kernels::Wire& wire) {
  return engine::Device({1, engine::Backend::cpu, kernels::Provider::own, {}, 0, &wire});
}

/// Two folders of pictures, one of which cannot be read.
struct TwoFolders : TempFolder {
  SideOptions side_options;
  EvaluationOptions options;

  TwoFolders() {
    write_pictures(path() / "made", 0, 150, 48, 48), write_pictures(path() / "real", 200, 101, 48, 48);
    put(path() / "made" / "1100.png", "no picture");
    side_options.threads = options.threads = 1;
    options.pairs = 70, options.pairwise = 40, options.inception_score = true;
  }
  Side open(const std::string& name, engine::Device& device) const {
    return open_side((path() / name).string(), side_options, device);
  }
  /// The page and the numbers, on rank 0.
  std::string evaluated(kernels::Wire& wire, const MetricNetworks& networks) const {
    engine::Device device = device_of(wire);
    const Side made = open("made", device), real = open("real", device);
    EvaluationReport report;
    report.generated = &made, report.reference = &real, report.notes = made.notes;
    report.evaluation = evaluate(made, &real, networks, options, wire);
    return wire.rank() ? "" : report_json(report) + report_text(report) + report_page(report, 1);
  }
};

}  // namespace

TEST_CASE("ranks measure what one measures, to the last bit") {
  const TwoFolders folders;
  MetricNetworks networks = fake_networks();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  networks.inception = nullptr;  // its statistics would take a minute
  networks.inception_missing = "too slow";
#endif
  const auto evaluated = [&](kernels::Wire& wire) { return folders.evaluated(wire, networks); };
  const std::string alone = run_ranks(1, evaluated)[0];
  CHECK(contains(alone, "\"left_out\""));
  CHECK(contains(alone, "\"diversity\""));
  if (networks.inception) {
    CHECK(contains(alone, "\"inception_score\""));
    CHECK_FALSE(contains(alone, "\"missing\""));
  }
  CHECK(run_ranks(3, evaluated)[0] == alone);
}

TEST_CASE("a signal to one rank, or its error, ends an evaluation on all") {
  const TwoFolders folders;
  const auto end_with = [&](auto&& problem) {
    return run_ranks(3, [&](kernels::Wire& wire) -> std::string {
      MetricNetworks networks = fake_networks();
      networks.inception = [&](const uint8_t* images, int64_t n, int h, int w, float* features,
                               float* logits) {
        if (wire.rank() == 1) problem();
        fake_features(images, n, h, w, features, logits);
      };
      try {
        return folders.evaluated(wire, networks);
      } catch (const engine::Interrupted&) {
        return "interrupted";
      } catch (const engine::FailedElsewhere&) {
        return "failed elsewhere";
      } catch (const Error& error) {
        return error.what();
      }
    });
  };
  CHECK(end_with([] { throw engine::Interrupted{}; }) == std::vector<std::string>(3, "interrupted"));
  CHECK(end_with([] { fail("a broken network"); }) ==
        std::vector<std::string>{"failed elsewhere", "a broken network", "failed elsewhere"});
}

TEST_CASE("ranks that find different pictures are refused before the work") {
  const TwoFolders folders;
  const auto texts = run_ranks(2, [&](kernels::Wire& wire) {
    engine::Device device = device_of(wire);
    return error_of([&] { folders.open(wire.rank() ? "real" : "made", device); });
  });
  for (const std::string& text : texts)
    CHECK(contains(text, "the ranks differ in the names of the pictures"));
}

}  // namespace ito::apps
