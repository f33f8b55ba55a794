#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "kernels/base/names.h"
#include "kernels/dtype.h"

namespace ito::kernels {

struct Conv2dDims;
enum class ConvPass : uint8_t;

/// Whose code computes convolutions and matrix products on a GPU: our own kernels; NVIDIA's libraries (cuDNN,
/// cuBLASLt), where they can; or, for each shape, whichever was faster when the shape was first met.
enum class Provider : uint8_t { own, library, fastest };

/// The faster provider of each shape (without its number of images), dtype and pass. As text, one line each:
///   forward bf16 64x64 channels 128+64 to 64 filter 3x3 stride 1 padding 1 1 1 1: cudnn
class ConvPlan {
 public:
  /// own or library; fastest where it is not known.
  Provider find(const Conv2dDims&, DType, ConvPass) const;
  /// faster: own or library.
  void set(const Conv2dDims&, DType, ConvPass, Provider faster);
  size_t size() const { return providers_.size(); }

  std::string to_text() const;
  /// Fails at a line that to_text does not write, with its number.
  static ConvPlan from_text(const std::string&);

 private:
  using Key = std::array<int, 14>;
  static Key key_of(const Conv2dDims&, DType, ConvPass);
  static std::string line_of(const Key&, Provider);
  std::map<Key, Provider> providers_;
};

/// What is changed to be compared with what normally runs.
struct ConvComparison {
  bool winograd = true;     // on the CPU; false: every pass is computed directly, which is slower
  int cudnn_algorithm = 0;  // one of cudnn_algorithms(); 0: the deterministic one
};

/// How convolutions and matrix products are computed; an argument of each call. A call on CUDA adds to the plan what
/// Provider::fastest finds out.
struct ConvPolicy {
  Provider provider = Provider::own;  // on a GPU
  ConvPlan plan = {};                 // what Provider::fastest has found so far
  ConvComparison comparison = {};
};

}  // namespace ito::kernels

/// The names in flags, in files of options and in plans.
template <>
struct ito::Names<ito::kernels::Provider> {
  using Provider = kernels::Provider;
  static constexpr std::string_view kKind = "choice of convolutions";
  static constexpr Named<Provider> kTable[] = {
      {"ours", Provider::own}, {"cudnn", Provider::library}, {"auto", Provider::fastest}};
};
