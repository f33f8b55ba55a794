#include "data/celeba.h"
#include "fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  const fuzz::MemoryFile file(fuzz::text_of(bytes, size));
  return fuzz::only_errors([&] {
    const data::Attributes attributes = data::read_attributes(file.path(), {"000001.jpg", "000002.jpg"});
    fuzz::expect(attributes.values.size() == 2 * attributes.names.size(),
                 "every picture has every attribute");
  });
}
