#include <doctest/doctest.h>

#include "tests/helpers.h"
#include "tests/picture_folders.h"
#include "tests/program.h"
#include "tests/refusals.h"

/// Consistency tuning as a user runs it, and what other programs make of its model.
namespace ito {
namespace {

namespace fs = std::filesystem;
using namespace tests;

TEST_CASE("a run is tuned, and goes on longer; its model draws in one jump or some, and refuses solvers") {
  const TempFolder place;
  put_pictures(place / "faces", 6, 1);
  const auto run = [&](const std::string& command) { return run_program(place.path(), command); };
  const auto refused = [&](const std::string& command, const std::string& part) {
    check_refused(place.path(), command, part);
  };
  const std::string flags = " --size 8 --batch 4 --warmup 2 --sample-count 4 --threads 1 --validate-count 4 ";
  REQUIRE(run("train_celeba faces --preset tiny" + flags + "--steps 4 --sample-steps 2 --out source").code ==
          0);

  const std::string tune =
      "train_celeba faces --from source --objective consistency" + flags + "--stages 2 --out tuned ";
  const Ended dry = run(tune + "--steps 6 --dry-run");
  CHECK(contains(dry.out, "tuned to consistency in 2 stages"));
  CHECK(contains(dry.out, "--objective consistency --stages 2"));
  const Ended first = run(tune + "--steps 6");
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  CHECK(fs::exists(place / "tuned/samples/step-00000006.png"));
  CHECK(
      contains(run(tune + "--steps 8").out, "the stages of consistency were re-planned, from 6 to 8 steps"));

  const std::string sample = "sample --run tuned --count 2 --threads 1 ";
  CHECK(contains(run(sample + "--out usual").out, "consistency, 2 steps"));
  CHECK(contains(run(sample + "--fast --out fast").out, "consistency, 1 step"));
  CHECK(
      contains(run(sample + "--levels 40,3,0.5 --out levels").out, "consistency, 3 steps, levels 40,3,0.5"));
  CHECK(contains(io::read_file(place / "levels/samples.json"), "\"levels 40,3,0.5\""));
  refused(sample + "--sampler heun", "the model jumps to the image from every level");
  refused(sample + "--guidance 2 --guide source",
          "draws in one or two evaluations, and --guidance leads away");
  refused("sample --run source --sampler consistency", "this one was not tuned to");
  CHECK(run("evaluate tuned --count 2 --steps 1 --threads 1").code == 0);

  refused("train_celeba faces --preset tiny --objective consistency" + flags + "--steps 2 --out other",
          "tunes a trained model, and none is named");
  refused("train_celeba faces --preset tiny --stages 2" + flags + "--steps 2 --out other",
          "--stages does nothing with --objective denoising");
  refused(tune + "--steps 8 --sample-steps 4", "--sample-steps does nothing with --objective consistency");
  refused("train_celeba faces --from tuned" + flags + "--steps 2 --out other", "is a consistency model");
}

}  // namespace
}  // namespace ito
