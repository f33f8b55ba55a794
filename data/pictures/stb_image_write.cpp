// The one translation unit that compiles stb's PNG writer; its warnings are not ours to fix.
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#include <cstdlib>
#include <new>

// If there is no memory left, stb would end the program.
static void* resized_or_thrown(void* memory, size_t bytes) {
  if (void* resized = std::realloc(memory, bytes)) return resized;
  throw std::bad_alloc();
}
#define STBIW_MALLOC(bytes) resized_or_thrown(nullptr, bytes)
#define STBIW_REALLOC(memory, bytes) resized_or_thrown(memory, bytes)
#define STBIW_FREE(memory) std::free(memory)

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
