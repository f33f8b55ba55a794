#include "kernels/stream.h"

#include <omp.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "kernels/base/error.h"
#include "kernels/base/math.h"

namespace ito::kernels {

CpuStream::CpuStream(int threads) : threads_(threads > 0 ? threads : omp_get_num_procs()) {
  omp_set_num_threads(threads_);
  omp_set_dynamic(0);
}

std::string CpuStream::name() const {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

void* CpuStream::allocate(size_t bytes) {
  constexpr size_t kAlign = 64;
  void* memory = std::aligned_alloc(kAlign, align_up(bytes, kAlign));
  if (!memory) fail_memory(cat(bytes >> 20, " MiB were asked for"));
  return memory;
}
void CpuStream::release(void* memory) noexcept { std::free(memory); }
void CpuStream::copy(void* to, const void* from, size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}
void CpuStream::zero(void* memory, size_t bytes) {
  if (bytes) std::memset(memory, 0, bytes);
}

}  // namespace ito::kernels
