#include "engine/io/npy.h"
#include "fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  const fuzz::MemoryFile file(fuzz::text_of(bytes, size));
  return fuzz::only_errors([&] {
    const io::NpyArray array = io::read_npy(file.path());
    fuzz::expect(io::bytes_of(array.type, array.shape) == array.bytes.size(),
                 "the shape is that of the bytes");
  });
}
