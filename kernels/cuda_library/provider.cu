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

/// What is settled without running anything; automatic where it is not. supported: whether the library can.
template <class Supported>
ConvChoice settled_choice(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass,
                          const Supported& supported) {
  const ConvLibrary& library = stream.state<ConvLibrary>();
  if (library.choice == ConvChoice::ours || !supported()) return ConvChoice::ours;
  return library.choice == ConvChoice::cudnn ? ConvChoice::cudnn : library.plan.find(d, dtype, pass);
}

template <class Supported>
ConvChoice choose(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass,
                  const std::function<void(ConvChoice)>& run, const Supported& supported) {
  const ConvChoice settled = settled_choice(stream, d, dtype, pass, supported);
  if (settled != ConvChoice::automatic) return settled;
  if (stream.capturing()) return ConvChoice::ours;
  const float ours = time_of(stream, [&] { run(ConvChoice::ours); });
  const float library = time_of_library(stream, [&] { run(ConvChoice::cudnn); });
  const ConvChoice faster = library < ours ? ConvChoice::cudnn : ConvChoice::ours;
  stream.state<ConvLibrary>().plan.set(d, dtype, pass, faster);
  return faster;
}

/// Room for whichever may be chosen; a shape that is settled later needs no more than before.
size_t room(ConvChoice settled, size_t ours, const std::function<size_t()>& library) {
  if (settled == ConvChoice::ours) return ours;
  return settled == ConvChoice::cudnn ? library() : std::max(ours, library());
}

}  // namespace

ConvChoice choose_convolution(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass,
                              const std::function<void(ConvChoice)>& run) {
  return choose(stream, d, dtype, pass, run, [&] { return cudnn_supports(stream, d, dtype, pass); });
}

size_t chosen_workspace_bytes(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass,
                              size_t ours) {
  const auto supported = [&] { return cudnn_supports(stream, d, dtype, pass); };
  return room(settled_choice(stream, d, dtype, pass, supported), ours,
              [&] { return cudnn_workspace_bytes(stream, d, dtype, pass); });
}

ConvChoice choose_product(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass,
                          const std::function<void(ConvChoice)>& run) {
  return choose(stream, d, dtype, pass, run, cublaslt_available);
}

size_t chosen_product_workspace_bytes(CudaStream& stream, int m, int in, int out, DType dtype, ConvPass pass,
                                      size_t ours) {
  const Conv2dDims d{m, 1, 1, in, 0, out, 1, 1, 1, 0, 0, 0, 0};
  return room(settled_choice(stream, d, dtype, pass, cublaslt_available), ours,
              [&] { return cublaslt_workspace_bytes(m, in, out, dtype, pass); });
}

}  // namespace ito::kernels
