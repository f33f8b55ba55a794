#pragma once

#include <utility>
#include <vector>

#include "bench/kernel_cases.h"

namespace ito::bench {

/// A memory-bound case on a list of tensors: make(operands) -> std::vector<Tensor>, run(stream, tensors).
template <class Make, class Run>
Case map_case(Case head, Make make, Run run) {
  head.prepare = [make, run](Operands& operands) -> PreparedCase {
    const auto tensors = std::make_shared<std::vector<Tensor>>(make(operands));
    Device& device = operands.device();
    return {[&device, tensors, run] { device.launch([&](auto& s) { run(s, *tensors); }); }, {}, {}};
  };
  return head;
}

}  // namespace ito::bench
