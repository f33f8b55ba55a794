#include <random>
#include <regex>

#include "apps/console/stopping.h"
#include "tests/rank_runs.h"

/// ./train_celeba as several ranks, of which one is killed, or fails. ITO_KILLS: five times the number of kills (8).
namespace ito {
namespace {

namespace fs = std::filesystem;
using namespace tests;

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

}  // namespace
}  // namespace ito
