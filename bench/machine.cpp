#include "bench/machine.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace ito::bench {

namespace {

std::string version_text(int version) { return cat(version / 1000, ".", version % 1000 / 10); }

}  // namespace

std::string MachineInfo::text() const {
  if (gpu.empty()) return cat(processor, ", ", threads, threads == 1 ? " thread" : " threads");
  std::string more;
  if (!observed.driver.empty()) more += "; driver " + observed.driver;
  if (observed.clock_mhz > 0)
    more += cat("; at work ", observed.clock_mhz, " MHz, memory ", observed.memory_clock_mhz, " MHz");
  return cat(gpu, " (driver for CUDA ", driver, ", runtime ", runtime, more, ")");
}

MachineInfo::Observed observe_gpu(const std::function<void()>& work) {
  const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
  std::string gpu = visible ? visible : "0";
  gpu.erase(
      std::find_if_not(gpu.begin(), gpu.end(), [](unsigned char c) { return std::isalnum(c) || c == '-'; }),
      gpu.end());
  const std::string command =
      cat("nvidia-smi -i '", gpu,
          "' --query-gpu=driver_version,clocks.sm,clocks.mem --format=csv,noheader,nounits"
          " 2>/dev/null");
  MachineInfo::Observed observed;
  FILE* const answer = popen(command.c_str(), "r");
  if (!answer) return observed;
  pollfd waits{fileno(answer), POLLIN, 0};
  while (poll(&waits, 1, 0) == 0) work();
  char driver[32] = "";
  if (fscanf(answer, "%31[0-9.], %d, %d", driver, &observed.clock_mhz, &observed.memory_clock_mhz) > 0)
    observed.driver = driver;
  pclose(answer);
  return observed;
}

MachineInfo machine_of(engine::Device& device) {
  MachineInfo machine;
  machine.processor = device.cpu_stream().name(), machine.threads = device.threads();
  if (kernels::CudaStream* stream = device.cuda_stream()) {
    const kernels::GpuInfo info = stream->info();
    machine.gpu = info.name;
    machine.driver = version_text(info.driver), machine.runtime = version_text(info.runtime);
    machine.clock_mhz = info.clock_mhz, machine.memory_clock_mhz = info.memory_clock_mhz;
  }
  return machine;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", std::localtime(&now));
  return text;
}

size_t last_level_cache_bytes() {
  return size_t(std::max({0L, sysconf(_SC_LEVEL2_CACHE_SIZE), sysconf(_SC_LEVEL3_CACHE_SIZE)}));
}

}  // namespace ito::bench
