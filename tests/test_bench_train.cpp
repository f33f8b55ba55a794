#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/helpers.h"
#include "tests/program.h"

/// bench_train's report: every figure was measured, and the shares are shares.
namespace ito {
namespace {

TEST_CASE("a step of tiny, with and without Winograd") {
  const tests::TempFolder folder;
  const tests::Ended ended =
      tests::run_program(folder.path(), "bench_train --preset tiny --batch 2 --repeats 3 --device cpu");
  REQUIRE(ended.code == 0);
  const auto report = nlohmann::json::parse(ended.out);
  REQUIRE(report["rows"].size() == 2);
  for (const auto& row : report["rows"]) {
    INFO(row.dump(2));
    CHECK(row["images_per_second"] > 0);
    CHECK(row["evaluations_per_second"] > 0);
    CHECK(row["convolutions_alone_seconds"] > 0);
    CHECK(row["convolution_share"] > 0);
    CHECK(row["data_share"] > 0);
    CHECK(row["arena_bytes_used"] == row["arena_bytes_predicted"]);
  }
  CHECK(report["rows"][0]["convolutions"] == "winograd");
  CHECK(report["rows"][1]["convolutions"] == "direct");
}

TEST_CASE("evaluations of the network alone, of a batch") {
  const tests::TempFolder folder;
  const tests::Ended ended = tests::run_program(
      folder.path(), "bench_train --evaluation --preset tiny --batch 2 --repeats 3 --device cpu");
  REQUIRE(ended.code == 0);
  const auto report = nlohmann::json::parse(ended.out);
  CHECK(report["batch"] == 2);
  REQUIRE(report["rows"].size() == 1);
  const auto& row = report["rows"][0];
  REQUIRE(row["evaluation_seconds"].size() == 3);
  for (const auto& seconds : row["evaluation_seconds"]) CHECK(seconds > 0);
  CHECK(row["evaluations_per_second"] > 0);
  CHECK(row["peak_bytes"] > 0);
}

}  // namespace
}  // namespace ito
