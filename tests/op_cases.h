#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/ops.h"

/// The one table of ops. A row names an op, the shapes it is tried on and how to call it; every check there
/// is runs every row.
namespace ito::tests {

using engine::Device;
using engine::DType;
using engine::Shape;
using engine::Tensor;

struct OpCase {
  std::string name;
  std::vector<Shape> inputs;  // the first one has the data's dtype
  std::function<Tensor(const std::vector<Tensor>&)> apply;
  int reduction = 1;                 // the longest sum behind one number of a result or gradient
  std::vector<bool> stays_f32 = {};  // inputs that stay f32 where the data is bf16; default: no input
  std::vector<bool> smooth = {};     // inputs without gradient are false; default: all have one
  double offset = 0;                 // added to the first input: mean much larger than deviation
};

const std::vector<OpCase>& op_cases();

}  // namespace ito::tests
