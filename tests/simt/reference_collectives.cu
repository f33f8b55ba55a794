#include <cstring>
#include <exception>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/cuda_launch.h"
#include "kernels/cuda_library/collectives.h"
#include "tests/simt/emulator/machine.h"
#include "tests/simt/emulator/memory.h"
#include "tests/simt/emulator/queue.h"
#include "tests/simt/emulator/runtime.h"
#include "tests/simt/reference_collectives.h"
#include "tests/socket_wire.h"

/// NCCL on the emulator, for ranks that are processes: it moves numbers over their wire when their turn in the stream
/// comes. Every call tells the others what it is, so that calls that do not match are reported; NCCL would wait for
/// ever.
namespace ito::kernels::cuda_library {

namespace {

using simt::Violation;

enum class Kind : int32_t { exchange, gather, all_reduce_sum };

/// A call, as all ranks must have it.
struct Call {
  Kind kind;
  int32_t ranks;
  int64_t count;
  uint64_t number;    // of the calls that have run before it
  uint64_t captured;  // 0: it was launched; else its number among those that were captured

  bool operator==(const Call&) const = default;
};

std::string text_of(const Call& call) {
  const char* const names[] = {"exchange", "gather", "all_reduce_sum"};
  return cat(names[int(call.kind)], " of ", call.count, " numbers",
             call.captured ? cat(" (replayed, captured as call ", call.captured, ")") : " (launched)");
}

/// Of a communicator and all calls of it that are queued or recorded.
struct Group {
  Wire* wire;
  uint64_t run = 0, captured = 0;
  bool is_destroyed = false;
};

/// Where numbers are and go; of `read` and `written` numbers.
struct Operands {
  const float* from;
  float* to;
  int64_t read, written;
};

bool is_moving = false;  // the wire is in use for the GPU

/// While a process waits for others its GPU goes on, so that ranks of which one has waited for its GPU before meet.
void run_queued() {
  if (!is_moving) simt::finish();
}

struct Moving {
  Moving() { is_moving = true; }
  ~Moving() { is_moving = false; }
};

void agree(Group& group, Call call) {
  call.number = group.run++;
  std::vector<Call> all(size_t(group.wire->size()));
  group.wire->all_gather(&call, all.data(), sizeof call);
  for (size_t rank = 0; rank < all.size(); ++rank)
    if (!(all[rank] == call))
      throw Violation(cat("rank ", group.wire->rank(), ": ", text_of(call), ", where rank ", rank, " has ",
                          text_of(all[rank]), " as call ", call.number + 1, " of the communicator"));
}

/// In an order that is neither the ranks' nor the tree's, as a library may choose one.
void sum_all(Wire& wire, float* data, int64_t count) {
  const size_t ranks = size_t(wire.size());
  std::vector<float> all(ranks * size_t(count));
  wire.all_gather(data, all.data(), size_t(count) * sizeof(float));
  for (int64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (size_t rank = ranks; rank-- > 0;) sum += all[rank * size_t(count) + size_t(i)];
    data[i] = sum;
  }
}

/// Not the host's, nor freed, nor outside of an array.
bool is_of_device(const void* data, int64_t count) {
  return count == 0 || simt::device_memory().is_shown(data, size_t(count) * sizeof(float));
}

class WireCollectives : public Collectives {
 public:
  WireCollectives(Wire& wire, const CollectivesId& id) : group_(std::make_shared<Group>(Group{&wire})) {
    struct Member {
      int32_t rank;
      CollectivesId id;
    };
    const Member mine{wire.rank(), id};
    std::vector<Member> all(size_t(wire.size()));
    wire.all_gather(&mine, all.data(), sizeof mine);
    for (size_t a = 0; a < all.size(); ++a) {
      if (std::memcmp(all[a].id.bytes, id.bytes, sizeof id.bytes) != 0)
        fail(cat("NCCL's ncclCommInitRank fails: rank ", all[a].rank, " has another id"));
      for (size_t b = 0; b < a; ++b)
        if (all[a].rank == all[b].rank)
          fail(cat("NCCL's ncclCommInitRank fails: two ranks are rank ", all[a].rank));
    }
    if (auto* const sockets = dynamic_cast<tests::SocketWire*>(&wire)) sockets->before_calls = run_queued;
  }
  ~WireCollectives() override {
    group_->is_destroyed = true;
    if (auto* const sockets = dynamic_cast<tests::SocketWire*>(group_->wire)) sockets->before_calls = nullptr;
    if (failed_ || std::uncaught_exceptions() > 0) return;
    if (simt::queues().check_unsafe() != cudaSuccess)
      simt::report_later("a communicator is destroyed while a step is captured");
    if (group_.use_count() > 1)
      simt::report_later(
          "a communicator is destroyed while calls of it are queued or recorded in a graph: NCCL would wait "
          "for their "
          "end, and that of the graph, for ever");
  }

  void check() override {
    const std::string& error = simt::collectives_settings().asynchronous;
    if (error.empty()) return;
    failed_ = true;
    fail(cat("NCCL's communicator fails: ", error));
  }
  void exchange(CudaStream& stream, const float* from, float* to, int64_t count) override {
    const int64_t all = count * group_->wire->size();
    queue(stream, Kind::exchange, count, {from, to, all, all},
          [=](Wire& wire) { wire.all_to_all(from, to, size_t(count) * sizeof(float)); });
  }
  void gather(CudaStream& stream, const float* from, float* to, int64_t count) override {
    queue(stream, Kind::gather, count, {from, to, count, count * group_->wire->size()},
          [=](Wire& wire) { wire.all_gather(from, to, size_t(count) * sizeof(float)); });
  }
  void all_reduce_sum(CudaStream& stream, float* data, int64_t count) override {
    queue(stream, Kind::all_reduce_sum, count, {data, data, count, count},
          [=](Wire& wire) { sum_all(wire, data, count); });
  }

 private:
  template <class Move>
  void queue(CudaStream& stream, Kind kind, int64_t count, const Operands& operands, Move move) {
    check();
    Call call{kind, group_->wire->size(), count, 0, stream.capturing() ? ++group_->captured : 0};
    check_operands(call, operands);
    check_cuda(
        simt::run_in_stream(stream.handle(),
                            [group = group_, call, operands, move] {
                              if (group->is_destroyed)
                                throw Violation(text_of(call) + ": its communicator has been destroyed");
                              check_operands(call, operands);
                              const Moving moving;
                              agree(*group, call);
                              move(*group->wire);
                            }),
        "queue a call between GPUs");
  }
  static void check_operands(const Call& call, const Operands& operands) {
    if (!is_of_device(operands.from, operands.read))
      throw Violation(
          cat(text_of(call), ": what it reads is no array of ", operands.read, " numbers on the device"));
    if (!is_of_device(operands.to, operands.written))
      throw Violation(
          cat(text_of(call), ": what it writes is no array of ", operands.written, " numbers on the device"));
  }

  std::shared_ptr<Group> group_;
  bool failed_ = false;
};

}  // namespace

std::string collectives_problem() { return simt::collectives_settings().problem; }
int collectives_version() { return simt::collectives_settings().version; }

CollectivesId new_collectives_id() {
  static int made = 0;
  CollectivesId id{};
  ++made;
  std::memcpy(id.bytes, &made, sizeof made);
  return id;
}

std::shared_ptr<Collectives> connect_collectives(CudaStream& stream, Wire& wire, const CollectivesId& id) {
  stream.release(stream.allocate(1));  // as NCCL does, which breaks a capture
  return std::make_shared<WireCollectives>(wire, id);
}

}  // namespace ito::kernels::cuda_library

namespace simt {

CollectivesSettings& collectives_settings() {
  static CollectivesSettings one;
  return one;
}

}  // namespace simt
