#include "fuzz_target.h"
#include "model/training/options.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  return fuzz::only_errors([&] {
    const std::string text(fuzz::text_of(bytes, size));
    const model::TrainingOptions options = model::training_options_from_json(text);
    const std::string written = model::to_json(options);
    fuzz::expect(model::to_json(model::training_options_from_json(written)) == written,
                 "what is written is read");
  });
}
