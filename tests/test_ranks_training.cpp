#include <regex>

#include "apps/console/stopping.h"
#include "tests/rank_runs.h"

/// ./train_celeba as several ranks: the bytes of one, signals, and what is refused.
namespace ito {
namespace {

namespace fs = std::filesystem;
using namespace tests;

/// What a run wrote, except for its times: checkpoints, averages, grids and its log.
std::map<std::string, std::string> bytes_of(const fs::path& run) {
  std::map<std::string, std::string> bytes;
  for (auto& [name, text] : contents_of(run))
    if (!contains(name, "tensorboard") && name != "run_data.js" && name != ".lock") bytes[name] = text;
  bytes["log.jsonl"] = std::regex_replace(bytes["log.jsonl"], std::regex("\"images_per_second\":[^,]*,"), "");
  return bytes;
}

TEST_CASE("checkpoints, grids and log of 1, 2 and 4 ranks have the same bytes") {
  for (const std::string options :
       {" --attributes=Smiling,Eyeglasses --power-ema", " --precision bf16 --augment 0.2"}) {
    CAPTURE(options);
    const std::string name = contains(options, "bf16") ? "bf16." : "f32.";
    std::map<std::string, std::string> want;
    for (const int ranks : {1, 2, 4}) {
      if (ranks == 2 && contains(options, "bf16")) continue;  // 4 is the harder one
      CAPTURE(ranks);
      const std::string own = name + std::to_string(ranks);
      std::string shape = kShape;
      const std::string threads = " --threads 1";
      if (ranks == 1) shape.erase(shape.find(threads), threads.size());  // all cores: the bits are the same
      const LaunchEnd end =
          place().train(own, ranks,
                        shape + options + " --steps 12 --save-every 5 --sample-every 6 --sample-count 5" +
                            " --sample-steps 3 --validate-count 9 --ema 0.9");
      CHECK(end.code == 0);
      CHECK(end.err == "");
      const auto bytes = bytes_of(place() / (own + "/run"));
      if (ranks == 1) want = bytes;
      CHECK(want.count("samples/step-00000012.png") == 1);
      CHECK(want.size() > 15);
      for (const auto& file : want) {
        CAPTURE(file.first);
        CHECK((bytes.count(file.first) && bytes.at(file.first) == file.second));
      }
      CHECK(bytes.size() == want.size());
    }
  }
}

/// Two ranks with commands of their own.
LaunchEnd two(const std::string& name, const std::string& first, const std::string& second) {
  return place().run(name, kMpirun + "-n 1 " + first + " : -n 1 " + second);
}

TEST_CASE("ranks with other options, images or versions are refused, once, with both values") {
  const std::string run = kTrain + kShape + " --steps 4 --out differ/run ";
  LaunchEnd end = two("lr", run, run + "--lr 1e-3");
  CHECK(end.code == 1);
  CHECK(lines_in(end.err) == 1);
  CHECK(contains(
      end.err,
      "train_celeba: rank 1 of 2 has other options than rank 0 (there): lr: 0.0002 there, 0.001 now"));

  end = two("images", run, kTrain + "others" + run.substr(run.find(" --preset")));
  CHECK(end.code == 1);
  CHECK(std::regex_match(end.err,
                         std::regex("train_celeba: the ranks differ in images: rank 1 has\n\\d+ images, hash "
                                    "[0-9a-f]+\nand rank 0\n\\d+ images, hash [0-9a-f]+\n")));

  // The same program, built from another commit.
  const std::string version = run_program(place().folder.path(), "train_celeba --version").out;
  const size_t begin = version.find("commit ") + 7;
  const std::string commit = version.substr(begin, version.find(',', begin) - begin);
  std::string other = commit, program = io::read_file(ITO_APP_DIR "/train_celeba");
  other[0] = other[0] == 'z' ? 'y' : 'z';
  size_t patched = 0;
  for (size_t at = 0; (at = program.find(commit + '\0', at)) != std::string::npos; ++at, ++patched)
    program.replace(at, other.size(), other);
  REQUIRE(patched > 0);
  fs::create_directories(place() / "elsewhere");
  put(place() / "elsewhere/train_celeba", program);
  fs::permissions(place() / "elsewhere/train_celeba", fs::perms::owner_all);
  end = two("version", run, "elsewhere/train_celeba " + run.substr(kTrain.size()));
  CHECK(end.code == 1);
  CHECK(contains(end.err, "train_celeba: the ranks differ in version: rank 1 has\n0."));
  CHECK(contains(end.err, "(commit " + other));
  CHECK(contains(end.err, "(commit " + commit));
  CHECK(lines_in(end.err) == 4);
  CHECK_FALSE(fs::exists(place() / "differ"));
}

TEST_CASE("an error of one rank alone is printed with its number") {
  const std::string run =
      kTrain + "faces --preset tiny --batch 2 --accumulate 4 --threads 1 --steps 4 --out alone/run --cache ";
  const LaunchEnd end = two("cache", run + "cache", run + "/proc/there");
  CHECK(end.code == 1);
  CHECK(std::regex_match(
      end.err, std::regex("train_celeba: rank 1 of 2 \\([^,]+, process \\d+\\): /proc/there: the cache "
                          "folder cannot be made: No such file or directory; choose another\n")));
}

TEST_CASE("Ctrl-C at the launcher, and SIGUSR1 to mpirun: saved, code 75, and the same command goes on") {
  for (const bool by_script : {true, false}) {
    CAPTURE(by_script);
    const std::string name = by_script ? "ctrlc" : "usr1",
                      command = kTrain + kRun + " --out " + name + "/run";
    for (int attempt = 0;; ++attempt) {  // it may end before the signal reaches it
      REQUIRE(attempt < 5);
      fs::remove_all(place() / name);
      Launch launch(place().folder.path(), name,
                    by_script ? "exec " + kLaunch + "2 " + command : kMpirun + "-n 2 " + command);
      REQUIRE(launch.reaches([&] { return has_checkpoint(name); }));
      if (by_script)
        kill(-launch.id(), SIGINT);  // as a terminal does
      else
        kill(launch.mpirun(), SIGUSR1);
      const LaunchEnd end = launch.end();
      if (end.code == 0) continue;
      CAPTURE(end.err);
      CHECK(end.code == apps::kStoppedCode);
      CHECK(contains(end.out, "go on with the same command"));
      CHECK(lines_in(end.err) <= 1 + !by_script);  // that it stops, and mpirun's
      break;
    }
    check_goes_on(name, by_script ? 1 : 2);
  }
}

TEST_CASE("a rank that does not go on is named by another one, and the run ends well when it does") {
  const std::string name = "stuck";
  Launch launch(place().folder.path(), name, Place::command(name, 2, kRun + " --stuck-after 0.3"));
  REQUIRE(launch.reaches([&] { return has_checkpoint(name); }));
  const pid_t victim = launch.ranks().at(1);
  kill(victim, SIGSTOP);
  CHECK(launch.reaches([&] { return lines_in(launch.err()) > 0; }));
  kill(victim, SIGCONT);
  const LaunchEnd end = launch.end();
  CHECK(end.code == 0);
  CHECK(std::regex_match(
      end.err, std::regex(cat("(train_celeba: waiting 0.3 s for rank 1 of 2 \\([^,]+, process ", victim,
                              "\\), which has not delivered its part; waiting on\n)+"))));
  CHECK(kept_by(place() / "stuck/run") == kept_by(straight()));
}

TEST_CASE("an error that all ranks have is printed once") {
  const auto fails_with = [](const std::string& options, const std::string& message) {
    const LaunchEnd end = place().train("wrong", 2, options);
    CHECK(end.code == 1);
    CHECK(end.err == "train_celeba: " + message + "\n");
  };
  fails_with(kShape + " --stepz 4", "unknown flag --stepz; did you mean --steps? --help lists all");
  fails_with("faces --preset tiny --size 16 --batch 4 --accumulate 3 --threads 1 --cache cache",
             "a step's 3 batches of 4 images cannot be shared out evenly among 2 ranks; try --batch 3 "
             "--accumulate 4, which learns from the same images in each step");
  const LaunchEnd end = place().train("wrong", 2, "nowhere --preset tiny --threads 1");
  CHECK(end.code == 1);
  CHECK(contains(end.err, ": nowhere: there is no such folder"));
  CHECK(lines_in(end.err) == 1);
  CHECK_FALSE(fs::exists(place() / "wrong"));
}

TEST_CASE("a program that no launcher of several ranks started is alone; torchrun's is refused") {
  const std::string run = kTrain + kShape + " --dry-run";
  LaunchEnd end = place().run("alone", run);
  CHECK(end.code == 0);
  CHECK(end.err == "");
  CHECK_FALSE(contains(end.out, "ranks"));
  end = place().run("batch",
                    "export SLURM_JOB_ID=1 SLURM_NTASKS=4 SLURM_PROCID=0 SLURM_STEP_ID=4294967291; " + run);
  CHECK(end.code == 0);
  CHECK(end.err == "SLURM has reserved 4 tasks, of which this uses one; for all: SLURM_MPI_TYPE=pmix srun " +
                       kTrain.substr(0, kTrain.size() - 1) + "\n");
  end = place().run("torchrun", "export RANK=1 LOCAL_RANK=1 WORLD_SIZE=2; " + run);
  CHECK(end.code == 1);
  CHECK(contains(end.err, "start them by mpirun -n 2 "));
  CHECK(lines_in(end.err) == 1);
}

}  // namespace
}  // namespace ito
