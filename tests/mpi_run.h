#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <utility>

#include "tests/program.h"

/// Our programs as several ranks of this machine.
namespace ito::tests {

/// One of them under way, started by mpirun in a folder, where out.txt and err.txt are left. Open MPI is allowed to run
/// as root, and more ranks than there are cores.
class MpiRun {
 public:
  MpiRun(std::filesystem::path folder, int ranks, const std::string& command) : folder_(std::move(folder)) {
    const std::string line =
        "cd '" + folder_.string() +
        "' && OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 "
        "exec mpirun -n " +
        std::to_string(ranks) + " " ITO_APP_DIR "/" + command + " >out.txt 2>err.txt";
    process_ = fork();
    if (process_ == 0) {
      execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      _exit(127);
    }
  }
  MpiRun(const MpiRun&) = delete;
  MpiRun& operator=(const MpiRun&) = delete;
  ~MpiRun() {
    if (process_ > 0) kill(process_, SIGTERM), wait();
  }

  /// mpirun forwards it to all ranks.
  void send(int signal) const { kill(process_, signal); }
  Ended wait() {
    int status = 0;
    waitpid(std::exchange(process_, -1), &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, io::read_file(folder_ / "out.txt"),
            io::read_file(folder_ / "err.txt"), 0};
  }

 private:
  std::filesystem::path folder_;
  pid_t process_ = -1;
};

}  // namespace ito::tests
