#include "fuzz_target.h"
#include "model/unet/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  return fuzz::only_errors([&] {
    const model::NetworkConfig config =
        model::network_config_from_json(std::string(fuzz::text_of(bytes, size)));
    const std::string written = model::to_json(config);
    std::string again;
    try {
      again = model::to_json(model::network_config_from_json(written));
    } catch (const Error& e) {
      again = e.what();
    }
    fuzz::expect(again == written, "what is written is read");
  });
}
