#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "evaluation_helpers.h"
#include "mpi_program.h"
#include "small_run.h"
#include "tests/program.h"

/// ./sample and ./evaluate under mpirun: what several ranks write is what one writes.
namespace ito::tests {
namespace {

namespace fs = std::filesystem;

constexpr int kRanks = 3;

/// A trained run in a folder, to draw from.
struct DrawFolder : TempFolder {
  DrawFolder() {
    SmallRun run;
    set_steps(run.options, 2);
    run.train(path() / "run");
  }
  Ended alone(const std::string& command) const { return run_program(path(), command); }
  Launch start_ranks(const std::string& command) const {
    return Launch(path(), "ranks", kMpirun + "-n " + std::to_string(kRanks) + " " ITO_APP_DIR "/" + command);
  }
  LaunchEnd ranks(const std::string& command) const { return start_ranks(command).end(); }
  std::string file(const std::string& name) const { return io::read_file(path() / name); }
};

const std::string kDraw = "sample --run run --steps 4 --sampler heun --chunk 4 --threads 1 ";

/// Waits until a program has made the file; false: that took longer than ten seconds.
bool appears(const fs::path& file) {
  for (int i = 0; i < 1000 && !fs::exists(file); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return fs::exists(file);
}

}  // namespace

TEST_CASE("ranks draw what one draws: pictures, grid, strip, note and numbers") {
  const DrawFolder place;
  const std::string command = kDraw + "--seeds 3-20,30-36 --strip 2 ";
  const Ended one = place.alone(command + "--npy one.npy --out one");
  REQUIRE(one.code == 0);
  const LaunchEnd three = place.ranks(command + "--npy three.npy --out three");
  CAPTURE(three.err);
  REQUIRE(three.code == 0);
  CHECK(contents_of(place / "three") == contents_of(place / "one"));
  CHECK(place.file("three.npy") == place.file("one.npy"));
  CHECK(contains(three.out, "each of 3 ranks"));
  CHECK(contains(three.out, "three/grid.png and 25 of 25 images"));

  // A folder that is not to be written is refused once, by rank 0.
  fs::create_directories(place / "own");
  write_pictures(place / "own", 0, 1);
  const LaunchEnd refused = place.ranks(kDraw + "--out own");
  CHECK(refused.code == 1);
  const size_t first = refused.err.find("holds pictures that ./sample did not make");
  CHECK(first != std::string::npos);
  CHECK(refused.err.find("holds pictures", first + 1) == std::string::npos);
}

TEST_CASE("a signal to the ranks keeps what one would have made until then") {
  const DrawFolder place;
  Launch run = place.start_ranks(kDraw + "--count 100000 --out cut --npy cut.npy");
  REQUIRE(appears(place / "cut/000017.png"));
  kill(run.id(), SIGUSR1);  // which mpirun forwards to all ranks
  const LaunchEnd cut = run.end();
  CAPTURE(cut.err);
  CHECK(cut.code == 75);
  CHECK(contains(cut.out, "stopped; wrote      cut/grid.png"));
  const auto note = nlohmann::json::parse(place.file("cut/samples.json"));
  const size_t count = note.at("seeds").size();
  CHECK(count >= 18);
  REQUIRE(place.alone(kDraw + "--count " + std::to_string(count) + " --out whole --npy whole.npy").code == 0);
  CHECK(contents_of(place / "cut") == contents_of(place / "whole"));
  CHECK(place.file("cut.npy") == place.file("whole.npy"));
}

TEST_CASE("ranks measure what one measures: numbers, page and table") {
  const DrawFolder place;
  write_pictures(place / "made", 0, 140, 48, 48), write_pictures(place / "real", 200, 70, 48, 48);
  const std::string command = "evaluate made --reference real --threads 1 --json r.json --html r.html";
  const auto table = [](const auto& ended) {
    const size_t begin = ended.out.find("generated  ");
    return ended.out.substr(begin, ended.out.find("took  ") - begin);
  };
  const Ended one = place.alone(command);
  REQUIRE(one.code == 0);
  const std::string json = place.file("r.json"), page = place.file("r.html");
  fs::remove(place / "r.json"), fs::remove(place / "r.html");
  const LaunchEnd three = place.ranks(command);
  CAPTURE(three.err);
  REQUIRE(three.code == 0);
  CHECK(place.file("r.json") == json);
  CHECK(place.file("r.html") == page);
  CHECK(contains(table(one), "FD-pixels8"));
  CHECK(table(three) == table(one));

  // What a run draws, too.
  REQUIRE(
      place
          .alone("evaluate run --count 20 --steps 2 --threads 1 --reference real --size 8 --cache c --json "
                 "one.json")
          .code == 0);
  REQUIRE(
      place
          .ranks("evaluate run --count 20 --steps 2 --threads 1 --reference real --size 8 --cache d --json "
                 "three.json")
          .code == 0);
  CHECK(place.file("three.json") == place.file("one.json"));
}

}  // namespace ito::tests
