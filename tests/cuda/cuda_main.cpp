#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <iostream>

#include "kernels/cuda_stream.h"

/// Runs the tests on the GPU, or says why it cannot and leaves with the code by which ctest knows a test that
/// was skipped.
int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  if (const std::string problem = ito::kernels::cuda_problem(); !problem.empty()) {
    std::cout << "no GPU: " << problem << "\n";
    return kSkipped;
  }
  return doctest::Context(argc, argv).run();
}
