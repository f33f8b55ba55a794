#include "bench/kernel_libraries.h"

#include <algorithm>

#include "bench/onednn_loop.h"

#if defined(HAVE_CUDA)
#include "kernels/cuda_library.h"
#endif

namespace ito::bench {

namespace {

#if defined(HAVE_CUDA)

using kernels::ConvPass;

Runnable with_scratch(Tensor scratch, std::function<void(kernels::Out)> work) {
  return [scratch, work = std::move(work)]() mutable { work(scratch.out()); };
}

/// By every algorithm that is offered; the first is the deterministic one that --conv cudnn takes.
Baseline cudnn(Operands& operands, const std::shared_ptr<ConvTensors>& t) {
  kernels::CudaStream& s = *operands.device().cuda_stream();
  const auto& d = t->dims;
  const DType dtype = t->x.dtype();
  const int algorithms = kernels::cudnn_available() ? kernels::cudnn_algorithms(s, d, dtype, t->pass) : 0;
  size_t bytes = 0;
  for (int a = 0; a < algorithms; ++a)
    bytes = std::max(bytes, kernels::cudnn_workspace_bytes(s, d, dtype, t->pass, a));
  const Tensor scratch = operands.workspace(bytes);
  const auto work = [&](int algorithm) {
    return with_scratch(scratch, [&s, t, algorithm](kernels::Out workspace) {
      if (t->pass == ConvPass::forward)
        kernels::cudnn_forward(s, t->dims, t->x.in(), t->x2.in(), t->w.in(), {t->bias.in(), {}, {}},
                               t->y.out(), workspace, algorithm);
      else if (t->pass == ConvPass::backward_data)
        kernels::cudnn_backward_data(s, t->dims, t->y.in(), t->w.in(), t->x.out(), t->x2.out(), workspace,
                                     algorithm);
      else
        kernels::cudnn_backward_weights(s, t->dims, t->y.in(), t->x.in(), t->x2.in(), t->w.out(),
                                        t->bias.out(), workspace, algorithm);
    });
  };
  if (algorithms == 0) return {};
  Baseline baseline{"cuDNN best", work(0), {}};
  for (int a = 1; a < algorithms; ++a) baseline.alternatives.push_back(work(a));
  return baseline;
}

Baseline cublaslt(Operands& operands, const std::shared_ptr<ProductTensors>& t) {
  kernels::CudaStream& s = *operands.device().cuda_stream();
  if (!kernels::cublaslt_available()) return {};
  const auto scratch =
      operands.workspace(kernels::cublaslt_workspace_bytes(t->m, t->in, t->out, t->x.dtype(), t->pass));
  return {"cuBLASLt", with_scratch(scratch, [&s, t](kernels::Out workspace) {
            if (t->pass == ConvPass::forward)
              kernels::cublaslt_forward(s, t->m, t->in, t->out, t->x.in(), t->w.in(), t->bias.in(), {},
                                        t->y.out(), workspace);
            else if (t->pass == ConvPass::backward_data)
              kernels::cublaslt_backward_data(s, t->m, t->in, t->out, t->y.in(), t->w.in(), t->x.out(),
                                              workspace);
            else
              kernels::cublaslt_backward_weights(s, t->m, t->in, t->out, t->y.in(), t->x.in(), t->w.out(),
                                                 t->bias.out(), workspace);
          })};
}

#else

Baseline cudnn(Operands&, const std::shared_ptr<ConvTensors>&) { return {}; }
Baseline cublaslt(Operands&, const std::shared_ptr<ProductTensors>&) { return {}; }

#endif

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
