#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/io/atomic_file.h"

namespace ito::tests {

/// How a program ended and what it printed: its exit code, -1 where there is none, and both streams.
struct Ended {
  int code = -1;
  std::string out, err;
};

/// Runs one of our programs, as a user would, in this folder, where out.txt and err.txt are left.
inline Ended run_program(const std::filesystem::path& folder, const std::string& command) {
  const std::string line =
      "cd '" + folder.string() + "' && " ITO_APP_DIR "/" + command + " >out.txt 2>err.txt";
  const int status = std::system(line.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, io::read_file(folder / "out.txt"),
          io::read_file(folder / "err.txt")};
}

}  // namespace ito::tests
