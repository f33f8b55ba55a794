#include <vector>

#include "engine/io/to_f32.h"
#include "engine/io/torch_file.h"
#include "fuzz_target.h"
#include "zip_checksums.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  const fuzz::MemoryFile file(fuzz::with_checksums(std::string(fuzz::text_of(bytes, size))));
  const auto read = [&](io::TorchContent content) {
    const io::TorchFileReader reader(file.path(), content);
    for (const io::TorchTensor& tensor : reader.tensors()) {
      fuzz::expect(reader.find(tensor.name) == &tensor, "a tensor is found by its name");
      fuzz::expect(uint64_t(tensor.size()) <= size, "a tensor has no more numbers than the file has bytes");
      if (!io::is_real(tensor.type)) continue;
      const std::vector<float> numbers = reader.values(tensor.name);  // none beyond the storage: ASan sees it
      fuzz::expect(numbers.size() == size_t(tensor.size()), "a tensor has the numbers of its shape");
    }
  };
  fuzz::only_errors([&] { read(io::TorchContent::tree); });
  return fuzz::only_errors([&] { read(io::TorchContent::state_dict); });
}
