#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "engine/io/npy.h"
#include "tests/helpers.h"
#include "tests/picture_folders.h"
#include "tests/program.h"
#include "tests/refusals.h"

/// train_celeba --classes as a user runs it, and what other programs make of such a run.
namespace ito {
namespace {

namespace fs = std::filesystem;
using namespace tests;

const std::string kFlags =
    " --preset tiny --size 8 --batch 4 --warmup 2 --sample-count 4 --sample-steps 2 --threads 1 ";

/// Pictures of cats and dogs.
struct Place : TempFolder {
  Place() { put_pictures(path() / "pets/cat", 4, 1), put_pictures(path() / "pets/dog/more", 5, 2); }
  Ended run(const std::string& command) const { return run_program(path(), command); }
  void refused(const std::string& command, const std::string& part) const {
    check_refused(path(), command, part);
  }
};

TEST_CASE("a run on folders of classes, from its flags to images of each class") {
  const Place place;
  const std::string train = "train_celeba pets --classes" + kFlags + "--out run ";
  const Ended dry = place.run(train + "--steps 2 --dry-run");
  CHECK(contains(dry.out, "\nclasses    cat, dog\n"));
  CHECK(contains(dry.out, " --classes "));
  const Ended first = place.run(train + "--steps 4");
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  CHECK(contains(first.out, "\nclasses    cat, dog\n"));
  CHECK(fs::exists(place / "run/samples/step-00000004.png"));
  CHECK(contains(place.run("inspect checkpoint run/checkpoints/last").out, "\nclasses    cat, dog\n"));

  const std::string sample = "sample --run run --steps 2 --count 2 --threads 1 ";
  const Ended any = place.run(sample + "--out any");
  CHECK(contains(any.out, "no class is asked for: each image has one that its seed chooses"));
  REQUIRE(place.run(sample + "--class dog --guidance 2 --out dog").code == 0);
  CHECK(contains(io::read_file(place / "dog/samples.json"), "\"class dog\""));
  REQUIRE(place.run(sample + "--class 1 --guidance 2 --out number").code == 0);
  CHECK(contents_of(place / "number").at("000001.png") == contents_of(place / "dog").at("000001.png"));
  place.refused(sample + "--class dgo",
                "--class: unknown class \"dgo\"; did you mean \"dog\"? Known: cat, dog");
  place.refused(sample + "--class 2", "--class: a class must be a whole number from 0 to 1");
  const Ended measured = place.run("evaluate run --class cat --count 2 --sampler heun --steps 2 --threads 1");
  CAPTURE(measured.err);
  CHECK(measured.code == 0);
  CHECK(contains(measured.out, "cat"));
  const std::vector<float> zeros(3 * 8 * 8);
  io::write_npy(place / "x.npy", io::ElementType::f32, {1, 3, 8, 8}, zeros.data());
  const std::string forward = "inspect forward --checkpoint run/checkpoints/last --input x.npy --c-noise 0 ";
  CHECK(place.run(forward + "--class cat --output cat.npy").code == 0);
  CHECK(place.run(forward + "--class 1 --output dog.npy").code == 0);
  CHECK(io::read_file(place / "cat.npy") != io::read_file(place / "dog.npy"));
}

TEST_CASE("a run goes on with its classes alone, wherever their folders are now") {
  const Place place;
  const std::string flags = " --classes" + kFlags + "--out run ";
  REQUIRE(place.run("train_celeba pets" + flags + "--steps 1").code == 0);
  fs::rename(place / "pets", place / "moved");
  const Ended moved = place.run("train_celeba moved" + flags + "--steps 2");
  CAPTURE(moved.err);
  CHECK(moved.code == 0);
  fs::rename(place / "moved/cat", place / "moved/ape");
  CHECK(contains(place.run("train_celeba moved" + flags + "--steps 3").err,
                 R"(classes: ["cat","dog"] there, ["ape","dog"] now)"));
  fs::rename(place / "moved/ape", place / "moved/cat");
  // Of other classes, with the same pixels in the same order.
  fs::create_directories(place / "moved/cat/zzz");
  fs::rename(place / "moved/dog/more/000.png", place / "moved/cat/zzz/000.png");
  place.refused("train_celeba moved" + flags + "--steps 3", "their classes or by --orientation");
  CHECK(place.run("train_celeba moved" + flags + "--steps 3 --new-data").code == 0);
}

TEST_CASE("what has no classes is refused before anything is decoded, with what to do") {
  const Place place;
  const std::string train = "train_celeba --classes" + kFlags + "--steps 1 --cache new --out no ";
  place.refused(train + "pets --attributes", "--classes and --attributes exclude each other");
  place.refused(train + "pets/cat", "lies in no folder of its own, and the folders are the classes");
  put_pictures(place / "img_align_celeba", 3, 1);
  place.refused(train + ".", "is CelebA, whose pictures do not lie in folders of classes; try --attributes");
  CHECK_FALSE(fs::exists(place / "new"));
  CHECK_FALSE(fs::exists(place / "no"));
  REQUIRE(place.run("train_celeba pets" + kFlags + "--steps 1 --out plain").code == 0);
  place.refused(
      "sample --run plain --class cat --steps 2",
      "--class: the model was trained without classes; train one with ./train_celeba --classes DATA");
}

}  // namespace
}  // namespace ito
