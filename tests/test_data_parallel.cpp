#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "tests/helpers.h"

using namespace ito;
using ito::tests::error_of;

namespace {

/// Things of unequal cost, a few microseconds.
void work_on(size_t i) {
  if (i % 7 == 3) std::this_thread::sleep_for(std::chrono::microseconds(50));
}

}  // namespace

TEST_CASE("ordered work: everything once, chunks in order, on the caller's thread, two at most under way") {
  for (const size_t count : {0, 1, 5, 64, 1000, 1001})
    for (const size_t chunk : {1, 7, 64, 2000})
      for (const int threads : {0, 1, 2, 5}) {
        CAPTURE(count);
        CAPTURE(chunk);
        CAPTURE(threads);
        std::vector<std::atomic<int>> slots(2 * chunk);
        std::vector<std::atomic<int>> made(count);
        std::atomic<size_t> taken{0};
        std::atomic<int> wrong{0};
        const std::thread::id caller = std::this_thread::get_id();
        const auto make = [&](size_t i) {
          work_on(i);
          wrong += i / chunk > taken + 1 || slots[i % (2 * chunk)].exchange(int(i) + 1) != 0;
          ++made[i];
        };
        const auto take = [&](size_t c) {
          wrong += std::this_thread::get_id() != caller || c != taken;
          for (size_t i = c * chunk; i < std::min(count, (c + 1) * chunk); ++i)
            wrong += slots[i % (2 * chunk)].exchange(0) != int(i) + 1;
          ++taken;
        };
        OrderedWork(count, chunk, make, take).run(threads);
        CHECK(wrong == 0);
        CHECK(taken == (count + chunk - 1) / chunk);
        for (size_t i = 0; i < count; ++i) wrong += made[i] != 1;
        CHECK(wrong == 0);
      }
}

TEST_CASE("ordered work: the first exception, of either kind, stops the rest and is thrown") {
  for (const int threads : {1, 2, 5}) {
    CAPTURE(threads);
    size_t taken = 0;
    const auto fail_at = [](size_t at, const char* what) {
      return [=](size_t i) {
        work_on(i);
        if (i == at) ito::fail(what);
      };
    };
    const auto count_taken = [&](size_t) { ++taken; };
    const auto error = [&](const auto& make, const auto& take) {
      taken = 0;
      return error_of([&] { OrderedWork(500, 10, make, take).run(threads); });
    };
    CHECK(error(fail_at(123, "made"), count_taken) == "made");
    CHECK(taken <= 12);
    CHECK(error(fail_at(0, "made"), count_taken) == "made");
    CHECK(taken == 0);
    CHECK(error(fail_at(499, "made"), count_taken) == "made");
    CHECK(taken <= 49);
    CHECK(error(work_on, fail_at(3, "taken")) == "taken");
    CHECK(error(work_on, fail_at(49, "taken")) == "taken");
  }
}
