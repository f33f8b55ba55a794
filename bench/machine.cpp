#include "bench/machine.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>

#include "bench/build_commit.h"  // written at build time: kCommit

namespace ito::bench {

#if defined(HAVE_CUDA)
namespace {

std::string version_text(int version) { return cat(version / 1000, ".", version % 1000 / 10); }

}  // namespace
#endif

std::string Machine::text() const {
  if (gpu.empty()) return cat(processor, ", ", threads, threads == 1 ? " thread" : " threads");
  return cat(gpu, " (driver for CUDA ", driver, ", runtime ", runtime, ")");
}

Machine machine_of(engine::Device& device) {
  Machine machine;
  machine.processor = device.cpu_stream().name(), machine.threads = device.threads();
#if defined(HAVE_CUDA)
  if (kernels::CudaStream* stream = device.cuda_stream()) {
    const kernels::GpuInfo info = stream->info();
    machine.gpu = info.name;
    machine.driver = version_text(info.driver), machine.runtime = version_text(info.runtime);
    machine.clock_mhz = info.clock_mhz, machine.memory_clock_mhz = info.memory_clock_mhz;
  }
#endif
  return machine;
}

std::string commit() { return kCommit; }

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", std::localtime(&now));
  return text;
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double all = 0, resident = 0;
  statm >> all >> resident;
  return resident * double(sysconf(_SC_PAGESIZE));
}

size_t last_level_cache_bytes() {
  return size_t(std::max({0L, sysconf(_SC_LEVEL2_CACHE_SIZE), sysconf(_SC_LEVEL3_CACHE_SIZE)}));
}

}  // namespace ito::bench
