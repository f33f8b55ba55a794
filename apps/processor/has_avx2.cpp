#include "apps/processor/has_avx2.h"

namespace ito::apps {

bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("x86-64-v3");
}

}  // namespace ito::apps
