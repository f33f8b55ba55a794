#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/base/math.h"
#include "kernels/stream.h"

/// How CPU kernels share work among a stream's threads. The pieces of a sum are fixed by the problem, never by the
/// threads, so that it has the same bits for any number of them. Only what sums nothing may be divided by their number.
namespace ito::kernels {

/// Calls f(i) for i = 0..count-1, each once, neighbours on one thread.
template <class F>
void parallel_each(CpuStream& stream, int64_t count, F&& f) {
#pragma omp parallel for schedule(static) num_threads(stream.threads()) if (count > 1)
  for (int64_t i = 0; i < count; ++i) f(i);
}

/// The same for calls of different lengths: a thread takes the next one when it has finished its last.
template <class F>
void parallel_uneven(CpuStream& stream, int64_t count, F&& f) {
#pragma omp parallel for schedule(dynamic) num_threads(stream.threads()) if (count > 1)
  for (int64_t i = 0; i < count; ++i) f(i);
}

/// Elements in a piece of a long vector: large against the cost of a call, small against a cache.
inline constexpr int64_t kPiece = 16384;

/// Calls f(begin, end) for the pieces of [0, count).
template <class F>
void parallel_pieces(CpuStream& stream, int64_t count, F&& f) {
  parallel_each(stream, div_up(count, kPiece),
                [&](int64_t i) { f(i * kPiece, std::min(count, (i + 1) * kPiece)); });
}

/// Into how many groups, at most `most`, to divide each of `parts` equal pieces of work so that the threads end
/// soonest, if a share `repeated` of a piece's time is spent again in each of its groups.
inline int groups_of_part(int parts, int most, int threads, double repeated) {
  const auto time = [&](int groups) {
    return double(div_up(parts * groups, threads)) * ((1 - repeated) / groups + repeated);
  };
  int best = 1;
  for (int groups = 2; groups <= std::min(most, threads); ++groups)
    if (time(groups) < time(best)) best = groups;
  return best;
}

/// Two passes over each image, with a summary between them: first(image, chunk) for all chunks of the image,
/// then summary(image), then second(image, chunk) for all chunks. An image stays on one thread, in its cache,
/// where there are enough images; otherwise its chunks are shared, between barriers. Both ways make the same
/// calls, so the results are the same.
template <class First, class Summary, class Second>
void parallel_images(CpuStream& stream, int images, int chunks, First&& first, Summary&& summary,
                     Second&& second) {
  const int threads = stream.threads();
  if (images % threads == 0 || images >= 8 * threads) {
    parallel_each(stream, images, [&](int64_t n) {
      for (int chunk = 0; chunk < chunks; ++chunk) first(int(n), chunk);
      summary(int(n));
      for (int chunk = chunks - 1; chunk >= 0; --chunk)
        second(int(n), chunk);  // the last read is still in the cache
    });
    return;
  }
  const int64_t tasks = int64_t(images) * chunks;
  parallel_each(stream, tasks, [&](int64_t i) { first(int(i / chunks), int(i % chunks)); });
  parallel_each(stream, images, [&](int64_t n) { summary(int(n)); });
  parallel_each(stream, tasks, [&](int64_t i) { second(int(i / chunks), int(i % chunks)); });
}

}  // namespace ito::kernels
