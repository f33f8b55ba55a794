#include "kernels/base/hash.h"

#define XXH_INLINE_ALL  // compiled here, for this processor's vectors, instead of linked
#include <xxhash.h>

namespace ito {

Hash& Hash::add(const void* bytes, size_t size) {
  value_ = XXH3_64bits_withSeed(bytes, size, value_);
  return *this;
}

std::string hex(uint64_t value) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

}  // namespace ito
