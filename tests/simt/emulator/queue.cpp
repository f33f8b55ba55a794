#include "tests/simt/emulator/queue.h"

#include <algorithm>

#include "tests/simt/emulator/memory.h"

namespace simt {

Queues& queues() {
  static Queues one;
  return one;
}

Queues::Queues() { create(true); }

CUstream_st* Queues::create(bool blocking) {
  streams_.push_back(std::make_shared<CUstream_st>());
  streams_.back()->blocking = blocking;
  return streams_.back().get();
}

CUstream_st* Queues::find(cudaStream_t stream) {
  if (!stream) return streams_[0].get();
  for (const auto& one : streams_)
    if (one.get() == stream && !one->destroyed) return one.get();
  return nullptr;
}

void Queues::destroy(CUstream_st& stream) { stream.destroyed = true; }

void Queues::forget_all() {
  discard_all();
  streams_.resize(1);
  captures_.clear();
  kept_.clear();
}

// ---- queueing ----

void Queues::put(CUstream_st& stream, Work work) {
  stream.queue.push_back({std::move(work), machine().schedule()});
}

cudaError_t Queues::push(CUstream_st& stream, Work work) {
  if (stream.capture) {
    if (stream.capture->broken) return cudaErrorStreamCaptureInvalidated;
    stream.capture->nodes.push_back(std::move(work));
    stream.before.resize(stream.capture->nodes.size());
    stream.before.back() = true;
    return cudaSuccess;
  }
  CUstream_st& legacy = *streams_[0];
  for (const auto& other : streams_) {
    const bool ordered = &stream == &legacy ? other->blocking : stream.blocking && other.get() == &legacy;
    if (ordered && other.get() != &stream && !other->queue.empty()) wait(stream, record(*other));
  }
  put(stream, std::move(work));
  return cudaSuccess;
}

std::shared_ptr<Mark> Queues::record(CUstream_st& stream) {
  auto mark = std::make_shared<Mark>();
  mark->stream = stream.shared_from_this();
  mark->capture = stream.capture;
  mark->before = stream.before;
  if (!stream.capture)
    put(stream, [mark] {
      mark->done = true;
      mark->when = std::chrono::steady_clock::now();
    });
  return mark;
}

cudaError_t Queues::wait(CUstream_st& stream, const std::shared_ptr<Mark>& mark) {
  const bool forks = mark->capture && !stream.capture;
  if (forks) stream.capture = mark->capture, stream.before.clear();
  if (stream.capture != mark->capture) return stream.capture->broken = true, cudaErrorStreamCaptureIsolation;
  if (!stream.capture) {
    put(stream, [this, mark] { finish(*mark); });
    return cudaSuccess;
  }
  stream.before.resize(std::max(stream.before.size(), mark->before.size()));
  for (size_t i = 0; i < mark->before.size(); ++i)
    if (mark->before[i]) stream.before[i] = true;
  return cudaSuccess;
}

// ---- running ----

void Queues::run_queued(CUstream_st& stream) {
  const Queued next = std::move(stream.queue.front());
  stream.queue.pop_front();
  const Schedule set = machine().schedule();
  machine().set_schedule(next.schedule);
  try {
    next.work();
  } catch (...) {
    machine().set_schedule(set);
    discard_all();
    throw;
  }
  machine().set_schedule(set);
}

void Queues::run_one(CUstream_st& stream) {
  const DeviceAccess access;
  if (!stream.queue.empty()) run_queued(stream);
}

void Queues::drain(CUstream_st& stream) {
  if (stream.queue.empty()) return;
  const DeviceAccess access;
  while (!stream.queue.empty()) run_queued(stream);
}

void Queues::finish(Mark& mark) {
  if (mark.done) return;
  const DeviceAccess access;
  while (!mark.done && !mark.stream->queue.empty()) run_queued(*mark.stream);
}

/// Streams that do not wait for each other run in the order that the schedule gives threads.
CUstream_st* Queues::choose_stream() {
  std::vector<CUstream_st*> ready;
  for (const auto& stream : streams_)
    if (!stream->queue.empty()) ready.push_back(stream.get());
  if (ready.empty()) return nullptr;
  const Order order = machine().schedule().order;
  if (order == Order::in_order) return ready.front();
  if (order == Order::reverse) return ready.back();
  random_state_ = random_state_ * 6364136223846793005u + 1442695040888963407u;
  return ready[(random_state_ >> 33) % ready.size()];
}

void Queues::drain_all() {
  {
    const DeviceAccess access;
    while (CUstream_st* const stream = choose_stream()) run_queued(*stream);
  }
  const auto gone = [](const std::shared_ptr<CUstream_st>& stream) { return stream->destroyed; };
  streams_.erase(std::remove_if(streams_.begin(), streams_.end(), gone), streams_.end());
}

void Queues::drain_all_quietly() {
  try {
    drain_all();
  } catch (const Violation& violation) {
    keep(violation.what());
  }
}

void Queues::keep(const std::string& violation) {
  if (kept_.empty()) kept_ = violation;
}

void Queues::throw_kept() {
  if (kept_.empty()) return;
  const std::string message = std::move(kept_);
  kept_.clear();
  throw Violation(message);
}

void Queues::discard_all() {
  for (const auto& stream : streams_) stream->queue.clear();
}

// ---- capture ----

cudaError_t Queues::begin_capture(CUstream_st& stream, cudaStreamCaptureMode mode) {
  if (&stream == streams_[0].get()) return cudaErrorStreamCaptureUnsupported;
  if (stream.capture) return cudaErrorIllegalState;
  stream.capture = std::make_shared<Capture>(Capture{&stream, mode, std::this_thread::get_id(), {}, false});
  stream.before.clear();
  captures_.push_back(stream.capture);
  return cudaSuccess;
}

cudaError_t Queues::end_capture(CUstream_st& stream, std::vector<Work>& nodes) {
  const std::shared_ptr<Capture> capture = stream.capture;
  if (!capture) return cudaErrorIllegalState;
  if (capture->origin != &stream) return capture->broken = true, cudaErrorStreamCaptureUnmatched;
  for (const auto& one : streams_)
    if (one->capture == capture) one->capture = nullptr;
  captures_.erase(std::find(captures_.begin(), captures_.end(), capture));
  if (capture->broken) return cudaErrorStreamCaptureInvalidated;
  stream.before.resize(capture->nodes.size());
  if (std::find(stream.before.begin(), stream.before.end(), false) != stream.before.end())
    return cudaErrorStreamCaptureUnjoined;
  nodes = std::move(capture->nodes);
  return cudaSuccess;
}

template <class Concerned>
cudaError_t Queues::break_captures(Concerned concerned) {
  cudaError_t error = cudaSuccess;
  for (const auto& capture : captures_)
    if (concerned(*capture)) capture->broken = true, error = cudaErrorStreamCaptureUnsupported;
  return error;
}

cudaError_t Queues::check_unsafe() {
  return break_captures([](const Capture& capture) {
    return capture.mode == cudaStreamCaptureModeGlobal ||
           (capture.mode == cudaStreamCaptureModeThreadLocal && capture.thread == std::this_thread::get_id());
  });
}

cudaError_t Queues::check_no_capture() {
  return break_captures([](const Capture&) { return true; });
}

}  // namespace simt
