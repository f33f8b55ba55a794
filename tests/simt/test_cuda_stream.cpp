#include <doctest/doctest.h>

#include "kernels/cuda_launch.h"
#include "tests/helpers.h"
#include "tests/simt/emulator/runtime.h"

using namespace ito;
using namespace ito::kernels;
using ito::tests::error_of;

TEST_CASE("a kernel that cannot be launched is named, with the place of the launch") {
  CudaStream stream;
  launch(empty_kernel, {}, stream);
  stream.synchronize();
  simt::fail_after("cudaLaunchKernelEx", 1, cudaErrorInvalidConfiguration);
  const std::string error = error_of([&] { launch(empty_kernel, {}, stream); });
  CAPTURE(error);
  CHECK(error.find("CUDA cannot launch ito::kernels::empty_kernel: ") == 0);
  CHECK(error.find("test_cuda_stream.cpp:") != std::string::npos);
  // Where CUDA does not tell the name either, the rest is reported.
  simt::fail_after("cudaLaunchKernelEx", 1, cudaErrorInvalidConfiguration);
  simt::fail_after("cudaFuncGetName", 1, cudaErrorInvalidDeviceFunction);
  CHECK(error_of([&] { launch(empty_kernel, {}, stream); }).find("CUDA cannot launch a kernel: ") == 0);
}
