#include <sys/mount.h>

#include <random>
#include <regex>

#include "apps/console/stopping.h"
#include "model/training/checkpoint.h"
#include "tests/mpi_program.h"
#include "tests/program.h"

/// ./train_celeba as several ranks: the bytes of one, whatever happens to them on the way. ITO_KILLS: five times the
/// number of kills (8).
namespace ito {
namespace {

namespace fs = std::filesystem;
using namespace tests;

const std::string kTrain = ITO_APP_DIR "/train_celeba ";
const std::string kShape =
    "faces --preset tiny --size 16 --batch 2 --accumulate 4 --dropout 0.1 --threads 1 --cache cache";
/// A run of 24 steps with all that could make resuming or sharing inexact.
const std::string kRun = kShape +
                         " --attributes=Smiling,Eyeglasses --steps 24 --save-every 3 --validate-count 8"
                         " --ema 0.9 --sample-every 8 --sample-count 4 --sample-steps 3";

/// Drawn faces, decoded, and folders of runs next to them; made once.
struct Place {
  TempFolder folder{memory_folder()};
  Place() {
    REQUIRE(run_program(folder.path(), "make_faces faces --count 40 --seed 3").code == 0);
    REQUIRE(run_program(folder.path(), "make_faces others --count 41 --seed 4").code == 0);
  }
  fs::path operator/(const std::string& name) const { return folder / name; }
  /// Until its end; `line`: of the shell.
  LaunchEnd run(const std::string& name, const std::string& line) const {
    return Launch(folder.path(), name, line).end();
  }
  /// The run NAME/run of so many ranks.
  LaunchEnd train(const std::string& name, int ranks, const std::string& options) const {
    return run(name, command(name, ranks, options));
  }
  static std::string command(const std::string& name, int ranks, const std::string& options) {
    return "exec " + kLaunch + std::to_string(ranks) + " " + kTrain + options + " --out " + name + "/run";
  }
};

const Place& place() {
  static const Place made;
  return made;
}

/// What a run wrote, except for its times: checkpoints, averages, grids and its log.
std::map<std::string, std::string> bytes_of(const fs::path& run) {
  std::map<std::string, std::string> bytes;
  for (auto& [name, text] : contents_of(run))
    if (!contains(name, "tensorboard") && name != "run_data.js" && name != ".lock") bytes[name] = text;
  bytes["log.jsonl"] = std::regex_replace(bytes["log.jsonl"], std::regex("\"images_per_second\":[^,]*,"), "");
  return bytes;
}

/// What is equal after a kill, too: the log may then lack lines behind the last checkpoint that were made again.
std::map<std::string, std::string> kept_by(const fs::path& run) {
  std::map<std::string, std::string> kept = contents_of(run / "checkpoints");
  for (auto& [name, text] : contents_of(run / "samples")) kept["samples/" + name] = text;
  return kept;
}

/// kRun on one rank, never interrupted.
const fs::path& straight() {
  static const fs::path run = [] {
    REQUIRE(place().train("straight", 1, kRun).code == 0);
    return place() / "straight/run";
  }();
  return run;
}

/// The run goes on with so many ranks and ends as one that was never interrupted.
void check_goes_on(const std::string& name, int ranks) {
  CAPTURE(ranks);
  const LaunchEnd end = place().train(name, ranks, kRun);
  CAPTURE(end.err);
  CHECK(end.code == 0);
  CHECK(kept_by(place() / (name + "/run")) == kept_by(straight()));
  fs::remove_all(place() / name);
}

int lines_in(const std::string& text) { return int(std::count(text.begin(), text.end(), '\n')); }

bool has_checkpoint(const std::string& name) {
  return model::newest_checkpoint(place() / (name + "/run")).has_value();
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
      const LaunchEnd end =
          place().train(own, ranks,
                        kShape + options + " --steps 12 --save-every 5 --sample-every 6 --sample-count 5" +
                            " --sample-steps 3 --validate-count 9 --ema 0.9");
      CHECK(end.code == 0);
      CHECK(end.err == "");
      const auto bytes = bytes_of(place() / (own + "/run"));
      if (ranks == 1) want = bytes;
      CHECK(want.count("samples/step-00000012.png") == 1);
      CHECK(want.size() > 15);
      for (const auto& [file, text] : want) {
        CAPTURE(file);
        CHECK((bytes.count(file) && bytes.at(file) == text));
      }
      CHECK(bytes.size() == want.size());
    }
  }
}

/// A command whose ranks, except for one, write their exit codes to NAME.code.RANK, and which mpirun's signals do not
/// reach: what it would do to them is not what ends them.
std::string with_codes(const std::string& name, const std::string& command, int except) {
  return cat("bash -c '[ $OMPI_COMM_WORLD_RANK = ", except, " ] && exec ", command,
             "; exec setsid --wait bash -c \"", command, "; echo \\$? >", name,
             ".code.$OMPI_COMM_WORLD_RANK\"'");
}

/// Something half done lies among the checkpoints.
bool is_saving(const fs::path& run) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", none))
    if (entry.path().filename().string()[0] == '.') return true;
  return false;
}

/// The line about the rank that ended, once, with the checkpoint that there is.
void check_line(const std::string& errors, int rank, int ranks, pid_t process) {
  const std::regex line(cat(
      "train_celeba: rank ", rank, " of ", ranks, " \\([^,]+, process ", process,
      "\\) ended at step \\d+; (the last checkpoint is \\S+/step-\\d{8}; the same command goes on from there|"
      "there is no checkpoint yet; the same command begins again)\n"));
  CAPTURE(errors);
  CHECK(std::distance(std::sregex_iterator(errors.begin(), errors.end(), line), {}) == 1);
  const std::regex any("rank \\d+ of \\d+ [^\n]* ended at");
  CHECK(std::distance(std::sregex_iterator(errors.begin(), errors.end(), any), {}) == 1);
}

struct Kill {
  int ranks, victim;
  double delay;  // seconds
  bool at_save;
};

/// False: the run had ended before. Else it was killed, and is now as far as it came.
bool killed(const std::string& name, const Kill& k) {
  const std::string command = kTrain + kRun + " --out " + name + "/run";
  Launch launch(place().folder.path(), name,
                "exec " + kLaunch + std::to_string(k.ranks) + " " + with_codes(name, command, k.victim));
  const fs::path run = place() / (name + "/run");
  if (!launch.prints("run        ") || (k.at_save && !launch.reaches([&] { return is_saving(run); })))
    return false;
  std::this_thread::sleep_for(std::chrono::duration<double>(k.delay));
  const std::map<int, pid_t> ranks = launch.ranks();
  if (ranks.size() != size_t(k.ranks)) return false;
  kill(ranks.at(k.victim), SIGKILL);
  const Clock::time_point begin = Clock::now();
  const auto all_ended = [&] {
    return std::all_of(ranks.begin(), ranks.end(), [](const auto& r) { return has_ended(r.second); });
  };
  while (!all_ended() && seconds_since(begin) < 10) usleep(2000);
  const double seconds = seconds_since(begin);
  const LaunchEnd end = launch.end();
  if (contains(end.out, "finished   at step")) return false;
  CAPTURE(end.err);
  CHECK(seconds < 5);
  CHECK(end.code == 128 + SIGKILL);
  check_line(end.err, k.victim, k.ranks, ranks.at(k.victim));
  for (int rank = 0; rank < k.ranks; ++rank) {
    CAPTURE(rank);
    const fs::path code = place() / (name + ".code." + std::to_string(rank));
    for (int i = 0; i < 500 && !fs::exists(code) && rank != k.victim; ++i) usleep(2000);
    if (rank != k.victim) CHECK((fs::exists(code) && io::read_file(code) == "75\n"));
  }
  return true;
}

TEST_CASE(
    "a rank killed at any moment: one line, the others end, other ranks go on and end with the same bytes") {
  std::mt19937 random(1);
  const auto up_to = [&](double x) { return std::uniform_real_distribution<double>(0, x)(random); };
  const Clock::time_point begin = Clock::now();
  straight();
  const double duration = seconds_since(begin);
  const int kills = std::max(8, std::getenv("ITO_KILLS") ? wanted_kills() / 5 : 0), counts[] = {1, 2, 4};
  int done = 0, begun = 0;
  for (int i = 0; done < kills; ++i) {
    REQUIRE(i < 3 * kills);
    Kill k{i % 3 == 2 ? 4 : 2, 0, up_to(duration), i % 2 == 1};
    k.victim = k.at_save && i % 4 == 1 ? 0 : int(up_to(k.ranks - 1e-9));
    if (k.at_save) k.delay *= 0.02;
    CAPTURE(k.ranks);
    CAPTURE(k.victim);
    CAPTURE(k.delay);
    CAPTURE(k.at_save);
    const std::string name = "killed" + std::to_string(i);
    if (!killed(name, k)) continue;
    ++done;
    if (const auto newest = model::newest_checkpoint(place() / (name + "/run"))) {
      ++begun;
      CHECK(wait_for(start([&] {
              engine::Device device({1, engine::Backend::cpu});
              model::load_model(device, *newest);
            })) == 0);
    }
    int others = counts[i % 3];
    if (others == k.ranks) others = 1;
    check_goes_on(name, others);
  }
  MESSAGE(done << " kills, " << begun << " with a checkpoint to go on from");
  CHECK(begun >= kills / 4);
}

TEST_CASE("a full disk at rank 0: one line, the checkpoint before it stays, and it goes on") {
  const std::string name = "full";
  straight();
  // Ended after the first checkpoint, the run has the second one to save.
  {
    Launch launch(place().folder.path(), name, Place::command(name, 2, kRun));
    REQUIRE(launch.reaches([&] { return has_checkpoint(name); }));
    kill(launch.id(), SIGTERM);
    REQUIRE(launch.end().code == apps::kStoppedCode);
  }
  const fs::path before = *model::newest_checkpoint(place() / (name + "/run"));
  const std::string limit = "trap \"\" XFSZ; [ $OMPI_COMM_WORLD_RANK = 1 ] || ulimit -f 1000; ";
  const LaunchEnd end = place().run(
      name, "exec " + kLaunch + "2 bash -c '" + limit + kTrain + kRun + " --out " + name + "/run'");
  CAPTURE(end.err);
  CHECK(end.code == 1);
  CHECK(contains(end.err, ": cannot write: File too large; make room there"));
  CHECK(contains(end.err,
                 "the last good checkpoint is " + name + "/run/checkpoints/" + before.filename().string()));
  CHECK(std::regex_search(end.err,
                          std::regex("^train_celeba: rank 0 of 2 \\([^,]+, process \\d+\\): step \\d+: ")));
  CHECK(*model::newest_checkpoint(place() / (name + "/run")) == before);
  check_goes_on(name, 2);
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
  CHECK(end.err == "SLURM has reserved 4 tasks, of which this uses one; for all: srun --mpi=pmix " +
                       kTrain.substr(0, kTrain.size() - 1) + "\n");
  end = place().run("torchrun", "export RANK=1 LOCAL_RANK=1 WORLD_SIZE=2; " + run);
  CHECK(end.code == 1);
  CHECK(contains(end.err, "start them by mpirun -n 2 "));
  CHECK(lines_in(end.err) == 1);
}

}  // namespace
}  // namespace ito
