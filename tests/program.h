#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "engine/io/atomic_file.h"

namespace ito::tests {

/// How a program ended and what it printed: its exit code, -1 where there is none, both streams, and the most memory
/// that was resident.
struct Ended {
  int code = -1;
  std::string out, err;
  size_t peak_bytes = 0;
};

/// Runs one of our programs, as a user would, in this folder, where out.txt and err.txt are left.
inline Ended run_program(const std::filesystem::path& folder, const std::string& command) {
  const std::string line =
      "cd '" + folder.string() + "' && " ITO_APP_DIR "/" + command + " >out.txt 2>err.txt";
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);  // with what the shell has waited for
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, io::read_file(folder / "out.txt"),
          io::read_file(folder / "err.txt"), size_t(usage.ru_maxrss) * 1024};
}

}  // namespace ito::tests
