#include <algorithm>
#include <limits>

#include "kernels/cuda_library.h"
#include "kernels/cuda_stream.h"

namespace ito::kernels {

namespace {

/// Milliseconds of one run: the shortest of a few, after one that does not count.
float time_of(CudaStream& stream, const std::function<void()>& work) {
  constexpr int kRuns = 5;
  CudaEvent start, end;
  float shortest = std::numeric_limits<float>::infinity();
  for (int run = 0; run <= kRuns; ++run) {
    start.record(stream);
    work();
    end.record(stream);
    end.wait();
    if (run > 0) shortest = std::min(shortest, end.since(start));
  }
  return shortest;
}

/// What is settled without running anything; automatic where it is not.
ConvChoice settled_choice(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass) {
  const ConvLibrary& library = stream.state<ConvLibrary>();
  if (library.choice == ConvChoice::ours || !cudnn_supports(stream, d, dtype, pass)) return ConvChoice::ours;
  return library.choice == ConvChoice::cudnn ? ConvChoice::cudnn : library.plan.find(d, dtype, pass);
}

}  // namespace

ConvChoice choose_convolution(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass,
                              const std::function<void(ConvChoice)>& run) {
  const ConvChoice settled = settled_choice(stream, d, dtype, pass);
  if (settled != ConvChoice::automatic) return settled;
  if (stream.capturing()) return ConvChoice::ours;
  const float ours = time_of(stream, [&] { run(ConvChoice::ours); });
  const float cudnn = time_of(stream, [&] { run(ConvChoice::cudnn); });
  const ConvChoice faster = cudnn < ours ? ConvChoice::cudnn : ConvChoice::ours;
  stream.state<ConvLibrary>().plan.set(d, dtype, pass, faster);
  return faster;
}

size_t chosen_workspace_bytes(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass,
                              size_t ours) {
  const ConvChoice settled = settled_choice(stream, d, dtype, pass);
  if (settled == ConvChoice::ours) return ours;
  const size_t cudnn = cudnn_workspace_bytes(stream, d, dtype, pass);
  return settled == ConvChoice::cudnn ? cudnn : std::max(ours, cudnn);
}

}  // namespace ito::kernels
