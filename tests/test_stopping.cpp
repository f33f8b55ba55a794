#include <doctest/doctest.h>
#include <fcntl.h>

#include <functional>

#include "apps/console/stopping.h"
#include "model/training/checkpoint.h"
#include "tests/picture_folders.h"
#include "tests/small_run.h"

/// Programs that are stopped: by any signal, at any point, also when their output is not read any more.
namespace ito {
namespace {

namespace fs = std::filesystem;
using namespace tests;

const std::string kTiny =
    " --preset tiny --batch 4 --sample-count 0 --validate-count 0 --threads 1 --steps 100000 --out run";

/// A program of its own process group in this folder, as a terminal has them.
struct Process {
  fs::path folder;
  pid_t id;

  Process(const fs::path& place, const std::string& command, const std::string& before = "") : folder(place) {
    const std::string line = before + "exec " ITO_APP_DIR "/" + command + " >>out.txt 2>err.txt";
    id = start([&] {
      setpgid(0, 0);
      fs::current_path(place);
      std::signal(SIGINT, SIG_DFL);
      execl("/bin/bash", "bash", "-c", line.c_str(), nullptr);
    });
  }
  void await(const std::function<bool()>& reached) const {
    for (int i = 0; i < 3000 && !reached(); ++i) usleep(10'000);
    CAPTURE(folder);
    REQUIRE(reached());
  }
  void await_output(const std::string& part) const {
    await(
        [&] { return fs::exists(folder / "out.txt") && contains(io::read_file(folder / "out.txt"), part); });
  }
  int stop(int signal) const {
    kill(id, signal);
    return wait_for(id);
  }
  std::string errors() const { return io::read_file(folder / "err.txt"); }
};

bool has_lines(const fs::path& folder) {
  return fs::exists(folder / "run/log.jsonl") && fs::file_size(folder / "run/log.jsonl") > 0;
}

TEST_CASE("any signal that asks a run to stop is acknowledged, the run is saved, and the code is not 0") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    CAPTURE(signal);
    const TempFolder place;
    put_pictures(place / "faces", 8);
    const Process run(place.path(), "train_celeba faces" + kTiny);
    run.await([&] { return has_lines(place.path()); });
    CHECK(run.stop(signal) == apps::kStoppedCode);
    CHECK(run.errors() == "stopping: saving what is done; Ctrl-C again ends at once\n");
    CHECK(contains(io::read_file(place / "out.txt"), "go on with the same command"));
    CHECK(model::newest_checkpoint(place / "run"));
  }
}

TEST_CASE("one signal that comes twice, and a hangup after it, are one; under nohup a hangup is none") {
  const TempFolder place;
  put_pictures(place / "faces", 8);
  const Process run(place.path(), "train_celeba faces" + kTiny, "trap '' HUP; ");
  run.await([&] { return has_lines(place.path()); });
  kill(run.id, SIGHUP);
  usleep(50'000);
  CHECK(run.errors().empty());
  kill(run.id, SIGTERM);
  kill(run.id, SIGTERM);
  CHECK(run.stop(SIGHUP) == apps::kStoppedCode);
  CHECK(model::newest_checkpoint(place / "run"));
}

TEST_CASE("a run whose output is not read any more is saved all the same") {
  const TempFolder place;
  put_pictures(place / "faces", 8);
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const pid_t id = start([&] {
    fs::current_path(place.path());
    dup2(ends[1], STDOUT_FILENO), dup2(ends[1], STDERR_FILENO);
    const std::string command = "exec " ITO_APP_DIR "/train_celeba faces" + kTiny;
    execl("/bin/bash", "bash", "-c", command.c_str(), nullptr);
  });
  close(ends[1]);
  for (int i = 0; i < 3000 && !has_lines(place.path()); ++i) usleep(10'000);
  close(ends[0]);  // as tee, which Ctrl-C ends first
  kill(id, SIGINT);
  CHECK(wait_for(id) == apps::kStoppedCode);
  CHECK(model::newest_checkpoint(place / "run"));
}

TEST_CASE("a grid of a run, a sampling, a measurement and a probe give way; a second Ctrl-C ends at once") {
  const TempFolder place;
  put_pictures(place / "faces", 8);
  const std::string grid =
      "train_celeba faces --preset tiny --batch 4 --validate-count 0 --threads 1 --steps 1 --out ";
  const Process training(place.path(), grid + "run --sample-count 64 --sample-steps 1000");
  training.await_output("step 1/1");
  CHECK(training.stop(SIGINT) == apps::kStoppedCode);
  REQUIRE(model::newest_checkpoint(place / "run"));
  CHECK(model::read_record(*model::newest_checkpoint(place / "run")).owed.grid);

  fs::remove(place / "out.txt");
  const Process sampling(place.path(), "sample --run run --steps 100000 --count 8 --threads 1 --out images");
  sampling.await_output("0 %");
  CHECK(sampling.stop(SIGTERM) == apps::kStoppedCode);
  CHECK(contains(sampling.errors(), "sample: stopped by a signal: the first images were not complete"));

  fs::remove(place / "out.txt");
  const Process measuring(place.path(), "evaluate run --steps 100000 --count 8 --threads 1");
  measuring.await_output("sampling");
  CHECK(measuring.stop(SIGHUP) == apps::kStoppedCode);

  const Process probing(place.path(), "train_celeba faces" + kTiny + "b --probe 600");
  usleep(300'000);
  CHECK(probing.stop(SIGINT) == apps::kStoppedCode);

  fs::remove(place / "out.txt");
  put_pictures(place / "large", 4, 1, 64);
  const Process slow(place.path(), "train_celeba large --preset small --batch 64 --threads 1 --out slow");
  slow.await_output("run        slow");
  usleep(200'000);
  kill(slow.id, SIGINT);
  usleep(400'000);
  CHECK(slow.stop(SIGINT) == 130);
}

}  // namespace
}  // namespace ito
