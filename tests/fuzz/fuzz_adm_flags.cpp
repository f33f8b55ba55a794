#include "fuzz_target.h"
#include "model/import/adm_flags.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  return fuzz::only_errors([&] {
    const model::AdmFlags read = model::adm_flags(std::string(fuzz::text_of(bytes, size)));
    check(read.network);
    fuzz::expect(read.sampler.steps.value_or(0) >= 1, "its authors draw by some steps");
    // Whatever the flags, a sampler of one step is made.
    model::SamplerOptions one = read.sampler;
    one.steps = 1;
    model::make_sampler_plan(model::settle(one, read.diffusion.preconditioning.prediction),
                             model::make_sde(read.diffusion.sde));
  });
}
