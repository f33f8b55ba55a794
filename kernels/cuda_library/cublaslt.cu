#include "kernels/cuda_launch.h"
#include "kernels/cuda_library.h"
#include "kernels/cuda_library/dynamic_library.h"
#include "kernels/cuda_library/library_calls.h"

namespace ito::kernels::cuda_library {
inline constexpr const char* kInstead = "matrix products run on Ito's own kernels";
}

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>

namespace ito::kernels {
namespace cuda_library {

namespace {

struct CublasLt {
  DynamicLibrary library{"cuBLASLt", {"libcublasLt.so.13", "libcublasLt.so"}, kInstead};
  LibraryFunction<decltype(cublasLtCreate)> create{library, "cublasLtCreate"};
  LibraryFunction<decltype(cublasLtDestroy)> destroy{library, "cublasLtDestroy"};
  LibraryFunction<decltype(cublasLtGetStatusString)> status_string{library, "cublasLtGetStatusString"};
  LibraryFunction<decltype(cublasLtMatmulDescCreate)> create_product{library, "cublasLtMatmulDescCreate"};
  LibraryFunction<decltype(cublasLtMatmulDescDestroy)> destroy_product{library, "cublasLtMatmulDescDestroy"};
  LibraryFunction<decltype(cublasLtMatmulDescSetAttribute)> set_product{library,
                                                                        "cublasLtMatmulDescSetAttribute"};
  LibraryFunction<decltype(cublasLtMatrixLayoutCreate)> create_layout{library, "cublasLtMatrixLayoutCreate"};
  LibraryFunction<decltype(cublasLtMatrixLayoutDestroy)> destroy_layout{library,
                                                                        "cublasLtMatrixLayoutDestroy"};
  LibraryFunction<decltype(cublasLtMatmulPreferenceCreate)> create_preference{
      library, "cublasLtMatmulPreferenceCreate"};
  LibraryFunction<decltype(cublasLtMatmulPreferenceDestroy)> destroy_preference{
      library, "cublasLtMatmulPreferenceDestroy"};
  LibraryFunction<decltype(cublasLtMatmulPreferenceSetAttribute)> set_preference{
      library, "cublasLtMatmulPreferenceSetAttribute"};
  LibraryFunction<decltype(cublasLtMatmulAlgoGetHeuristic)> algorithms{library,
                                                                       "cublasLtMatmulAlgoGetHeuristic"};
  LibraryFunction<decltype(cublasLtMatmulAlgoCheck)> check_algorithm{library, "cublasLtMatmulAlgoCheck"};
  LibraryFunction<decltype(cublasLtMatmul)> multiply{library, "cublasLtMatmul"};
};

CublasLt& cublaslt() {
  static CublasLt one;
  return one;
}

void check(cublasStatus_t status, const char* tried) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail(cat("cuBLASLt cannot ", tried, ": ", cublaslt().status_string(status)));
}

/// A stream's.
struct CublasLtState {
  cublasLtHandle_t handle = nullptr;
  ~CublasLtState() {
    if (handle) cublaslt().destroy(handle);
  }
};

cublasLtHandle_t handle_of(CudaStream& stream) {
  CublasLtState& state = stream.state<CublasLtState>();
  if (!state.handle) check(cublaslt().create(&state.handle), "start");
  return state.handle;
}

cudaDataType_t type_of(DType t) { return t == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/// A row-major [rows,columns] matrix, which cuBLASLt reads by columns: as its transpose.
struct MatrixLayout {
  cublasLtMatrixLayout_t handle = nullptr;
  MatrixLayout(DType dtype, int rows, int columns) {
    check(cublaslt().create_layout(&handle, type_of(dtype), uint64_t(columns), uint64_t(rows), columns),
          "describe a matrix");
  }
  ~MatrixLayout() { cublaslt().destroy_layout(handle); }
  MatrixLayout(const MatrixLayout&) = delete;
  MatrixLayout& operator=(const MatrixLayout&) = delete;
};

/// The operands in cuBLASLt's order: c^T = b^T a^T.
struct ProductLayouts {
  MatrixLayout b, a, c;
  explicit ProductLayouts(const Product& p)
      : b(p.b.dtype, p.b_transposed ? p.columns : p.depth, p.b_transposed ? p.depth : p.columns),
        a(p.a.dtype, p.a_transposed ? p.depth : p.rows, p.a_transposed ? p.rows : p.depth),
        c(p.c.dtype, p.rows, p.columns) {}
};

struct Operation {
  cublasLtMatmulDesc_t handle = nullptr;
  explicit Operation(const Product& p) {
    check(cublaslt().create_product(&handle, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describe a product");
    const auto set = [&](cublasLtMatmulDescAttributes_t which, bool transposed) {
      const cublasOperation_t operation = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
      check(cublaslt().set_product(handle, which, &operation, sizeof(operation)), "describe a product");
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.b_transposed);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p.a_transposed);
  }
  ~Operation() { cublaslt().destroy_product(handle); }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
};

struct Preference {
  cublasLtMatmulPreference_t handle = nullptr;
  Preference() {
    check(cublaslt().create_preference(&handle), "choose an algorithm");
    const uint64_t bytes = kProductWorkspaceBytes;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;  // parts are added in f32, in order
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes);
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes);
    // Weights start at multiples of 32 bytes; by default the library assumes 256.
    const uint32_t alignment = 16;
    for (const auto which :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      set(which, alignment);
  }
  ~Preference() { cublaslt().destroy_preference(handle); }
  Preference(const Preference&) = delete;
  Preference& operator=(const Preference&) = delete;

 private:
  template <class V>
  void set(cublasLtMatmulPreferenceAttributes_t which, const V& value) {
    check(cublaslt().set_preference(handle, which, &value, sizeof(value)), "choose an algorithm");
  }
};

/// The fastest of those listed for a usual number of rows that can do these rows, too: the rows grow with the
/// batch, and the choice may not depend on that.
cublasLtMatmulAlgo_t choose_algorithm(cublasLtHandle_t handle, const Product& p, const Operation& operation,
                                      const ProductLayouts& layouts) {
  constexpr int kMost = 16, kUsualRows = 8192;
  Product usual = p;
  if (!p.a_transposed)
    usual.rows = kUsualRows;  // else p is a weight gradient, whose rows are not the batch's
  const ProductLayouts usual_layouts(usual);
  const Preference preference;
  cublasLtMatmulHeuristicResult_t list[kMost] = {};
  int found = 0;
  check(cublaslt().algorithms(handle, operation.handle, usual_layouts.b.handle, usual_layouts.a.handle,
                              usual_layouts.c.handle, usual_layouts.c.handle, preference.handle, kMost, list,
                              &found),
        "choose an algorithm");
  for (int i = 0; i < found; ++i) {
    cublasLtMatmulHeuristicResult_t here = {};
    const cublasStatus_t status =
        cublaslt().check_algorithm(handle, operation.handle, layouts.b.handle, layouts.a.handle,
                                   layouts.c.handle, layouts.c.handle, &list[i].algo, &here);
    if (status == CUBLAS_STATUS_SUCCESS && here.workspaceSize <= kProductWorkspaceBytes) return list[i].algo;
  }
  fail(cat("cuBLASLt has no algorithm for a product of ", p.rows, "x", p.depth, " and ", p.depth, "x",
           p.columns));
}

}  // namespace

void multiply(CudaStream& stream, const Product& p, void* workspace) {
  const cublasLtHandle_t handle = handle_of(stream);
  const Operation operation(p);
  const ProductLayouts layouts(p);
  const cublasLtMatmulAlgo_t algorithm = choose_algorithm(handle, p, operation, layouts);
  const float one = 1, zero = 0;
  check(cublaslt().multiply(handle, operation.handle, &one, p.b.data, layouts.b.handle, p.a.data,
                            layouts.a.handle, &zero, p.c.data, layouts.c.handle, p.c.data, layouts.c.handle,
                            &algorithm, workspace, kProductWorkspaceBytes, stream.handle()),
        "multiply");
}

}  // namespace cuda_library

bool cublaslt_available() { return bool(cuda_library::cublaslt().library); }

}  // namespace ito::kernels

#else  // no cublasLt.h

namespace ito::kernels {
namespace cuda_library {

void multiply(CudaStream&, const Product&, void*) { fail("this program was compiled without cublasLt.h"); }

}  // namespace cuda_library

bool cublaslt_available() {
  static const bool available =
      cuda_library::compiled_without("cublasLt.h", "cuBLASLt", cuda_library::kInstead);
  return available;
}

}  // namespace ito::kernels

#endif
