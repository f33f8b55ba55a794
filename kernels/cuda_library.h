#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "kernels/base/names.h"
#include "kernels/base/philox.h"
#include "kernels/conv2d.h"

/// NVIDIA's libraries as alternatives to our own kernels. Each is opened by dlopen when it is first asked
/// for, in the folder that the environment variable ITO_CUDA_LIBRARIES names and then where the system looks;
/// one that is missing is reported once by warn(). In the tests' emulator plain loops answer in their place.
namespace ito::kernels {

// ---- convolutions: cuDNN ----

/// What convolutions run on (and matrix products, where cudnn stands for cuBLASLt); automatic: on what was
/// faster for the shape when it was first met.
enum class ConvChoice : uint8_t { ours, cudnn, automatic };

/// What was found faster, for each shape without its number of images, dtype and pass. As text, a line each:
///   forward bf16 64x64 channels 128+64 to 64 filter 3x3 stride 1 padding 1 1 1 1: cudnn
class ConvPlan {
 public:
  /// ours or cudnn; automatic where nothing is known.
  ConvChoice find(const Conv2dDims&, DType, ConvPass) const;
  /// choice: ours or cudnn.
  void set(const Conv2dDims&, DType, ConvPass, ConvChoice choice);
  size_t size() const { return choices_.size(); }

  std::string to_text() const;
  /// Fails at a line that to_text does not write, with its number.
  static ConvPlan from_text(const std::string&);

 private:
  using Key = std::array<int, 14>;
  static Key key_of(const Conv2dDims&, DType, ConvPass);
  static std::string line_of(const Key&, ConvChoice);
  std::map<Key, ConvChoice> choices_;
};

/// A stream's: `stream.state<ConvLibrary>()`, set before its first convolution.
struct ConvLibrary {
  ConvChoice choice = ConvChoice::ours;
  ConvPlan plan;
};

/// Which one a pass runs on, ours or cudnn: what ConvLibrary says where cuDNN supports the pass. automatic
/// runs both by `run` (any number of times) and keeps the faster one in the plan. While a graph is captured,
/// a shape that was not asked for before runs on ours and stays unknown.
ConvChoice choose_convolution(CudaStream&, const Conv2dDims&, DType, ConvPass,
                              const std::function<void(ConvChoice)>& run);
/// Bytes of workspace for what choose_convolution may choose. ours: bytes that our kernels need.
size_t chosen_workspace_bytes(CudaStream&, const Conv2dDims&, DType, ConvPass, size_t ours);

/// The same for matrix products, seen as 1x1 convolutions: cudnn stands for cuBLASLt here.
ConvChoice choose_product(CudaStream&, const Conv2dDims&, DType, ConvPass,
                          const std::function<void(ConvChoice)>& run);
size_t chosen_product_workspace_bytes(CudaStream&, int m, int in, int out, DType, ConvPass, size_t ours);

bool cudnn_available();
/// Padding must be the same at both ends, and cuDNN must know a deterministic algorithm. Which one it is
/// does not depend on the number of images; what cuDNN does inside it may.
bool cudnn_supports(CudaStream&, const Conv2dDims&, DType, ConvPass);
/// How many algorithms there are to choose from, for benchmarks: 0 is the deterministic one that everything
/// else takes; those from 1 on are what cuDNN offers for this shape, the likely fastest first, deterministic
/// or not, and may refuse in the end.
int cudnn_algorithms(CudaStream&, const Conv2dDims&, DType, ConvPass);
size_t cudnn_workspace_bytes(CudaStream&, const Conv2dDims&, DType, ConvPass, int algorithm = 0);

/// As conv2d_forward and so on (kernels/conv2d.h). cuDNN writes y and dw in x's dtype: in bf16 a result with
/// an epilogue is rounded twice, and dw to 8 bits of mantissa. dbias is summed in f32.
void cudnn_forward(CudaStream&, const Conv2dDims&, In x, In x2, In w, const ConvEpilogue&, Out y,
                   Out workspace, int algorithm = 0);
void cudnn_backward_data(CudaStream&, const Conv2dDims&, In dy, In w, Out dx, Out dx2, Out workspace,
                         int algorithm = 0);
void cudnn_backward_weights(CudaStream&, const Conv2dDims&, In dy, In x, In x2, Out dw, Out dbias,
                            Out workspace, int algorithm = 0);

// ---- matrix products: cuBLASLt ----

bool cublaslt_available();
size_t cublaslt_workspace_bytes(int m, int in, int out, DType, ConvPass);

/// As linear_forward and so on (kernels/linear.h), to the same precision.
void cublaslt_forward(CudaStream&, int m, int in, int out, In x, In w, In bias, In residual, Out y,
                      Out workspace);
void cublaslt_backward_data(CudaStream&, int m, int in, int out, In dy, In w, Out dx, Out workspace);
void cublaslt_backward_weights(CudaStream&, int m, int in, int out, In dy, In x, Out dw, Out dbias,
                               Out workspace);

}  // namespace ito::kernels

template <>
struct ito::Names<ito::kernels::ConvChoice> {
  using Choice = kernels::ConvChoice;
  static constexpr std::string_view kKind = "choice of convolutions";
  static constexpr Named<Choice> kTable[] = {
      {"ours", Choice::ours}, {"cudnn", Choice::cudnn}, {"auto", Choice::automatic}};
};
