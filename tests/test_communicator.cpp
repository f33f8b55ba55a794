#include <mutex>
#include <thread>

#include "kernels/communicator.h"
#include "tests/forked_ranks.h"
#include "tests/helpers.h"

using namespace ito;
using namespace ito::kernels;
using tests::contains, tests::ends_of_ranks, tests::error_of, tests::RankEnd, tests::run_ranks;

namespace {

/// Number i that rank `from` has for rank `to`.
float number(int from, int to, int64_t i) { return float(1000 * from + 100 * to + i % 97); }

}  // namespace

TEST_CASE("exchange, gather and broadcast between 1 to 4 ranks, of no numbers, odd counts and megabytes") {
  for (const int ranks : {1, 2, 3, 4})
    run_ranks(ranks, [&](Wire& wire) {
      CpuStream stream(1);
      Communicator communicator(wire);
      const int me = communicator.rank(), all = communicator.size();
      REQUIRE(all == ranks);
      for (const int64_t count : {0, 1, 7, 1031, 600'000}) {
        CAPTURE(count);
        const size_t size = size_t(count * all);
        std::vector<float> from(size), to(size, -1.f), gathered(size, -1.f);
        for (size_t i = 0; i < size; ++i) from[i] = number(me, int(int64_t(i) / count), int64_t(i) % count);
        communicator.exchange(stream, from.data(), to.data(), count);
        communicator.gather(stream, from.data(), gathered.data(), count);
        int wrong = 0;
        for (size_t i = 0; i < size; ++i) {
          const int peer = int(int64_t(i) / count);
          wrong += to[i] != number(peer, me, int64_t(i) % count);
          wrong += gathered[i] != number(peer, 0, int64_t(i) % count);
        }
        CHECK(wrong == 0);
        // A rank's numbers may be where they go.
        std::vector<float> in_place(size, -1.f);
        std::copy_n(from.begin(), count, in_place.begin() + count * me);
        communicator.gather(stream, in_place.data() + count * me, in_place.data(), count);
        CHECK(in_place == gathered);
        std::vector<float> mine(size, float(me));
        wire.broadcast(mine.data(), mine.size() * sizeof(float));
        CHECK(mine == std::vector<float>(size, 0.f));
      }
    });
}

TEST_CASE("what exchange, gather and all_reduce_sum refuse on a CPU") {
  CpuStream stream(1);
  Communicator alone(no_wire());
  std::vector<float> data(8);
  float* const at = data.data();
  CHECK(error_of([&] { alone.exchange(stream, at, at + 4, -1); }) ==
        "exchange: -1 numbers; there may be none, and no fewer");
  CHECK(error_of([&] { alone.gather(stream, at, at + 4, -2); }) ==
        "gather: -2 numbers; there may be none, and no fewer");
  CHECK(error_of([&] { alone.exchange(stream, at, at + 3, 4); }) ==
        "exchange: what 4 numbers are read from and written to overlaps");
  CHECK(error_of([&] { alone.exchange(stream, at, at + 4, 4); }).empty());
  CHECK(error_of([&] { alone.gather(stream, at + 1, at, 4); }) ==
        "gather: the 4 numbers of rank 0 are in another piece of the result than its own");
  CHECK(error_of([&] { alone.gather(stream, at, at, 4); }).empty());
  CHECK(contains(error_of([&] { alone.all_reduce_sum(stream, at, 4); }),
                 "between CPUs exchange, tree_sum and gather"));
}

TEST_CASE("forked ranks: what their bodies return, at any length") {
  const std::vector<std::string> texts =
      run_ranks(3, [](Wire& wire) { return std::string(size_t(wire.rank()) * 300'000, 'x'); });
  REQUIRE(texts.size() == 3);
  for (size_t rank = 0; rank < 3; ++rank) CHECK(texts[rank].size() == rank * 300'000);
}

TEST_CASE("forked ranks: exceptions, failed checks, signals and exits are errors with their texts") {
  const std::vector<RankEnd> ends = ends_of_ranks(6, [](Wire& wire) {
    const int rank = wire.rank();
    if (rank == 1) fail("there is no bread");
    if (rank == 2) CHECK(rank == 7);
    if (rank == 3) REQUIRE_MESSAGE(rank == 8, "it must be eight");
    if (rank == 4) raise(SIGKILL);
    if (rank == 5) _exit(3);
  });
  REQUIRE(ends.size() == 6);
  CHECK_FALSE(ends[0].failed);
  for (size_t rank = 1; rank < 6; ++rank) CHECK(ends[rank].failed);
  CHECK(ends[1].text == "there is no bread");
  CHECK(contains(ends[2].text, "rank == 7"));
  CHECK(contains(ends[2].text, "2 == 7"));
  CHECK(contains(ends[3].text, "it must be eight"));
  CHECK(ends[4].text == "signal 9 ended it");
  CHECK(ends[5].text == "it ended with exit status 3");
}

TEST_CASE("forked ranks: one that ends, or waits too long, is an error on the others") {
  for (const bool is_killed : {false, true}) {
    const std::vector<RankEnd> ends = ends_of_ranks(3, [&](Wire& wire) {
      std::vector<char> data(1 << 20);
      wire.broadcast(data.data(), data.size());
      if (wire.rank() == 2 && is_killed) raise(SIGKILL);
      if (wire.rank() == 2) return;
      std::vector<char> all(3 << 20);
      wire.all_gather(data.data(), all.data(), data.size());
    });
    // The second of them to notice may see that the first has ended.
    for (size_t rank = 0; rank < 2; ++rank)
      CHECK(contains(ends[rank].text, " has ended, in all_gather of 1048576 bytes (call 2)"));
    CHECK((contains(ends[0].text, "rank 0: rank 2 has") || contains(ends[1].text, "rank 1: rank 2 has")));
    CHECK(ends[2].failed == is_killed);
  }
  const auto waits = [](Wire& wire) {
    char byte = 0;
    if (wire.rank() == 0) sleep(30);
    wire.broadcast(&byte, 1);
  };
  std::vector<RankEnd> ends = ends_of_ranks(2, waits, {.seconds = 0.6, .wire_seconds = 0.2});
  CHECK(ends[0].text == "it did not end in time and was killed");
  CHECK(ends[1].text == "rank 1 has waited 0.2 s for rank 0 in broadcast of 1 bytes (call 1)");
}

TEST_CASE("forked ranks: calls that do not match are named") {
  const std::vector<RankEnd> ends = ends_of_ranks(2, [](Wire& wire) {
    char data[64] = {};
    if (wire.rank() == 0) wire.all_gather(data, data + 8, 4);
    if (wire.rank() == 1) wire.all_to_all(data, data + 32, 16);
  });
  CHECK(ends[0].text ==
        "rank 0's all_gather of 4 bytes (call 1) met rank 1's all_to_all of 16 bytes (call 1)");
  CHECK(ends[1].text ==
        "rank 1's all_to_all of 16 bytes (call 1) met rank 0's all_gather of 4 bytes (call 1)");
}

TEST_CASE("forked ranks: a process that has threads is refused") {
  std::mutex held;
  held.lock();
  std::thread other([&] { const std::lock_guard wait(held); });
  const std::string text = error_of([] { run_ranks(1, [](Wire&) {}); });
  held.unlock();
  other.join();
  CHECK(contains(text, "ranks are forked before this process has other threads"));
}
