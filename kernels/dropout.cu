#include "kernels/cuda_map.cuh"
#include "kernels/dropout.h"

// An element costs 2 bytes read and 2 written in bf16 (4 + 4 in f32), which is the minimum: the mask is
// drawn, never stored.
namespace ito::kernels {

template <class T>
struct DropoutArguments {
  int64_t per_sample;
  float p, scale;
  DropoutKey key;
  const T* x;
  T* y;
};

/// A thread takes one block of Philox: elements 4q .. 4q+3 of a sample, at once (V = 4) or singly (V = 1).
template <class T, int V>
__global__ void __launch_bounds__(kMapThreads) dropout_kernel(DropoutArguments<T> args) {
  static_assert(kQuad % V == 0, "a block of Philox gives a thread whole packs of numbers");
  const int64_t first = first_element(kQuad);
  if (first >= args.per_sample) return;
  const uint32_t sample = (args.key.first_sample + blockIdx.y) | args.key.layer << 20;
  const Philox4 random =
      random_block({args.key.seed, Purpose::dropout, *args.key.step, sample}, uint32_t(first / kQuad));
  for (int k = 0; k < kQuad; k += V) {
    if (first + k >= args.per_sample) break;
    const int64_t at = int64_t(blockIdx.y) * args.per_sample + first + k;
    Pack<T, V> x = load<V>(args.x + at);
    for (int i = 0; i < V; ++i) {
      const bool kept = uniform_open(random.v[k + i]) >= args.p;
      x.v[i] = kept ? narrow<T>(args.scale * float(x.v[i])) : T(0.0f);
    }
    store(args.y + at, x);
  }
}

void dropout(CudaStream& stream, int n, int64_t per_sample, float p, const DropoutKey& key, In x, Out y) {
  check_dropout(n, p, key);
  visit_cuda("dropout", x.dtype, [&](auto t) {
    using T = decltype(t);
    const DropoutArguments<T> args{per_sample, p, 1.0f / (1.0f - p), key, x.as<T>(), y.as<T>()};
    const bool packs = can_pack<kQuad>({per_sample}, args.x, args.y);
    launch(packs ? dropout_kernel<T, kQuad> : dropout_kernel<T, 1>,
           map_config("dropout", n, per_sample, kQuad), stream, args);
  });
}

}  // namespace ito::kernels
