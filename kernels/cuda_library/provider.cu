#include <algorithm>
#include <limits>

#include "kernels/cuda_library.h"
#include "kernels/cuda_stream.h"

namespace ito::kernels {

namespace {

/// Milliseconds of one run: the shortest of a few, after one that does not count. Recorded and replayed, as
/// steps are: what the host does for a launch is no part of them.
float time_of(CudaStream& stream, const std::function<void()>& work) {
  constexpr int kRuns = 5;
  work();
  stream.begin_capture();
  try {
    work();
  } catch (...) {
    if (stream.capturing()) stream.abandon_capture();
    throw;
  }
  const CudaGraph graph = stream.end_capture();
  CudaEvent start, end;
  float shortest = std::numeric_limits<float>::infinity();
  for (int run = 0; run <= kRuns; ++run) {
    start.record(stream);
    stream.replay(graph);
    end.record(stream);
    end.wait();
    if (run > 0) shortest = std::min(shortest, end.since(start));
  }
  return shortest;
}

/// The same, where the library may refuse in the end what it seemed to support: then never.
float time_of_library(CudaStream& stream, const std::function<void()>& work) {
  try {
    return time_of(stream, work);
  } catch (const Error&) {
    return std::numeric_limits<float>::infinity();
  }
}

/// What is settled without running anything; fastest where it is not. supported: whether the library can.
template <class Supported>
Provider settled_provider(const ConvPolicy& policy, const Conv2dDims& d, DType dtype, ConvPass pass,
                          const Supported& supported) {
  if (policy.provider == Provider::own || !supported()) return Provider::own;
  return policy.provider == Provider::library ? Provider::library : policy.plan.find(d, dtype, pass);
}

template <class Supported>
Provider chosen_provider(CudaStream& stream, ConvPolicy& policy, const Conv2dDims& d, DType dtype,
                         ConvPass pass, const std::function<void(Provider)>& run,
                         const Supported& supported) {
  const Provider settled = settled_provider(policy, d, dtype, pass, supported);
  if (settled != Provider::fastest) return settled;
  if (stream.capturing()) return Provider::own;
  const float own = time_of(stream, [&] { run(Provider::own); });
  const float library = time_of_library(stream, [&] { run(Provider::library); });
  const Provider faster = library < own ? Provider::library : Provider::own;
  policy.plan.set(d, dtype, pass, faster);
  return faster;
}

/// Room for any provider that may be chosen; a shape that is settled later needs no more than before.
size_t room(Provider settled, size_t own, const std::function<size_t()>& library) {
  if (settled == Provider::own) return own;
  return settled == Provider::library ? library() : std::max(own, library());
}

}  // namespace

Provider convolution_provider(CudaStream& stream, ConvPolicy& policy, const Conv2dDims& d, DType dtype,
                              ConvPass pass, const std::function<void(Provider)>& run) {
  return chosen_provider(stream, policy, d, dtype, pass, run,
                         [&] { return cudnn_supports(stream, d, dtype, pass); });
}

size_t convolution_workspace_bytes(CudaStream& stream, const ConvPolicy& policy, const Conv2dDims& d,
                                   DType dtype, ConvPass pass, size_t own) {
  const auto supported = [&] { return cudnn_supports(stream, d, dtype, pass); };
  return room(settled_provider(policy, d, dtype, pass, supported), own,
              [&] { return cudnn_workspace_bytes(stream, policy, d, dtype, pass); });
}

Provider product_provider(CudaStream& stream, ConvPolicy& policy, const LinearDims& d, DType dtype,
                          ConvPass pass, const std::function<void(Provider)>& run) {
  return chosen_provider(stream, policy, d.as_convolution(), dtype, pass, run, cublaslt_available);
}

size_t product_workspace_bytes(const ConvPolicy& policy, const LinearDims& d, DType dtype, ConvPass pass,
                               size_t own) {
  return room(settled_provider(policy, d.as_convolution(), dtype, pass, cublaslt_available), own,
              [&] { return cublaslt_workspace_bytes(d, dtype, pass); });
}

}  // namespace ito::kernels
