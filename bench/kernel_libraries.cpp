#include "bench/kernel_libraries.h"

#include <algorithm>

#include "bench/onednn_loop.h"
#include "kernels/cuda_library.h"

namespace ito::bench {

namespace {

using kernels::ConvPolicy;
using kernels::Provider;

template <class Tensors>
Runnable pass_by(Device& device, ConvPolicy policy, const std::shared_ptr<Tensors>& t, Tensor workspace) {
  return [&device, policy, t, workspace]() mutable { run_pass(device, policy, *t, workspace); };
}

/// By every algorithm that is offered; the first is the deterministic one that --conv cudnn takes.
Baseline cudnn(Operands& operands, const std::shared_ptr<ConvTensors>& t) {
  Device& device = operands.device();
  const DType dtype = t->x.dtype();
  const int algorithms = kernels::cudnn_available()
                             ? kernels::cudnn_algorithms(*device.cuda_stream(), t->dims, dtype, t->pass)
                             : 0;
  if (algorithms == 0) return {};
  const auto policy = [](int algorithm) {
    return ConvPolicy{.provider = Provider::library, .comparison = {.cudnn_algorithm = algorithm}};
  };
  size_t bytes = 0;
  for (int a = 0; a < algorithms; ++a)
    bytes = std::max(bytes, device.query([&](auto& s) {
      return kernels::conv2d_workspace_bytes(s, policy(a), t->dims, dtype, t->pass);
    }));
  const Tensor workspace = operands.workspace(bytes);
  Baseline baseline{"cuDNN best", pass_by(device, policy(0), t, workspace), {}};
  for (int a = 1; a < algorithms; ++a)
    baseline.alternatives.push_back(pass_by(device, policy(a), t, workspace));
  return baseline;
}

Baseline cublaslt(Operands& operands, const std::shared_ptr<ProductTensors>& t) {
  if (!kernels::cublaslt_available()) return {};
  Device& device = operands.device();
  const ConvPolicy policy{.provider = Provider::library};
  const size_t bytes = device.query(
      [&](auto& s) { return kernels::linear_workspace_bytes(s, policy, t->dims, t->x.dtype(), t->pass); });
  return {"cuBLASLt", pass_by(device, policy, t, operands.workspace(bytes))};
}

}  // namespace

Baseline library_convolution(Operands& operands, const std::shared_ptr<ConvTensors>& t) {
  if (operands.device().backend() == engine::Backend::cuda) return cudnn(operands, t);
  if (t->x.dtype() != DType::f32) return {};
  return {"oneDNN direct", onednn_direct({t->dims, t->pass})};
}

Baseline library_product(Operands& operands, const std::shared_ptr<ProductTensors>& t) {
  return operands.device().backend() == engine::Backend::cuda ? cublaslt(operands, t) : Baseline{};
}

}  // namespace ito::bench
