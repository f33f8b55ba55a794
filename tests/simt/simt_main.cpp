#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <fstream>

#include "tests/simt/emulator/runtime.h"

/// Runs the tests, then leaves the names of the kernels they executed in PROGRAM.kernels, for simt.coverage.
int main(int argc, char** argv) {
  const int failed = doctest::Context(argc, argv).run();
  std::ofstream record(std::string(argv[0]) + ".kernels");
  for (const std::string& kernel : simt::executed_kernels()) record << kernel << "\n";
  return failed;
}
