#include "fuzz_target.h"
#include "kernels/conv_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  return fuzz::only_errors([&] {
    const auto plan = kernels::ConvPlan::from_text(std::string(fuzz::text_of(bytes, size)));
    const std::string written = plan.to_text();
    fuzz::expect(kernels::ConvPlan::from_text(written).to_text() == written, "what is written is read");
  });
}
