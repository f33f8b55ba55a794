#include <iterator>

#include "bench/kernel_cases.h"

namespace ito::bench {

Cases all_cases(const Setting& setting, const NetworkShapes& shapes,
                const std::vector<kernels::Conv2dDims>& more) {
  std::vector<Used<engine::ConvCall>> convolutions = shapes.convolutions;
  for (const kernels::Conv2dDims& d : more) convolutions.push_back({{d, kernels::ConvPass::forward}, 0});
  Cases all;
  for (Cases& group : std::vector<Cases>{
           convolution_cases(setting, convolutions), epilogue_cases(setting, convolutions),
           norm_cases(setting, shapes.norms), attention_cases(setting, shapes.attentions),
           product_cases(setting, shapes.products), resampling_cases(setting, shapes.upsamplings),
           pointwise_cases(setting), embedding_cases(setting), batch_cases(setting), loss_cases(setting),
           sampler_cases(setting), optimizer_cases(setting, shapes.parameters)})
    all.insert(all.end(), std::make_move_iterator(group.begin()), std::make_move_iterator(group.end()));
  return all;
}

}  // namespace ito::bench
