#include <algorithm>
#include <vector>

#include "engine/io/safetensors.h"
#include "fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  const fuzz::MemoryFile file(fuzz::text_of(bytes, size));
  return fuzz::only_errors([&] {
    const io::SafetensorsReader reader(file.path());
    for (const io::TensorInfo& tensor : reader.tensors()) {
      const io::TensorInfo* found = reader.find(tensor.name);
      fuzz::expect(found == &tensor, "a tensor is found by its name");
      std::vector<std::byte> copy(tensor.bytes());
      std::copy_n(reader.data(tensor), copy.size(), copy.data());
    }
  });
}
