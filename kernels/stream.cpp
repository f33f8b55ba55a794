#include "kernels/stream.h"

#include <omp.h>

namespace ito::kernels {

CpuStream::CpuStream(int threads) : threads_(threads > 0 ? threads : omp_get_num_procs()) {
  omp_set_num_threads(threads_);
  omp_set_dynamic(0);
}

}  // namespace ito::kernels
