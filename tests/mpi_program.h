#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <map>
#include <thread>

#include "tests/small_run.h"

/// Programs that run as several ranks, started as at a terminal.
namespace ito::tests {

inline const std::string kLaunch = ITO_SOURCE_DIR "/scripts/launch ";
/// mpirun as scripts/launch calls it, for what that does not do.
inline const std::string kMpirun =
    "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PRTE_ALLOW_RUN_AS_ROOT=1 "
    "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 "
    "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe exec mpirun --quiet --bind-to none ";

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// How a launch ended: the launcher's exit code, and what all ranks printed.
struct LaunchEnd {
  int code = -1;
  std::string out, err;
};

/// A line of the shell in a process group of its own, in this folder; NAME.out and NAME.err are what it prints. Its
/// processes are found by a variable in their environment.
class Launch {
 public:
  Launch(const std::filesystem::path& folder, const std::string& name, const std::string& line)
      : output_(folder / (name + ".out")), errors_(folder / (name + ".err")) {
    const std::string whole =
        "cd '" + folder.string() + "' && " + line + " >" + name + ".out 2>" + name + ".err";
    static int count = 0;
    mark_ = cat("ITO_TEST_LAUNCH=", getpid(), ".", ++count);
    std::filesystem::remove(output_);
    id_ = start([&] {
      setpgid(0, 0);
      std::signal(SIGINT, SIG_DFL);
      putenv(mark_.data());
      execl("/bin/bash", "bash", "-c", whole.c_str(), nullptr);
    });
  }
  ~Launch() {
    if (id_ > 0) end_all();
  }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  pid_t id() const { return id_; }
  std::string out() const { return text_in(output_); }
  std::string err() const { return text_in(errors_); }

  /// Waits until that is so; false: the launch ended before.
  bool reaches(const std::function<bool()>& state) const {
    for (const Clock::time_point begin = Clock::now(); seconds_since(begin) < 60;) {
      if (state()) return true;
      siginfo_t ended{};
      if (waitid(P_PID, id_t(id_), &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid != 0)
        return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    FAIL("not reached within a minute: " << out() << err());
    return false;
  }
  bool prints(const std::string& part) const {
    return reaches([&] { return contains(out(), part); });
  }

  /// Processes of the program `name` by rank; those that mpirun has not started yet, or that have ended, are missing.
  std::map<int, pid_t> ranks(const std::string& name = "train_celeba") const {
    std::map<int, pid_t> found;
    for (const auto& [process, rank] : processes(name))
      if (rank >= 0) found[rank] = process;
    return found;
  }
  /// The process of the launcher itself, which scripts/launch has started.
  pid_t mpirun() const {
    const auto found = processes("mpirun");
    return found.empty() ? 0 : found[0].first;
  }

  LaunchEnd end() {
    const auto ended = [&] {
      siginfo_t info{};
      return waitid(P_PID, id_t(id_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
    };
    for (const Clock::time_point begin = Clock::now(); !ended();) {
      if (seconds_since(begin) > 60) FAIL("not ended within a minute: " << out() << err());
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    const int code = wait_for(id_);
    id_ = 0;
    return {code, out(), err()};
  }

 private:
  static std::string text_in(const std::filesystem::path& file) {
    return std::filesystem::exists(file) ? io::read_file(file) : "";
  }
  /// Of this launch: numbers of processes, and their ranks or -1.
  std::vector<std::pair<pid_t, int>> processes(const std::string& name) const {
    std::vector<std::pair<pid_t, int>> found;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", none)) {
      const pid_t process = std::atoi(entry.path().filename().c_str());
      if (process == 0) continue;
      std::string comm, environment;
      std::getline(std::ifstream(entry.path() / "comm"), comm);
      if (comm != name) continue;
      std::ifstream stream(entry.path() / "environ");
      environment = '\0' + std::string(std::istreambuf_iterator<char>(stream), {}) + '\0';
      if (!contains(environment, '\0' + mark_ + '\0')) continue;
      const std::string variable = "OMPI_COMM_WORLD_RANK=";
      const size_t at = environment.find(variable);
      found.emplace_back(
          process, at == std::string::npos ? -1 : std::atoi(environment.c_str() + at + variable.size()));
    }
    return found;
  }
  void end_all() {
    for (const char* name : {"train_celeba", "sample", "evaluate", "mpirun"})
      for (const auto& [process, rank] : processes(name)) kill(process, SIGKILL);
    kill(-id_, SIGKILL);
    wait_for(id_);
  }

  std::filesystem::path output_, errors_;
  std::string mark_;
  pid_t id_ = 0;
};

/// Whether the process has ended, also where no other one has waited for it yet.
inline bool has_ended(pid_t process) {
  std::ifstream stat(cat("/proc/", process, "/stat"));
  std::string text;
  if (!std::getline(stat, text)) return true;
  const size_t name_end = text.rfind(')');
  return name_end == std::string::npos || contains("ZX", text.substr(name_end + 2, 1));
}

}  // namespace ito::tests
