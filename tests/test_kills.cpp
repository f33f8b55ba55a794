#include <doctest/doctest.h>

#include <chrono>
#include <random>
#include <thread>

#include "model/training/checkpoint.h"
#include "tests/small_run.h"

/// Training is killed at random moments. Each time the newest checkpoint loads, and the run that goes on ends
/// with the bytes of one that was never killed. ITO_KILLS: how many kills (20).
namespace ito::model {
namespace {

namespace fs = std::filesystem;
using namespace tests;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Waits until a writer's temporary of checkpoint `step` is there, or the child has ended.
void wait_for_save(const fs::path& run, int64_t step, pid_t child) {
  const std::string prefix = "." + step_name(step);
  siginfo_t ended{};
  while (waitid(P_PID, id_t(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(run / "checkpoints", none))
      if (entry.path().filename().string().rfind(prefix, 0) == 0) return;
  }
}

/// Something half done lies among the checkpoints: a folder or link being written, or one being removed, or a
/// link that does not point to the newest yet.
bool was_saving(const fs::path& run) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", none))
    if (entry.path().filename().string()[0] == '.') return true;
  const auto newest = newest_checkpoint(run);
  return newest && fs::read_symlink(run / "checkpoints/last", none) != newest->filename();
}

TEST_CASE("killed at any moment, a run goes on from its newest checkpoint and ends with the same bytes") {
  const SmallRun run;
  const TempFolder place(memory_folder());
  const Clock::time_point begin = Clock::now();
  REQUIRE(wait_for(start([&] { run.train(place / "straight"); })) == 0);
  const double duration = seconds_since(begin);
  const auto want = contents_of(place / "straight/checkpoints");
  REQUIRE(want.count("last") == 1);
  REQUIRE(want.count("best") == 1);

  std::mt19937 random(1);
  std::uniform_real_distribution<double> uniform(0, 1);
  const int kills = wanted_kills();
  int killed = 0, saving = 0, begun = 0;
  for (int i = 0; killed < kills; ++i) {
    REQUIRE(i < 3 * kills);
    const fs::path folder = place / ("killed" + std::to_string(i));
    const pid_t child = start([&] { run.train(folder); });
    // Every other one once a save has begun, and a little later.
    double delay = uniform(random) * duration;
    if (i % 2) {
      wait_for_save(folder, run.options.save_every * (1 + int64_t(uniform(random) * 6)), child);
      delay *= 0.02;
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(delay));
    kill(child, SIGKILL);
    if (wait_for(child) != -SIGKILL) continue;  // it had ended
    ++killed;
    saving += was_saving(folder);
    if (const auto newest = newest_checkpoint(folder)) {
      ++begun;
      CHECK(wait_for(start([&] {
              engine::Device device({1, engine::Backend::cpu});
              load_model(device, *newest);
            })) == 0);
    }
    CHECK(wait_for(start([&] { run.train(folder); })) == 0);
    CHECK(contents_of(folder / "checkpoints") == want);
    fs::remove_all(folder);
  }
  MESSAGE(killed << " kills, " << saving << " of them inside a save, " << begun
                 << " with a checkpoint to go on from");
  CHECK(saving >= kills / 5);
}

}  // namespace
}  // namespace ito::model
