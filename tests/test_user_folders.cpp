#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "apps/console/stopping.h"
#include "kernels/base/path_text.h"
#include "tests/helpers.h"
#include "tests/picture_folders.h"
#include "tests/program.h"

/// Folders as users have them: of one name, moved, grown, with spaces and bytes that are no text, with pictures of
/// their own.
namespace ito {
namespace {

namespace fs = std::filesystem;
using namespace tests;

const std::string kTiny = " --preset tiny --batch 4 --sample-count 0 --validate-count 0 --threads 1 ";

struct ProgramFolder : TempFolder {
  Ended run(const std::string& command) const { return run_program(path(), command); }
};

/// What a user types into bash, in this folder.
Ended in_bash(const ProgramFolder& place, const std::string& line) {
  put(place / "line.sh", line);
  const int status =
      std::system(("cd '" + place.path().string() + "' && bash line.sh >out.txt 2>err.txt").c_str());
  return {WEXITSTATUS(status), io::read_file(place / "out.txt"), io::read_file(place / "err.txt")};
}

void refused(const ProgramFolder& place, const std::string& command, const std::vector<std::string>& parts) {
  const Ended o = place.run(command);
  CAPTURE(command);
  CAPTURE(o.err);
  CHECK(o.code == 1);
  for (const std::string& part : parts) CHECK(contains(o.err, part));
}

TEST_CASE("a run knows its images: others are refused with both places, the same ones may lie elsewhere") {
  const ProgramFolder place;
  put_pictures(place / "cats/images", 8, 1), put_pictures(place / "dogs/images", 8, 2);
  const std::string cats = "train_celeba cats/images" + kTiny, dogs = "train_celeba dogs/images" + kTiny;
  REQUIRE(place.run(cats + "--steps 1").code == 0);
  const std::string there = (place / "cats/images").string(), here = (place / "dogs/images").string();
  refused(place, dogs + "--steps 2", {there, here, "--out runs/dogs-images-tiny", "--new-data"});
  const Ended dry = place.run(dogs + "--steps 2 --dry-run");
  CHECK(dry.code == 0);
  CHECK(contains(
      dry.out,
      "training would be refused: the run in runs/images-tiny has learned from 8 images of " + there));
  CHECK(place.run(dogs + "--steps 1 --out runs/dogs-images-tiny").code == 0);

  fs::rename(place / "cats", place / "moved");
  const Ended moved = place.run("train_celeba moved/images" + kTiny + "--steps 2");
  CHECK(moved.code == 0);
  CHECK(contains(moved.out, "note       the run's images were in " + there));
  CHECK_FALSE(contains(place.run("train_celeba moved/images/" + kTiny + "--steps 3").out,
                       "note       the run's images"));

  put_pictures(place / "moved/images/more", 2, 3);  // the folder has grown
  const std::string grown = "train_celeba moved/images" + kTiny + "--steps 4";
  refused(place, grown, {"8 images of " + (place / "moved/images").string(), "10 images of"});
  const Ended taken = place.run(grown + " --new-data");
  CHECK(taken.code == 0);
  CHECK(contains(taken.out, "it goes on with them (--new-data)"));
  CHECK(place.run("train_celeba moved/images" + kTiny + "--steps 5").code == 0);  // they are its own now

  fs::remove(place / "runs/images-tiny/data.json");  // a run of an earlier version
  CHECK(place.run(grown).code == 0);
  CHECK(fs::exists(place / "runs/images-tiny/data.json"));
}

TEST_CASE("a path in a command can be pasted, and one that is no text can be written down and compared") {
  const ProgramFolder place;
  put_pictures(place / "faces", 8);
  const std::string name = "it's caf\xe9 1";
  const std::string out = shell_quoted(name);
  const std::string program = ITO_APP_DIR "/";
  const Ended trained = in_bash(place, program + "train_celeba faces" + kTiny + "--steps 1 --out " + out);
  CAPTURE(trained.err);
  REQUIRE(trained.code == 0);
  const size_t next = trained.out.find("./sample --run ");
  REQUIRE(next != std::string::npos);
  const std::string pasted =
      program + trained.out.substr(next, trained.out.find('\n', next) - next) + " --steps 2 --threads 1 ";
  REQUIRE(in_bash(place, pasted + "--count 2 && " + pasted + "--seeds 5").code == 0);
  const fs::path images = place / name / "images";
  const auto note = nlohmann::json::parse(io::read_file(images / "samples.json"));
  CHECK(note.at("run") == "it's caf%E9 1");
  CHECK(note.at("seeds") == nlohmann::json({0, 1, 5}));  // what was read back is the same sampling
  const Ended measured =
      in_bash(place, program + "evaluate " + out + "/images --json " + out + "/numbers.json --threads 1");
  CAPTURE(measured.err);
  CHECK(measured.code == 0);
  CHECK(nlohmann::json::accept(io::read_file(place / name / "numbers.json")));
}

TEST_CASE("samples go into no folder that holds the user's pictures") {
  const ProgramFolder place;
  put_pictures(place / "faces", 8);
  REQUIRE(place.run("train_celeba faces" + kTiny + "--steps 1 --out run").code == 0);
  const std::string sample = "sample --run run --steps 2 --threads 1 --seeds 3 --out ";
  const auto before = contents_of(place / "faces");
  refused(place, sample + "faces",
          {"faces holds pictures that ./sample did not make, such as ", "another --out"});
  CHECK(contents_of(place / "faces") == before);
  CHECK(place.run(sample + "new").code == 0);
  CHECK(place.run("sample --run run --steps 2 --threads 1 --seeds 4 --out new").code == 0);
}

TEST_CASE("of pictures that are all the same no sigma follows") {
  const ProgramFolder place;
  put_pictures(place / "faces", 1, 1, 64);
  fs::copy(place / "faces/000.png", place / "faces/001.png");
  const Ended o = place.run("inspect data faces");
  CHECK(o.code == 0);
  CHECK_FALSE(contains(o.out, "--sigma-max 0"));
  CHECK(contains(o.out, "pictures that were compared are the same"));
}

}  // namespace
}  // namespace ito
