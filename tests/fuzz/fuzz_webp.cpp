#include "fuzz_picture.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  return ito::fuzz::read_picture(bytes, size);
}
