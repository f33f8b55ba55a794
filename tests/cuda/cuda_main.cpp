#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>

#include "kernels/cuda_stream.h"

namespace {

constexpr int kSkipped = 77;

/// Asked in a process of its own: where CUDA has begun, tests cannot fork others that use it.
int gpu_problem() {
  const pid_t child = fork();
  if (child == 0) {
    const std::string problem = ito::kernels::cuda_problem();
    if (!problem.empty()) std::cout << "no GPU: " << problem << std::endl;
    _exit(problem.empty() ? 0 : kSkipped);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

/// Runs the tests on the GPU, or says why it cannot and leaves with the code by which ctest knows a test that
/// was skipped.
int main(int argc, char** argv) {
  if (const int problem = gpu_problem()) return problem;
  return doctest::Context(argc, argv).run();
}
