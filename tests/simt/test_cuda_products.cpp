#include <doctest/doctest.h>

#include <cmath>
#include <utility>

#include "kernels/cuda_library.h"
#include "kernels/cuda_library/movement.h"
#include "kernels/linear.h"
#include "tests/simt/compare.h"

/// What goes around a library's product, and which products are a library's.
using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;

TEST_CASE_TEMPLATE("sums of columns need the scratch that they ask for, in parts of any length", T, float,
                   bf16) {
  CudaStream stream;
  for (const int rows : {3, 901, 5000}) {
    const int columns = 40;
    const std::vector<T> x = simt::normals<T>(size_t(rows * columns), 1);
    std::vector<double> want(size_t(columns), 0.0);
    for (size_t i = 0; i < x.size(); ++i) want[i % size_t(columns)] += double(float(x[i]));
    DeviceArray<T> from(stream, x);
    const auto sums = simt::under_all_schedules([&] {
      DeviceArray<float> to(stream, size_t(columns)),
          scratch(stream, cuda_library::column_sums_bytes(rows, columns) / 4);
      cuda_library::column_sums(stream, rows, columns, from.in(), to.data(), scratch.data());
      scratch.read();  // the guards
      return to.read();
    });
    CHECK(simt::count_wrong(sums, want, 0, (8 + 4 * std::sqrt(rows)) * simt::rounding<float>() * 4) == 0);
  }
}

#if defined(ITO_SIMT)
namespace ito::kernels::cuda_library {
extern int products_made;  // by cuBLASLt's substitute
}

TEST_CASE("a product is the library's where that is asked for, in all three passes, and only there") {
  CudaStream stream;
  const LinearDims d{8, 8, 8};
  DeviceArray<float> a(stream, std::vector<float>(64, 1)), b(stream, std::vector<float>(64, 1)),
      c(stream, 64);
  for (const Provider provider : {Provider::own, Provider::library}) {
    ConvPolicy policy{.provider = provider};
    const int each = provider == Provider::library;
    const simt::KeepAligned here;
    DeviceArray<float> room(stream, 4096);
    int made = cuda_library::products_made;
    linear_forward(stream, policy, d, {.x = a.in(), .w = b.in(), .y = c.out(), .workspace = room.out()});
    CHECK(cuda_library::products_made - std::exchange(made, cuda_library::products_made) == each);
    linear_backward_data(stream, policy, d,
                         {.dy = a.in(), .w = b.in(), .dx = c.out(), .workspace = room.out()});
    CHECK(cuda_library::products_made - std::exchange(made, cuda_library::products_made) == each);
    linear_backward_weights(stream, policy, d,
                            {.dy = a.in(), .x = b.in(), .dw = c.out(), .workspace = room.out()});
    CHECK(cuda_library::products_made - made == each);
    CHECK(c.read() == std::vector<float>(64, 8));
  }
}
#endif
