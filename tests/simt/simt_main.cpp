#define DOCTEST_CONFIG_IMPLEMENT
#define DOCTEST_CONFIG_NO_POSIX_SIGNALS  // the emulator knows more about a fault
#include <doctest/doctest.h>

#include <fstream>
#include <iostream>

#include "tests/simt/emulator/machine.h"
#include "tests/simt/emulator/memory.h"
#include "tests/simt/emulator/runtime.h"

/// Runs the tests and what they have left in queues, then leaves in PROGRAM.kernels which kernels they
/// executed, a line each: name, symbol, most bytes of dynamic shared memory. For simt.coverage and
/// scripts/kernel_report.
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
  for (const auto& [symbol, kernel] : simt::executed_kernels())
    record << kernel.name << " " << symbol << " " << kernel.most_shared << "\n";
  return failed;
}
