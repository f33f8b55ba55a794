#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/faces/drawn_faces.h"
#include "helpers.h"
#include "program.h"

/// ./bench_quality on the checkpoint of a network that has learned next to nothing.
namespace ito::tests {
namespace {

using nlohmann::json;

const std::string kFeatures =
    " --features '" ITO_SOURCE_DIR "/bench/drawn_features.safetensors' --threads 1 ";

void draw(const std::filesystem::path& folder, uint64_t count, uint64_t seed) {
  data::FaceSetOptions set;
  set.count = count, set.seed = seed;
  data::write_face_set(folder, set);
}

void train(const TempFolder& folder, const std::string& out, const std::string& more) {
  const Ended ended =
      run_program(folder.path(),
                  "train_celeba faces --preset tiny --size 16 --batch 4 --steps 2 --sample-count 0 "
                  "--validate-count 0 --threads 1 --cache cache --out " +
                      out + more);
  INFO(ended.err);
  REQUIRE(ended.code == 0);
}

Ended measure(const TempFolder& folder, const std::string& run, const std::string& more = "") {
  return run_program(folder.path(), "bench_quality --checkpoint " + run +
                                        "/checkpoints/last --reference others" +
                                        " --cache cache --device cpu" + kFeatures + more);
}

TEST_CASE("bench_quality: one line of numbers that say which, the same each time; refusals") {
  const TempFolder folder;
  draw(folder / "faces", 24, 1);
  draw(folder / "others", 60, 2);
  train(folder, "run", "");
  const Ended first = measure(folder, "run", "--count 9 --loss-count 5 --json first.json");
  INFO(first.err);
  REQUIRE(first.code == 0);
  CHECK(contains(first.out, "FD-drawn"));
  CHECK_FALSE(contains(first.out, "FID"));
  const std::string text = io::read_file(folder / "first.json");
  CHECK(text.find('\n') == text.size() - 1);
  json numbers = json::parse(text);
  CHECK(numbers["images"] == 8);  // 2 steps of 4
  CHECK(numbers["step"] == 2);
  CHECK(numbers["count"] == 9);
  CHECK(numbers["real"] == 60);
  CHECK(numbers["evaluations"] == 20);
  CHECK(numbers["losses"].size() == 8);
  CHECK(numbers["loss"] > 0);
  CHECK(numbers["fd_drawn"] > 2 * numbers["floor"].get<double>());
  CHECK(numbers["nearest"] > numbers["nearest_real"]);
  for (const char* share : {"precision", "recall", "coverage"}) {
    CHECK(numbers[share] >= 0);
    CHECK(numbers[share] <= 1);
  }
  REQUIRE(measure(folder, "run", "--count 9 --loss-count 5 --json again.json").code == 0);
  json again = json::parse(io::read_file(folder / "again.json"));
  again.erase("date"), numbers.erase("date");
  CHECK(again == numbers);

  train(folder, "whole", " --crop none");
  CHECK(contains(measure(folder, "whole").err, "of crop none, and the features are for ddim128"));
  CHECK(contains(run_program(folder.path(), "bench_quality").err, "--reference is needed"));
  CHECK(contains(run_program(folder.path(), "bench_quality --reference others --features none").err, "none"));
}

TEST_CASE("bench_quality --about says what records are recognised by") {
  const TempFolder folder;
  const json about =
      json::parse(run_program(folder.path(), "bench_quality --about --device cpu --threads 1").out);
  CHECK(contains(about["machine"].get<std::string>(), "1 thread"));
  CHECK(contains(run_program(folder.path(), "bench_quality --version").out,
                 about["commit"].get<std::string>()));
}

}  // namespace
}  // namespace ito::tests
