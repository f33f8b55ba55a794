#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tests/simt/emulator/machine.h"
#include "tests/simt/include/runtime_types.h"

/// Streams, events and graphs. Work that is queued runs as late as the synchronisation allows, so that what
/// is not waited for has not happened.
namespace simt {

using Work = std::function<void()>;

/// Nodes of a capture, by their numbers.
using Nodes = std::vector<bool>;

/// What a stream records instead of queueing it.
struct Capture {
  CUstream_st* origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  std::vector<Work> nodes;
  bool broken = false;
};

/// One recording of an event: a place in a stream's queue.
struct Mark {
  std::shared_ptr<CUstream_st> stream;
  std::shared_ptr<Capture> capture;  // where it was recorded in one
  Nodes before;                      // it, there
  bool done = false;
  std::chrono::steady_clock::time_point when;
};

struct Queued {
  Work work;
  Schedule schedule;  // that was set when it was queued
};

}  // namespace simt

struct CUstream_st : std::enable_shared_from_this<CUstream_st> {
  bool blocking = false;  // waits for the legacy stream, and that for it
  bool destroyed = false;
  std::deque<simt::Queued> queue;
  std::shared_ptr<simt::Capture> capture;
  simt::Nodes before;  // what it captures next
};
struct CUevent_st {
  bool timed = true;
  std::shared_ptr<simt::Mark> mark;  // the last recording
};
struct CUgraph_st {
  std::vector<simt::Work> nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<simt::Work>> nodes;
};

namespace simt {

class Queues {
 public:
  Queues();

  CUstream_st* create(bool blocking);
  /// Null: the legacy stream. Null is returned for a stream that is none.
  CUstream_st* find(cudaStream_t);
  /// What is queued still runs, at the next occasion.
  void destroy(CUstream_st&);
  void forget_all();

  /// Queues work, or records it where the stream is captured.
  cudaError_t push(CUstream_st&, Work);
  std::shared_ptr<Mark> record(CUstream_st&);
  cudaError_t wait(CUstream_st&, const std::shared_ptr<Mark>&);

  // These run what is queued, and what that waits for. They throw a Violation, and nothing is queued then.
  void run_one(CUstream_st&);
  void drain(CUstream_st&);
  void drain_all();
  void finish(Mark&);
  /// For calls in destructors: a Violation is kept for the next call that may throw.
  void drain_all_quietly();
  void keep(const std::string& violation);
  void throw_kept();
  /// What is queued is never run: the device is lost.
  void discard_all();

  cudaError_t begin_capture(CUstream_st&, cudaStreamCaptureMode);
  cudaError_t end_capture(CUstream_st&, std::vector<Work>& nodes);
  /// An error, and the end of the captures concerned, where this thread may not do what is unsafe in one.
  cudaError_t check_unsafe();
  /// The same for what waits for the whole device.
  cudaError_t check_no_capture();

 private:
  void put(CUstream_st&, Work);
  void run_queued(CUstream_st&);
  CUstream_st* choose_stream();
  template <class Concerned>
  cudaError_t break_captures(Concerned);

  std::vector<std::shared_ptr<CUstream_st>> streams_;  // the legacy stream first
  std::vector<std::shared_ptr<Capture>> captures_;
  uint64_t random_state_ = 1;
  std::string kept_;
};

Queues& queues();

}  // namespace simt
