#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "kernels/cuda_launch.h"
#include "kernels/cuda_library.h"
#include "kernels/cuda_library/dynamic_library.h"
#include "kernels/cuda_library/library_calls.h"

namespace ito::kernels::cuda_library {
inline constexpr const char* kInstead = "convolutions run on Ito's own kernels";
}

#if __has_include(<cudnn.h>)
#include <cudnn.h>

namespace ito::kernels {
namespace cuda_library {

namespace {

struct Cudnn {
  DynamicLibrary library{"cuDNN", {"libcudnn.so.9", "libcudnn.so"}, kInstead};
  LibraryFunction<decltype(cudnnCreate)> create{library, "cudnnCreate"};
  LibraryFunction<decltype(cudnnDestroy)> destroy{library, "cudnnDestroy"};
  LibraryFunction<decltype(cudnnSetStream)> set_stream{library, "cudnnSetStream"};
  LibraryFunction<decltype(cudnnGetErrorString)> error_string{library, "cudnnGetErrorString"};
  LibraryFunction<decltype(cudnnCreateTensorDescriptor)> create_tensor{library,
                                                                       "cudnnCreateTensorDescriptor"};
  LibraryFunction<decltype(cudnnDestroyTensorDescriptor)> destroy_tensor{library,
                                                                         "cudnnDestroyTensorDescriptor"};
  LibraryFunction<decltype(cudnnSetTensor4dDescriptor)> set_tensor{library, "cudnnSetTensor4dDescriptor"};
  LibraryFunction<decltype(cudnnCreateFilterDescriptor)> create_filter{library,
                                                                       "cudnnCreateFilterDescriptor"};
  LibraryFunction<decltype(cudnnDestroyFilterDescriptor)> destroy_filter{library,
                                                                         "cudnnDestroyFilterDescriptor"};
  LibraryFunction<decltype(cudnnSetFilter4dDescriptor)> set_filter{library, "cudnnSetFilter4dDescriptor"};
  LibraryFunction<decltype(cudnnCreateConvolutionDescriptor)> create_convolution{
      library, "cudnnCreateConvolutionDescriptor"};
  LibraryFunction<decltype(cudnnDestroyConvolutionDescriptor)> destroy_convolution{
      library, "cudnnDestroyConvolutionDescriptor"};
  LibraryFunction<decltype(cudnnSetConvolution2dDescriptor)> set_convolution{
      library, "cudnnSetConvolution2dDescriptor"};
  LibraryFunction<decltype(cudnnSetConvolutionMathType)> set_math{library, "cudnnSetConvolutionMathType"};
  LibraryFunction<decltype(cudnnGetConvolutionForwardAlgorithm_v7)> forward_algorithms{
      library, "cudnnGetConvolutionForwardAlgorithm_v7"};
  LibraryFunction<decltype(cudnnGetConvolutionBackwardDataAlgorithm_v7)> data_algorithms{
      library, "cudnnGetConvolutionBackwardDataAlgorithm_v7"};
  LibraryFunction<decltype(cudnnGetConvolutionBackwardFilterAlgorithm_v7)> filter_algorithms{
      library, "cudnnGetConvolutionBackwardFilterAlgorithm_v7"};
  LibraryFunction<decltype(cudnnGetConvolutionForwardWorkspaceSize)> forward_workspace{
      library, "cudnnGetConvolutionForwardWorkspaceSize"};
  LibraryFunction<decltype(cudnnGetConvolutionBackwardDataWorkspaceSize)> data_workspace{
      library, "cudnnGetConvolutionBackwardDataWorkspaceSize"};
  LibraryFunction<decltype(cudnnGetConvolutionBackwardFilterWorkspaceSize)> filter_workspace{
      library, "cudnnGetConvolutionBackwardFilterWorkspaceSize"};
  LibraryFunction<decltype(cudnnConvolutionForward)> forward{library, "cudnnConvolutionForward"};
  LibraryFunction<decltype(cudnnConvolutionBackwardData)> backward_data{library,
                                                                        "cudnnConvolutionBackwardData"};
  LibraryFunction<decltype(cudnnConvolutionBackwardFilter)> backward_filter{library,
                                                                            "cudnnConvolutionBackwardFilter"};
};

Cudnn& cudnn() {
  static Cudnn one;
  return one;
}

void check(cudnnStatus_t status, const char* tried) {
  if (status != CUDNN_STATUS_SUCCESS) fail(cat("cuDNN cannot ", tried, ": ", cudnn().error_string(status)));
}

/// Owns a descriptor of cuDNN's.
template <class D>
class Descriptor {
 public:
  Descriptor(cudnnStatus_t (*create)(D*), cudnnStatus_t (*destroy)(D)) : destroy_(destroy) {
    check(create(&handle_), "make a descriptor");
  }
  ~Descriptor() { destroy_(handle_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator D() const { return handle_; }

 private:
  cudnnStatus_t (*destroy_)(D);
  D handle_{};
};

/// What cuDNN knows of a convolution, NHWC throughout.
struct Description {
  Descriptor<cudnnTensorDescriptor_t> x{cudnn().create_tensor, cudnn().destroy_tensor};
  Descriptor<cudnnTensorDescriptor_t> y{cudnn().create_tensor, cudnn().destroy_tensor};
  Descriptor<cudnnFilterDescriptor_t> w{cudnn().create_filter, cudnn().destroy_filter};
  Descriptor<cudnnConvolutionDescriptor_t> convolution{cudnn().create_convolution,
                                                       cudnn().destroy_convolution};

  Description(const Conv2dDims& d, DType dtype, int n) {
    const cudnnDataType_t type = dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const auto nhwc = CUDNN_TENSOR_NHWC;
    check(cudnn().set_tensor(x, nhwc, type, n, d.c1, d.h, d.w), "describe x");
    check(cudnn().set_tensor(y, nhwc, type, n, d.k, d.out_h(), d.out_w()), "describe y");
    check(cudnn().set_filter(w, type, nhwc, d.k, d.c1, d.r, d.s), "describe w");
    check(cudnn().set_convolution(convolution, d.pad_top, d.pad_left, d.stride, d.stride, 1, 1,
                                  CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
          "describe a convolution");
  }
};

struct Algorithm {
  int number = -1;  // none
  cudnnMathType_t math = CUDNN_FMA_MATH;
  bool deterministic = false;
};

/// Those that may be used of what ask(places, found, list) lists, fastest first.
template <class Listed, class Ask>
std::vector<Algorithm> usable(bool fma_only, Ask ask) {
  constexpr int kMost = 16;
  constexpr size_t kMostWorkspace = size_t(256) << 20;  // of the images that are asked about
  Listed list[kMost] = {};
  int found = 0;
  std::vector<Algorithm> result;
  if (ask(kMost, &found, list) != CUDNN_STATUS_SUCCESS) return result;
  for (int i = 0; i < found; ++i) {
    if (list[i].status != CUDNN_STATUS_SUCCESS || list[i].memory > kMostWorkspace) continue;
    if (fma_only && list[i].mathType == CUDNN_TENSOR_OP_MATH) continue;
    result.push_back({int(list[i].algo), fma_only ? CUDNN_FMA_MATH : list[i].mathType,
                      list[i].determinism == CUDNN_DETERMINISTIC});
  }
  return result;
}

/// What the heuristics offer for a description, in arithmetic as exact as its dtype.
std::vector<Algorithm> offered(cudnnHandle_t handle, const Description& d, DType dtype, ConvPass pass) {
  const bool fma_only = dtype == DType::f32;
  check(cudnn().set_math(d.convolution, fma_only ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH),
        "choose its arithmetic");
  switch (pass) {
    case ConvPass::forward:
      return usable<cudnnConvolutionFwdAlgoPerf_t>(fma_only, [&](auto... to) {
        return cudnn().forward_algorithms(handle, d.x, d.w, d.convolution, d.y, to...);
      });
    case ConvPass::backward_data:
      return usable<cudnnConvolutionBwdDataAlgoPerf_t>(fma_only, [&](auto... to) {
        return cudnn().data_algorithms(handle, d.w, d.y, d.convolution, d.x, to...);
      });
    case ConvPass::backward_weights:
      return usable<cudnnConvolutionBwdFilterAlgoPerf_t>(fma_only, [&](auto... to) {
        return cudnn().filter_algorithms(handle, d.x, d.y, d.convolution, d.w, to...);
      });
  }
  return {};
}

cudnnStatus_t ask_workspace(cudnnHandle_t handle, const Description& d, ConvPass pass, int algorithm,
                            size_t* bytes) {
  switch (pass) {
    case ConvPass::forward:
      return cudnn().forward_workspace(handle, d.x, d.w, d.convolution, d.y,
                                       cudnnConvolutionFwdAlgo_t(algorithm), bytes);
    case ConvPass::backward_data:
      return cudnn().data_workspace(handle, d.w, d.y, d.convolution, d.x,
                                    cudnnConvolutionBwdDataAlgo_t(algorithm), bytes);
    case ConvPass::backward_weights:
      return cudnn().filter_workspace(handle, d.x, d.y, d.convolution, d.w,
                                      cudnnConvolutionBwdFilterAlgo_t(algorithm), bytes);
  }
  return CUDNN_STATUS_NOT_SUPPORTED;
}

constexpr int kMostOffered = 8;  // that cudnn_algorithms counts

/// A pass of a shape, ready to run by one algorithm (cudnn_algorithms).
struct Convolution {
  Description description;
  Algorithm algorithm;
  size_t workspace = 0;
  bool supported = false;

  Convolution(cudnnHandle_t handle, const Conv2dDims& d, DType dtype, ConvPass pass, int number)
      : description(d, dtype, d.n) {
    algorithm = number == 0 ? deterministic(handle, d, dtype, pass) : offered_as(handle, dtype, pass, number);
    if (algorithm.number < 0) return;
    check(cudnn().set_math(description.convolution, algorithm.math), "choose its arithmetic");
    supported =
        ask_workspace(handle, description, pass, algorithm.number, &workspace) == CUDNN_STATUS_SUCCESS;
  }

 private:
  /// The same whatever the batch.
  static Algorithm deterministic(cudnnHandle_t handle, const Conv2dDims& d, DType dtype, ConvPass pass) {
    constexpr int kImages = 32;
    for (const Algorithm& one : offered(handle, Description(d, dtype, kImages), dtype, pass))
      if (one.deterministic) return one;
    return {};
  }
  Algorithm offered_as(cudnnHandle_t handle, DType dtype, ConvPass pass, int number) const {
    const auto list = offered(handle, description, dtype, pass);
    return size_t(number) <= list.size() ? list[size_t(number) - 1] : Algorithm{};
  }
};

/// A stream's.
struct CudnnState {
  using Key = std::tuple<int, int, int, int, int, int, int, int, int, int, DType, ConvPass, int>;
  cudnnHandle_t handle = nullptr;
  std::map<Key, std::unique_ptr<Convolution>> convolutions;
  ~CudnnState() {
    convolutions.clear();
    if (handle) cudnn().destroy(handle);
  }
};

cudnnHandle_t handle_of(CudaStream& stream) {
  CudnnState& state = stream.state<CudnnState>();
  if (!state.handle) {
    check(cudnn().create(&state.handle), "start");
    check(cudnn().set_stream(state.handle, stream.handle()), "use a stream");
  }
  return state.handle;
}

CudnnState::Key key_of(const Conv2dDims& d, DType dtype, ConvPass pass, int algorithm) {
  return {d.n, d.h, d.w, d.c1, d.k, d.r, d.s, d.stride, d.pad_top, d.pad_left, dtype, pass, algorithm};
}

const Convolution& prepared(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass,
                            int algorithm) {
  const cudnnHandle_t handle = handle_of(stream);
  auto& slot = stream.state<CudnnState>().convolutions[key_of(d, dtype, pass, algorithm)];
  if (!slot) slot = std::make_unique<Convolution>(handle, d, dtype, pass, algorithm);
  return *slot;
}

}  // namespace

bool convolution_supported(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass) {
  if (stream.capturing() && stream.state<CudnnState>().convolutions.count(key_of(d, dtype, pass, 0)) == 0)
    return false;
  return prepared(stream, d, dtype, pass, 0).supported;
}

int convolution_algorithms(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass) {
  const size_t count = offered(handle_of(stream), Description(d, dtype, d.n), dtype, pass).size();
  return 1 + std::min(kMostOffered, int(count));
}

size_t convolution_workspace_bytes(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass,
                                   int algorithm) {
  return prepared(stream, d, dtype, pass, algorithm).workspace;
}

void convolve(CudaStream& stream, const Conv2dDims& dims, DType dtype, ConvPass pass, int algorithm,
              const ConvolutionOperands& o) {
  const Convolution& c = prepared(stream, dims, dtype, pass, algorithm);
  if (!c.supported)
    fail_advising(
        cat("cuDNN has no ", algorithm == 0 ? "deterministic" : "such", " algorithm for this convolution"),
        {"{conv} ours"});
  const Description& d = c.description;
  const cudnnHandle_t handle = handle_of(stream);
  const float one = 1, zero = 0;
  const int chosen = c.algorithm.number;
  switch (pass) {
    case ConvPass::forward:
      return check(
          cudnn().forward(handle, &one, d.x, o.a, d.w, o.b, d.convolution, cudnnConvolutionFwdAlgo_t(chosen),
                          o.workspace, c.workspace, &zero, d.y, o.result),
          "convolve");
    case ConvPass::backward_data:
      return check(cudnn().backward_data(handle, &one, d.w, o.b, d.y, o.a, d.convolution,
                                         cudnnConvolutionBwdDataAlgo_t(chosen), o.workspace, c.workspace,
                                         &zero, d.x, o.result),
                   "compute a convolution's dx");
    case ConvPass::backward_weights:
      return check(cudnn().backward_filter(handle, &one, d.x, o.b, d.y, o.a, d.convolution,
                                           cudnnConvolutionBwdFilterAlgo_t(chosen), o.workspace, c.workspace,
                                           &zero, d.w, o.result),
                   "compute a convolution's dw");
  }
}

}  // namespace cuda_library

bool cudnn_available() { return bool(cuda_library::cudnn().library); }

}  // namespace ito::kernels

#else  // no cudnn.h

namespace ito::kernels {
namespace cuda_library {

bool convolution_supported(CudaStream&, const Conv2dDims&, DType, ConvPass) { return false; }
int convolution_algorithms(CudaStream&, const Conv2dDims&, DType, ConvPass) { return 0; }
size_t convolution_workspace_bytes(CudaStream&, const Conv2dDims&, DType, ConvPass, int) { return 0; }
void convolve(CudaStream&, const Conv2dDims&, DType, ConvPass, int, const ConvolutionOperands&) {
  fail_advising("this program was compiled without cudnn.h", {"{conv} ours"});
}

}  // namespace cuda_library

bool cudnn_available() {
  static const bool available = cuda_library::compiled_without("cudnn.h", "cuDNN", cuda_library::kInstead);
  return available;
}

}  // namespace ito::kernels

#endif
