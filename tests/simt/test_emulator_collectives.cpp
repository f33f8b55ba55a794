#include <cmath>

#include "kernels/communicator.h"
#include "kernels/tree_sum.h"
#include "tests/forked_ranks.h"
#include "tests/helpers.h"
#include "tests/simt/compare.h"
#include "tests/simt/emulator_checks.h"
#include "tests/simt/reference_collectives.h"
#include "tests/tree_reference.h"

// Ranks with an emulated GPU each, whose NCCL is reference_collectives.cu.
using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;
using tests::contains, tests::ends_of_ranks, tests::error_of, tests::RankEnd;

namespace {

/// body(wire), and what the emulator has found and could not throw.
template <class Body>
auto with_gpu(Body body) {
  return [body](Wire& wire) {
    if constexpr (std::is_void_v<decltype(body(wire))>) {
      body(wire);
      simt::finish();
    } else {
      const auto result = body(wire);
      simt::finish();
      return result;
    }
  };
}

template <class Body>
std::vector<std::string> run_gpus(int ranks, Body body) {
  return tests::run_ranks(ranks, with_gpu(body));
}
/// The texts of their ends; empty: it did not fail.
template <class Body>
std::vector<std::string> errors_of_gpus(int ranks, Body body) {
  std::vector<std::string> texts;
  for (const RankEnd& end : ends_of_ranks(ranks, with_gpu(body))) texts.push_back(end.failed ? end.text : "");
  return texts;
}

/// A rank's GPU, connected, and two arrays: room for 32 numbers of each of two ranks.
struct Gpu {
  static constexpr int64_t kNumbers = 64;
  CudaStream stream;
  Communicator ranks;
  DeviceArray<float> a, b;

  explicit Gpu(Wire& wire) : ranks(wire), a(stream, numbers(wire.rank())), b(stream, kNumbers) {
    ranks.connect(stream);
  }
  static std::vector<float> numbers(int rank) {
    std::vector<float> values(kNumbers);
    for (size_t i = 0; i < values.size(); ++i) values[i] = float(100 * rank) + float(i);
    return values;
  }
  CudaGraph captured(const std::function<void()>& work) {
    stream.begin_capture();
    work();
    return stream.end_capture();
  }
  void exchange(int64_t count = 16) { ranks.exchange(stream, a.data(), b.data(), count); }
  void gather(int64_t count = 16) { ranks.gather(stream, a.data(), b.data(), count); }
};

constexpr int kLeaves = 4;  // gradients, of which each rank has the same number

std::vector<float> leaf(int number, int64_t count, uint32_t step) {
  std::vector<float> values = simt::normals<float>(size_t(count), 10 * step + uint32_t(number));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::ldexp(values[i], int(i + size_t(number)) % 9);
  return values;
}

/// The leaves of this rank, one behind the other.
std::vector<float> leaves_of(const Wire& wire, int64_t count, uint32_t step) {
  std::vector<float> values;
  const int each = kLeaves / wire.size();
  for (int number = wire.rank() * each; number < (wire.rank() + 1) * each; ++number) {
    const std::vector<float> one = leaf(number, count, step);
    values.insert(values.end(), one.begin(), one.end());
  }
  return values;
}

/// The sum of the leaves of all ranks, by the tree: the rank's own, then a shard of each rank's, then all shards.
struct Reduction {
  float *leaves, *own, *pieces, *total;
  int64_t count;

  template <class Stream>
  void run(Stream& stream, Communicator& ranks) const {
    const int64_t shard = count / ranks.size();
    float* const mine = total + ranks.rank() * shard;
    tree_sum(stream, kLeaves / ranks.size(), count, count, leaves, own);
    ranks.exchange(stream, own, pieces, shard);
    tree_sum(stream, ranks.size(), shard, shard, pieces, mine);
    ranks.gather(stream, mine, total, shard);
  }
};

std::string bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

/// What both ways give for steps 1, launched, and 2 and 3, replayed, under every schedule.
std::string reduced_on_gpus(Wire& wire, int64_t count) {
  CudaStream stream;
  Communicator ranks(wire);
  ranks.connect(stream);
  std::string bytes;
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    simt::machine().set_schedule(schedule);
    const size_t size = size_t(count);
    DeviceArray<float> leaves(stream, leaves_of(wire, count, 1)), own(stream, size), pieces(stream, size),
        total(stream, size);
    const Reduction reduction{leaves.data(), own.data(), pieces.data(), total.data(), count};
    reduction.run(stream, ranks);
    bytes += bytes_of(total.read());
    stream.begin_capture();
    reduction.run(stream, ranks);
    const CudaGraph graph = stream.end_capture();
    for (const uint32_t step : {2u, 3u}) {
      const std::vector<float> next = leaves_of(wire, count, step);
      stream.copy(leaves.data(), next.data(), next.size() * sizeof(float));
      stream.replay(graph);
      bytes += bytes_of(total.read());
    }
  }
  simt::machine().set_schedule({});
  return bytes;
}

std::string reduced_on_cpus(Wire& wire, int64_t count) {
  CpuStream stream(1);
  Communicator ranks(wire);
  std::string bytes;
  for (size_t schedule = 0; schedule < simt::all_schedules().size(); ++schedule)
    for (const uint32_t step : {1u, 2u, 3u}) {
      std::vector<float> leaves = leaves_of(wire, count, step), own(static_cast<size_t>(count)), pieces(own),
                         total(own);
      Reduction{leaves.data(), own.data(), pieces.data(), total.data(), count}.run(stream, ranks);
      bytes += bytes_of(total);
    }
  return bytes;
}

std::string reduced_by_recursion(int64_t count) {
  std::string bytes;
  for (size_t schedule = 0; schedule < simt::all_schedules().size(); ++schedule)
    for (const uint32_t step : {1u, 2u, 3u})
      bytes += bytes_of(tests::tree_sums(leaves_of(no_wire(), count, step), kLeaves, count, count));
  return bytes;
}

}  // namespace

TEST_CASE("the sum over 1, 2 and 4 ranks, launched and replayed, has the bits of the CPU's and of one tree") {
  for (const int64_t count : {4 * 1001, 4 * 512}) {
    CAPTURE(count);
    const std::string want = reduced_by_recursion(count);
    for (const int ranks : {1, 2, 4}) {
      CAPTURE(ranks);
      for (const std::string& got : run_gpus(ranks, [=](Wire& wire) { return reduced_on_gpus(wire, count); }))
        CHECK((got == want));
      for (const std::string& got :
           tests::run_ranks(ranks, [=](Wire& wire) { return reduced_on_cpus(wire, count); }))
        CHECK((got == want));
    }
  }
}

TEST_CASE("all_reduce_sum has the same bits on all ranks, near the sum in f64") {
  const size_t count = 333;
  const auto got = run_gpus(3, [=](Wire& wire) {
    CudaStream stream;
    Communicator ranks(wire);
    ranks.connect(stream);
    DeviceArray<float> data(stream, simt::normals<float>(count, uint32_t(wire.rank())));
    ranks.all_reduce_sum(stream, data.data(), int64_t(count));
    return bytes_of(data.read());
  });
  CHECK((got[0] == got[1] && got[0] == got[2]));
  std::vector<float> sums(count);
  std::memcpy(sums.data(), got[0].data(), got[0].size());
  std::vector<double> want(count, 0.0);
  for (uint32_t rank = 0; rank < 3; ++rank)
    for (size_t i = 0; i < count; ++i) want[i] += double(simt::normals<float>(count, rank)[i]);
  CHECK(simt::count_wrong(sums, want, 0, 8 * simt::rounding<float>()) == 0);
}

TEST_CASE("one rank copies, and needs no library") {
  simt::collectives_settings().problem = "there is none";
  CudaStream stream;
  Communicator alone(no_wire());
  alone.connect(stream);
  DeviceArray<float> a(stream, std::vector<float>{1, 2, 3}), b(stream, 3), c(stream, 3);
  alone.exchange(stream, a.data(), b.data(), 3);
  alone.gather(stream, b.data(), c.data(), 3);
  alone.gather(stream, c.data(), c.data(), 3);
  alone.all_reduce_sum(stream, c.data(), 3);
  alone.check(stream);
  CHECK(c.read() == std::vector<float>{1, 2, 3});
  simt::collectives_settings() = {};
}

TEST_CASE("calls that do not match are named on the ranks that have them") {
  auto texts = errors_of_gpus(2, [](Wire& wire) {
    Gpu gpu(wire);
    wire.rank() == 0 ? gpu.exchange() : gpu.gather();
    gpu.stream.synchronize();
  });
  CHECK(texts[0] ==
        "rank 0: exchange of 16 numbers (launched), where rank 1 has gather of 16 numbers (launched) as call "
        "1 of the "
        "communicator");
  CHECK(texts[1] ==
        "rank 1: gather of 16 numbers (launched), where rank 0 has exchange of 16 numbers (launched) as call "
        "1 of the "
        "communicator");
  texts = errors_of_gpus(2, [](Wire& wire) {
    Gpu gpu(wire);
    gpu.exchange();
    gpu.gather(wire.rank() == 0 ? 16 : 15);
    gpu.stream.synchronize();
  });
  CHECK(contains(
      texts[1],
      "rank 1: gather of 15 numbers (launched), where rank 0 has gather of 16 numbers (launched) as call 2"));
  texts = errors_of_gpus(2, [](Wire& wire) {
    Gpu gpu(wire);
    if (wire.rank() == 0) {
      gpu.exchange();
      gpu.stream.synchronize();
      return;
    }
    const CudaGraph graph = gpu.captured([&] { gpu.exchange(); });
    gpu.stream.replay(graph);
    gpu.stream.synchronize();
  });
  CHECK(contains(texts[0],
                 "exchange of 16 numbers (launched), where rank 1 has exchange of 16 numbers (replayed, "
                 "captured as call 1)"));
}

TEST_CASE("a rank that captures again alone is reported; a replay that the other does not make is an error") {
  auto texts = errors_of_gpus(2, [](Wire& wire) {
    Gpu gpu(wire);
    const auto step = [&] { gpu.exchange(); };
    CudaGraph graph = gpu.captured(step);
    gpu.stream.replay(graph);
    gpu.stream.synchronize();
    if (wire.rank() == 0) graph = gpu.captured(step);
    gpu.stream.replay(graph);
    gpu.stream.synchronize();
  });
  CHECK(contains(texts[0],
                 "(replayed, captured as call 2), where rank 1 has exchange of 16 numbers (replayed, "
                 "captured as call 1)"));
  CHECK(contains(texts[1],
                 "(replayed, captured as call 1), where rank 0 has exchange of 16 numbers (replayed, "
                 "captured as call 2)"));
  texts = errors_of_gpus(2, [](Wire& wire) {
    Gpu gpu(wire);
    const CudaGraph graph = gpu.captured([&] { gpu.exchange(); });
    for (int replay = 0; replay < 2 - wire.rank(); ++replay) gpu.stream.replay(graph);
    gpu.stream.synchronize();
  });
  CHECK(contains(texts[0], "rank 0: rank 1 has ended"));
  CHECK(texts[1].empty());
}

TEST_CASE("what is not waited for has not come, or has not been sent") {
  run_gpus(2, [](Wire& wire) {
    Gpu gpu(wire);
    CudaStream other;
    const size_t first = 16 * size_t(1 - wire.rank());  // in b: what the other rank sent
    const auto from_other = [&](CudaStream& stream) {
      float value = -1;
      stream.copy(&value, gpu.b.data() + first, sizeof value);
      stream.synchronize();
      return value;
    };
    // Another stream that does not wait, the host that does not, then both.
    gpu.exchange();
    CHECK(std::isnan(from_other(other)));
    float unread = -1;
    gpu.stream.copy(&unread, gpu.b.data() + first, sizeof unread);
    CHECK(unread == -1);
    CudaEvent event;
    event.record(gpu.stream);
    event.wait();
    const float sent = Gpu::numbers(1 - wire.rank())[16 * size_t(wire.rank())];
    CHECK(unread == sent);
    CHECK(from_other(other) == sent);
    // What is sent is written by another stream, for which the exchange does not wait.
    const std::vector<float> late(Gpu::kNumbers, 7.f);
    DeviceArray<float> c(gpu.stream, Gpu::kNumbers);
    other.copy(c.data(), late.data(), late.size() * sizeof(float));
    gpu.ranks.exchange(gpu.stream, c.data(), gpu.b.data(), 16);
    CHECK(std::isnan(from_other(gpu.stream)));
    other.synchronize();
    gpu.ranks.exchange(gpu.stream, c.data(), gpu.b.data(), 16);
    CHECK(from_other(gpu.stream) == 7);
  });
}

TEST_CASE(
    "a process that waits in a call of the wire lets its GPU go on; what it sends is as it was before") {
  run_gpus(2, [](Wire& wire) {
    Gpu gpu(wire);
    gpu.exchange();
    if (wire.rank() == 0) gpu.stream.synchronize();  // and rank 1 waits for rank 0 below
    float mine = -1, both[2] = {};
    gpu.stream.copy(&mine, gpu.a.data(), sizeof mine);
    wire.all_gather(&mine, both, sizeof mine);
    CHECK(both[0] == -1);
    CHECK(both[1] == -1);
    gpu.stream.synchronize();
    wire.all_gather(&mine, both, sizeof mine);
    CHECK(both[0] == 0);
    CHECK(both[1] == 100);
  });
}

TEST_CASE("what a call between GPUs refuses") {
  run_gpus(2, [](Wire& wire) {
    Gpu gpu(wire);
    std::vector<float> host(Gpu::kNumbers);
    float *const a = gpu.a.data(), *const b = gpu.b.data();
    const auto violation = [&](const std::function<void()>& run) { return simt::violation({}, run); };
    CHECK(violation([&] { gpu.ranks.exchange(gpu.stream, nullptr, b, 16); }) ==
          "exchange of 16 numbers (launched): what it reads is no array of 32 numbers on the device");
    CHECK(violation([&] { gpu.ranks.gather(gpu.stream, a, host.data(), 16); }) ==
          "gather of 16 numbers (launched): what it writes is no array of 32 numbers on the device");
    CHECK(
        contains(violation([&] { gpu.ranks.all_reduce_sum(gpu.stream, a, 65); }), "no array of 65 numbers"));
    CHECK(error_of([&] { gpu.exchange(-1); }) == "exchange: -1 numbers; there may be none, and no fewer");
    CHECK(error_of([&] { gpu.gather(-1); }) == "gather: -1 numbers; there may be none, and no fewer");
    CHECK(contains(error_of([&] { gpu.ranks.all_reduce_sum(gpu.stream, a, -1); }),
                   "all_reduce_sum: -1 numbers"));
    CHECK(contains(error_of([&] { gpu.ranks.exchange(gpu.stream, a, a + 31, 16); }), "overlaps"));
    CHECK(error_of([&] { gpu.ranks.connect(gpu.stream); }) == "the ranks' GPUs are connected already");
    // None of these have been queued, so that the ranks still agree.
    gpu.exchange(0);
    gpu.exchange();
    CHECK(gpu.b.read()[size_t(16 * (1 - wire.rank()))] ==
          Gpu::numbers(1 - wire.rank())[size_t(16 * wire.rank())]);
    Communicator another(wire);
    CHECK(error_of([&] { another.exchange(gpu.stream, a, b, 16); }) ==
          "exchange: the ranks' GPUs are not connected (Communicator::connect)");
    gpu.stream.begin_capture();
    CHECK(error_of([&] { another.connect(gpu.stream); }) ==
          "the ranks' GPUs cannot be connected while a step is captured; connect them before");
    gpu.stream.abandon_capture();
  });
}

TEST_CASE("memory that is freed before a call's turn is reported") {
  const auto texts = errors_of_gpus(2, [](Wire& wire) {
    Gpu gpu(wire);
    auto gone = std::make_unique<DeviceArray<float>>(gpu.stream, Gpu::kNumbers);
    const CudaGraph graph =
        gpu.captured([&] { gpu.ranks.exchange(gpu.stream, gone->data(), gpu.b.data(), 16); });
    gone.reset();
    gpu.stream.replay(graph);
    gpu.stream.synchronize();
  });
  for (const std::string& text : texts)
    CHECK(contains(text, "exchange of 16 numbers (replayed, captured as call 1): what it reads is no array"));
}

TEST_CASE("a communicator ends after what it has queued and recorded, and outside of captures") {
  struct Row {
    const char* text;
    std::function<void(Gpu&, std::unique_ptr<Communicator>&)> wrong;
  };
  const auto exchange = [](Gpu& gpu, Communicator& ranks) {
    ranks.exchange(gpu.stream, gpu.a.data(), gpu.b.data(), 16);
  };
  const std::vector<Row> rows{
      {"destroyed while calls of it are queued or recorded in a graph",
       [=](Gpu& gpu, auto& ranks) {
         exchange(gpu, *ranks);
         ranks.reset();
       }},
      {"destroyed while calls of it are queued or recorded in a graph",
       [=](Gpu& gpu, auto& ranks) {
         const CudaGraph graph = gpu.captured([&] { exchange(gpu, *ranks); });
         ranks.reset();
       }},
      {"a communicator is destroyed while a step is captured",
       [=](Gpu& gpu, auto& ranks) {
         gpu.stream.begin_capture();
         ranks.reset();
         gpu.stream.abandon_capture();
       }},
  };
  for (const Row& row : rows) {
    const auto texts = errors_of_gpus(2, [&](Wire& wire) {
      Gpu gpu(wire);
      auto ranks = std::make_unique<Communicator>(wire);
      ranks->connect(gpu.stream);
      row.wrong(gpu, ranks);
    });
    for (const std::string& text : texts) CHECK(contains(text, row.text));
  }
  // A graph that is replayed afterwards, though what was reported of its end is known.
  const auto texts = errors_of_gpus(2, [&](Wire& wire) {
    Gpu gpu(wire);
    auto ranks = std::make_unique<Communicator>(wire);
    ranks->connect(gpu.stream);
    const CudaGraph graph = gpu.captured([&] { exchange(gpu, *ranks); });
    ranks.reset();
    CHECK_THROWS_AS(simt::finish(), simt::Violation);
    gpu.stream.replay(graph);
    gpu.stream.synchronize();
  });
  for (const std::string& text : texts) CHECK(contains(text, ": its communicator has been destroyed"));
}

TEST_CASE(
    "errors that come up later are reported by check() and by the next call; the end does not wait then") {
  run_gpus(2, [](Wire& wire) {
    Gpu gpu(wire);
    gpu.ranks.check(gpu.stream);
    const CudaGraph graph = gpu.captured([&] { gpu.exchange(); });  // would be reported at an end that waits
    simt::collectives_settings().asynchronous = "remote process exited";
    CHECK(error_of([&] { gpu.ranks.check(gpu.stream); }) ==
          "NCCL's communicator fails: remote process exited");
    CHECK(contains(error_of([&] { gpu.exchange(); }), "remote process exited"));
    CHECK(contains(error_of([&] { gpu.gather(); }), "remote process exited"));
  });
}

TEST_CASE("a rank without the library, or with another one, is named on all ranks before they wait") {
  auto texts = errors_of_gpus(3, [](Wire& wire) {
    if (wire.rank() == 1) simt::collectives_settings().problem = "it has no NCCL";
    Gpu gpu(wire);
  });
  for (const std::string& text : texts)
    CHECK(text == "rank 1 cannot connect its GPU with the others: it has no NCCL");
  texts = errors_of_gpus(3, [](Wire& wire) {
    if (wire.rank() == 2) simt::collectives_settings().version = 22703;
    Gpu gpu(wire);
  });
  for (const std::string& text : texts)
    CHECK(text == "rank 2 has NCCL 2.27.3 and rank 0 has 2.28.9: all need the same one");
}

TEST_CASE("two ranks of one number are refused") {
  struct First : Wire {
    explicit First(Wire& wire) : wire(wire) {}
    int rank() const override { return 0; }
    int size() const override { return wire.size(); }
    void all_to_all(const void* from, void* to, size_t bytes) override { wire.all_to_all(from, to, bytes); }
    void all_gather(const void* from, void* to, size_t bytes) override { wire.all_gather(from, to, bytes); }
    void broadcast(void* data, size_t bytes) override { wire.broadcast(data, bytes); }
    Wire& wire;
  };
  const auto texts = errors_of_gpus(2, [](Wire& wire) {
    First first(wire);
    Gpu gpu(first);
  });
  for (const std::string& text : texts) CHECK(text == "NCCL's ncclCommInitRank fails: two ranks are rank 0");
}
