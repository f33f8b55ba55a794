#define DOCTEST_CONFIG_IMPLEMENT
#define DOCTEST_CONFIG_NO_POSIX_SIGNALS  // the emulator knows more about a fault
#include <doctest/doctest.h>

#include <fstream>
#include <iostream>

#include "tests/simt/emulator/machine.h"
#include "tests/simt/emulator/memory.h"
#include "tests/simt/emulator/runtime.h"

/// Runs the tests and what they have left in queues, then leaves the names of the kernels they executed in
/// PROGRAM.kernels, for simt.coverage.
int main(int argc, char** argv) {
  simt::install_fault_handler();
  int failed = doctest::Context(argc, argv).run();
  try {
    simt::finish();
  } catch (const simt::Violation& violation) {
    std::cerr << "after the last test: " << violation.what() << "\n";
    failed = 1;
  }
  std::ofstream record(std::string(argv[0]) + ".kernels");
  for (const std::string& kernel : simt::executed_kernels()) record << kernel << "\n";
  return failed;
}
