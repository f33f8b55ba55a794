#include "fuzz_target.h"
#include "model/import/scheduler.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  return fuzz::only_errors([&] {
    const model::Scheduler read = model::scheduler_from_json(std::string(fuzz::text_of(bytes, size)));
    fuzz::expect(read.diffusion.sde.table.levels >= 2, "a scheduler has a table");
    const model::NoiseTable table(read.diffusion.sde.table);
    fuzz::expect(table.sigma_at(0) > 0, "its first level has noise");
    // However many levels there are, a sampler of one step is made.
    model::SamplerOptions one = read.sampler;
    one.steps = 1;
    model::make_sampler_plan(model::settle(one, read.diffusion.preconditioning.prediction),
                             model::Sde(table));
  });
}
