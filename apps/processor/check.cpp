#include <unistd.h>

#include <cstring>

#include "apps/processor/has_avx2.h"

namespace ito::apps {
namespace {

/// Ends the program with one line, not by an illegal instruction, where the processor lacks AVX2. This file is compiled
/// for any x86-64, so it may share no inline function with the others: the linker keeps one copy of each.
void check_processor(int, char** argv, char**) {
  if (has_avx2()) return;
  const char* slash = std::strrchr(argv[0], '/');
  const char* texts[] = {slash ? slash + 1 : argv[0], ": built for AVX2, this processor has none\n"};
  for (const char* text : texts)
    if (write(STDERR_FILENO, text, std::strlen(text)) < 0) break;
  _exit(1);
}

/// The loader calls what lies in this section before the constructors of the program and of its libraries.
__attribute__((section(".preinit_array"), used)) void (*before_constructors)(int, char**,
                                                                             char**) = check_processor;

}  // namespace
}  // namespace ito::apps
