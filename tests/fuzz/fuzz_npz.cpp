#include <algorithm>
#include <vector>

#include "engine/io/npz.h"
#include "fuzz_target.h"
#include "zip_checksums.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  const fuzz::MemoryFile file(fuzz::with_checksums(std::string(fuzz::text_of(bytes, size))));
  return fuzz::only_errors([&] {
    const io::NpzReader npz(file.path());
    for (const std::string& name : npz.names()) {
      fuzz::expect(npz.has(name), "an array is found by its name");
      fuzz::only_errors([&] {
        const io::NpyArray array = npz.array(name, 64 << 20);
        fuzz::expect(io::bytes_of(array.type, array.shape) == array.bytes.size(),
                     "the shape is that of the bytes");
        io::NpzStream stream = npz.open(name);
        std::vector<std::byte> pieces(array.bytes.size());
        for (size_t at = 0, piece; at < pieces.size(); at += piece) {
          piece = std::min(pieces.size() - at, 1 + pieces.size() / 3);
          stream.read(pieces.data() + at, piece);
        }
        fuzz::expect(pieces == array.bytes, "the array in pieces is the whole one");
      });
    }
  });
}
