#include <cstdio>

#include "apps/processor/has_avx2.h"

/// apps/processor/check.cpp as on a processor without AVX2: neither constructors nor main may run.
bool ito::apps::has_avx2() { return false; }

namespace {
const int constructed = std::puts("a constructor ran");
}  // namespace

int main() { return constructed < 0; }
