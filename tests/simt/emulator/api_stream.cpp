#include "tests/simt/emulator/call.h"
#include "tests/simt/emulator/queue.h"
#include "tests/simt/include/cuda_runtime.h"

/// Streams, events and graphs of the emulated runtime.
namespace simt {

namespace {

/// Calls body with the stream behind the handle.
template <class Body>
cudaError_t stream_call(const char* name, cudaStream_t handle, Body body) {
  return call(name, [&] {
    CUstream_st* const stream = queues().find(handle);
    return stream ? body(*stream) : cudaErrorInvalidResourceHandle;
  });
}

/// A stream that is captured, or an event in it, cannot be waited for.
bool breaks(const std::shared_ptr<Capture>& capture) {
  if (capture) capture->broken = true;
  return capture != nullptr;
}

}  // namespace

void finish() {
  const std::lock_guard lock(runtime_mutex());
  queues().drain_all();
  queues().throw_kept();
}

void report_later(const std::string& violation) {
  const std::lock_guard lock(runtime_mutex());
  queues().keep(violation);
}

cudaError_t run_in_stream(cudaStream_t handle, std::function<void()> work) {
  return stream_call("run_in_stream", handle,
                     [&](CUstream_st& stream) { return queues().push(stream, std::move(work)); });
}

}  // namespace simt

using simt::breaks;
using simt::call;
using simt::give_back;
using simt::queues;
using simt::stream_call;

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", [] {
    if (const cudaError_t error = queues().check_no_capture(); error != cudaSuccess) return error;
    queues().throw_kept();
    queues().drain_all();
    return cudaSuccess;
  });
}

// ---- streams ----

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call("cudaStreamCreateWithFlags", [&] {
    if (flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
    *stream = queues().create(flags == cudaStreamDefault);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return stream_call("cudaStreamDestroy", handle, [&](CUstream_st& stream) {
    if (!handle) return cudaErrorInvalidResourceHandle;
    queues().destroy(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return stream_call("cudaStreamSynchronize", handle, [](CUstream_st& stream) {
    if (breaks(stream.capture)) return cudaErrorStreamCaptureUnsupported;
    queues().throw_kept();
    queues().drain(stream);
    return cudaSuccess;
  });
}

// Who asks again and again gets there: each time, one piece of work is done.
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return stream_call("cudaStreamQuery", handle, [](CUstream_st& stream) {
    if (breaks(stream.capture)) return cudaErrorStreamCaptureUnsupported;
    if (stream.queue.empty()) return cudaSuccess;
    queues().run_one(stream);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  return stream_call("cudaStreamWaitEvent", handle, [&](CUstream_st& stream) {
    if (!event) return cudaErrorInvalidResourceHandle;
    return event->mark ? queues().wait(stream, event->mark) : cudaSuccess;
  });
}

// ---- events ----

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call("cudaEventCreateWithFlags", [&] {
    if (flags > (cudaEventBlockingSync | cudaEventDisableTiming)) return cudaErrorInvalidValue;
    *event = new CUevent_st{!(flags & cudaEventDisableTiming), nullptr};
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return give_back("cudaEventDestroy", [&] {
    delete event;
    return event ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  return stream_call("cudaEventRecord", handle, [&](CUstream_st& stream) {
    if (!event) return cudaErrorInvalidResourceHandle;
    event->mark = queues().record(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call("cudaEventSynchronize", [&] {
    if (!event) return cudaErrorInvalidResourceHandle;
    if (!event->mark) return cudaSuccess;
    if (breaks(event->mark->capture)) return cudaErrorCapturedEvent;
    queues().throw_kept();
    queues().finish(*event->mark);
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call("cudaEventQuery", [&] {
    if (!event) return cudaErrorInvalidResourceHandle;
    if (!event->mark || event->mark->done) return cudaSuccess;
    if (breaks(event->mark->capture)) return cudaErrorCapturedEvent;
    queues().run_one(*event->mark->stream);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  return call("cudaEventElapsedTime", [&] {
    for (const cudaEvent_t event : {from, to})
      if (!event || !event->timed || !event->mark) return cudaErrorInvalidResourceHandle;
    if (!from->mark->done || !to->mark->done) return cudaErrorNotReady;
    *milliseconds = std::chrono::duration<float, std::milli>(to->mark->when - from->mark->when).count();
    return cudaSuccess;
  });
}

// ---- graphs ----

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return stream_call("cudaStreamBeginCapture", handle,
                     [&](CUstream_st& stream) { return queues().begin_capture(stream, mode); });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return stream_call("cudaStreamEndCapture", handle, [&](CUstream_st& stream) {
    *graph = nullptr;
    std::vector<simt::Work> nodes;
    const cudaError_t error = queues().end_capture(stream, nodes);
    if (error == cudaSuccess) *graph = new CUgraph_st{std::move(nodes)};
    return error;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return stream_call("cudaStreamIsCapturing", handle, [&](CUstream_st& stream) {
    *status = !stream.capture          ? cudaStreamCaptureStatusNone
              : stream.capture->broken ? cudaStreamCaptureStatusInvalidated
                                       : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return call("cudaGraphGetNodes", [&] {
    if (!graph || nodes) return cudaErrorInvalidValue;
    *count = graph->nodes.size();
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return call("cudaGraphInstantiate", [&] {
    if (!graph) return cudaErrorInvalidValue;
    *exec = new CUgraphExec_st{std::make_shared<const std::vector<simt::Work>>(graph->nodes)};
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle) {
  return stream_call("cudaGraphLaunch", handle, [&](CUstream_st& stream) {
    if (!exec) return cudaErrorInvalidValue;
    return queues().push(stream, [nodes = exec->nodes] {
      for (const simt::Work& work : *nodes) work();
    });
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return give_back("cudaGraphDestroy", [&] {
    delete graph;
    return graph ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return give_back("cudaGraphExecDestroy", [&] {
    delete exec;
    return exec ? cudaSuccess : cudaErrorInvalidValue;
  });
}
