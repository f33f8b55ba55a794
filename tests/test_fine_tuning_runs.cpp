#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/helpers.h"
#include "tests/picture_folders.h"
#include "tests/program.h"
#include "tests/refusals.h"

/// train_celeba --from as a user runs it: pictures of other kinds, repetition, kills, and every kind of mistake.
namespace ito {
namespace {

namespace fs = std::filesystem;
using namespace tests;

const std::string kFlags = " --batch 4 --warmup 2 --sample-count 4 --sample-steps 2 --threads 1 ";

/// A folder with a run `source` of 4 steps on 8x8 pictures, and other pictures.
struct Place : TempFolder {
  Place() {
    put_pictures(path() / "pictures", 9, 1), put_pictures(path() / "few", 5, 2);
    const Ended o = run("train_celeba pictures --preset tiny --size 8" + kFlags +
                        "--steps 4 --save-every 2 --out runs/source");
    REQUIRE(o.code == 0);
  }
  Ended run(const std::string& command) const { return run_program(path(), command); }
  void refused(const std::string& command, const std::string& part) const {
    check_refused(path(), command, part);
  }
  nlohmann::json options(const std::string& of) const {
    return nlohmann::json::parse(io::read_file(path() / of / "options.json"));
  }
};

TEST_CASE(
    "a run from another one's weights: its network and objective, its name in the run, and goes on alone") {
  const Place place;
  const std::string train = "train_celeba few --from runs/source" + kFlags + "--save-every 3 ";
  const Ended first = place.run(train + "--steps 4");
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  for (const char* part : {"network    tiny", "images     5 of 8x8",
                           "from       source, step 4: its averaged", "run        runs/few-from-source"})
    CHECK(contains(first.out, part));
  const auto options = place.options("runs/few-from-source");
  const std::string hash = options.at("from").at("weights");
  CHECK(options.at("from") == nlohmann::json({{"run", "source"}, {"step", 4}, {"weights", hash}}));
  CHECK(
      (hash.size() == 64 && options.at("preset") == "tiny" && options.at("network").at("sample_size") == 8));
  CHECK(fs::exists(place / "runs/few-from-source/samples/step-00000000.png"));
  CHECK(contains(io::read_file(place / "runs/few-from-source/run_data.js"), hash));
  CHECK(contains(place.run("inspect checkpoint runs/few-from-source/checkpoints/last").out,
                 "\nfrom       source, step 4, weights " + hash + "\n"));

  // The run that is tuned moves on, and then away.
  REQUIRE(place
              .run("train_celeba pictures --preset tiny --size 8" + kFlags +
                   "--steps 6 --save-every 2 --out runs/source")
              .code == 0);
  CHECK(contains(place.run(train + "--steps 4").out, "this run is finished"));
  fs::rename(place / "runs/source", place / "away");
  const Ended more = place.run(train + "--steps 6");
  CAPTURE(more.err);
  CHECK(more.code == 0);
  CHECK(contains(more.out, "from       source, step 4: its averaged weights"));
  const Ended without =
      place.run("train_celeba few" + kFlags + "--save-every 3 --steps 7 --out runs/few-from-source");
  CAPTURE(without.err);
  CHECK(without.code == 0);
  CHECK(fs::exists(place / "runs/few-from-source/checkpoints/step-00000007"));
  CHECK(contains(place.run(train + "--steps 8 --lr 0.1").err, "\n  lr: 0.0002 there, 0.1 now\n"));
  const Ended other = place.run(train + "--steps 8 --prediction v");
  CHECK(contains(other.err, "\n  prediction: \"edm\" there, \"v\" now\n"));
  CHECK(
      contains(place.run("sample --run runs/few-from-source --count 1 --steps 2 --out images").out, "wrote"));
}

TEST_CASE("killed between two checkpoints, the same command ends with the bytes of a run that was not") {
  const Place place;
  const std::string train =
      "train_celeba few --from runs/source" + kFlags + "--steps 300 --save-every 20 --keep 30 ";
  REQUIRE(place.run(train + "--out straight").code == 0);
  REQUIRE(
      std::system(
          ("cd '" + place.path().string() + "' && (" ITO_APP_DIR "/" + train +
           "--out killed >out.txt 2>err.txt & pid=$!; for i in $(seq 1000); do "
           "[ -e killed/checkpoints/step-00000060 ] && break; sleep 0.01; done; kill -KILL $pid; wait $pid) "
           "2>/dev/null; true")
              .c_str()) == 0);
  fs::remove_all(place / "runs/source");
  CHECK(place.run(train + "--out killed").code == 0);
  CHECK(contents_of(place / "killed/checkpoints") == contents_of(place / "straight/checkpoints"));
}

TEST_CASE("another size, objective and attributes: what fits begins, what does not is refused") {
  const Place place;
  const std::string train = "train_celeba few --from runs/source" + kFlags + "--steps 1 ";
  REQUIRE(place.run(train + "--size 16 --out larger").code == 0);
  CHECK(place.options("larger").at("network").at("sample_size") == 16);
  REQUIRE(place.run(train + "--preset tiny --weighting min-snr --p-mean -2 --dropout 0.1 --out own").code ==
          0);
  const auto own = place.options("own");
  CHECK((own.at("diffusion").at("weighting") == "min-snr" && own.at("diffusion").at("p_mean") == -2));
  place.refused(train + "--size 9 --out no", "image size 9x9 must be a multiple of 2");
  place.refused(train + "--prediction v --out no",
                "has prediction edm, and v is asked for; try no --prediction or no --from\n");
  place.refused(train + "--preset small --out no", "try no --preset or no --from");
  place.refused(train + "--embedding sinusoidal --out no",
                "has embedding fourier, and sinusoidal is asked for");
  place.refused(train + "--attributes --out no", "--attributes needs CelebA's list_attr_celeba.txt");
  CHECK_FALSE(fs::exists(place / "no"));

  REQUIRE(
      place
          .run("train_celeba pictures --preset tiny --size 8 --embedding sinusoidal --sde vp --prediction v" +
               kFlags + "--steps 1 --out other")
          .code == 0);
  REQUIRE(place.run("train_celeba few --from other" + kFlags + "--steps 1 --out from-other").code == 0);
  const auto there = place.options("other"), now = place.options("from-other");
  CHECK((now.at("diffusion") == there.at("diffusion") && now.at("network") == there.at("network")));
}

TEST_CASE("mistakes are named in one line, and nothing is lost") {
  const Place place;
  const std::string train = "train_celeba few" + kFlags + "--steps 2 ";
  place.refused(train + "--from nowhere", "--from nowhere: there is no such run or checkpoint");
  place.refused(train + "--from few/000.png", "--from few/000.png is a file, and not the folder of a run");
  place.refused(train + "--from few", "--from few: there is no checkpoint in it");
  place.refused(train + "--from ''", "--from: its value is empty");
  const auto before = contents_of(place / "runs/source");
  for (const char* itself : {"runs/source", "runs/../runs/source/", "runs/source/checkpoints/last"})
    place.refused(train + "--out runs/source --from " + itself,
                  "is of the run in runs/source itself; leave --from");

  REQUIRE(place.run(train + "--from runs/source/checkpoints/step-00000002 --out tuned").code == 0);
  place.refused(train + "--out runs/source --from tuned",
                "the run in runs/source began from random weights, and not from tuned; leave --from away");
  place.refused(
      train + "--out tuned --from runs/source/checkpoints/step-00000004",
      "the run in tuned began from source, step 2, and not from runs/source/checkpoints/step-00000004");
  place.refused(train + "--out tuned --from runs/other",
                "began from source, step 2, and not from runs/other");
  CHECK(contains(place.run(train + "--out tuned --from runs/source").out, "this run is finished"));
  CHECK(contents_of(place / "runs/source") == before);

  // Damaged after it was chosen from; the run that began from it does not mind.
  const fs::path damaged = place / "runs/source/checkpoints/step-00000004";
  fs::resize_file(damaged / "unet/diffusion_pytorch_model.safetensors", 3000);
  place.refused(train + "--from runs/source --out no", "--from runs/source: ");
  place.refused(train + "--from runs/source --out no", "diffusion_pytorch_model.safetensors");
  fs::remove(damaged / "options.json");
  place.refused(train + "--from runs/source --out no", "is not a checkpoint: it has no options.json");
  CHECK_FALSE(fs::exists(place / "no"));
  CHECK(place.run("train_celeba few" + kFlags + "--steps 3 --from runs/source --out tuned").code == 0);
}

}  // namespace
}  // namespace ito
