#include "engine/io/zip.h"
#include "fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  return fuzz::only_errors([&] {
    const io::ZipReader zip(fuzz::text_of(bytes, size), "input");
    for (const io::ZipEntry& entry : zip.entries()) {
      fuzz::expect(zip.find(entry.name) == &entry, "an entry is found by its name");
      fuzz::only_errors([&] {
        fuzz::expect(zip.read(entry, 64 << 20).size() == entry.bytes, "an entry has the bytes that it says");
      });
    }
  });
}
