#include "data/celeba_files/lists.h"
#include "fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  const std::string_view text = fuzz::text_of(bytes, size);
  const std::vector<std::string> pictures = {"000001.jpg", "000002.png", "a b.jpg"};
  fuzz::only_errors([&] {
    const data::Attributes attributes = data::parse_attributes(text, "input", pictures);
    fuzz::expect(attributes.values.size() == pictures.size() * attributes.names.size(),
                 "every picture has every attribute");
  });
  fuzz::only_errors([&] {
    const data::Partition partition = data::parse_partition(text, "input", pictures);
    fuzz::expect(partition.splits.size() == pictures.size(), "every picture has a split");
  });
  fuzz::only_errors([&] {
    fuzz::expect(data::parse_identities(text, "input", pictures).size() == pictures.size(),
                 "every picture has an identity");
  });
  return fuzz::only_errors([&] {
    fuzz::expect(data::parse_landmarks(text, "input", pictures).size() == pictures.size() * data::kLandmarks,
                 "every picture has all landmarks");
  });
}
