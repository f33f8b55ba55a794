#include <cstring>
#include <exception>

#include "kernels/base/error.h"
#include "kernels/cuda_library/collectives.h"
#include "kernels/cuda_library/dynamic_library.h"

namespace ito::kernels::cuda_library {
inline constexpr const char* kWithoutNccl = "GPUs of several ranks cannot be connected";
}

#if __has_include(<nccl.h>)
#include <nccl.h>

namespace ito::kernels::cuda_library {

namespace {

struct Nccl {
  DynamicLibrary library{"NCCL", {"libnccl.so.2"}, kWithoutNccl};
  LibraryFunction<decltype(ncclGetVersion)> version{library, "ncclGetVersion"};
  LibraryFunction<decltype(ncclGetUniqueId)> unique_id{library, "ncclGetUniqueId"};
  LibraryFunction<decltype(ncclCommInitRank)> connect{library, "ncclCommInitRank"};
  LibraryFunction<decltype(ncclCommDestroy)> destroy{library, "ncclCommDestroy"};
  LibraryFunction<decltype(ncclCommGetAsyncError)> asynchronous_error{library, "ncclCommGetAsyncError"};
  LibraryFunction<decltype(ncclGroupStart)> group_start{library, "ncclGroupStart"};
  LibraryFunction<decltype(ncclGroupEnd)> group_end{library, "ncclGroupEnd"};
  LibraryFunction<decltype(ncclSend)> send{library, "ncclSend"};
  LibraryFunction<decltype(ncclRecv)> receive{library, "ncclRecv"};
  LibraryFunction<decltype(ncclAllGather)> all_gather{library, "ncclAllGather"};
  LibraryFunction<decltype(ncclAllReduce)> all_reduce{library, "ncclAllReduce"};
  LibraryFunction<decltype(ncclGetErrorString)> error_string{library, "ncclGetErrorString"};
  LibraryFunction<decltype(ncclGetLastError)> last_error{library, "ncclGetLastError"};
};

Nccl& nccl() {
  static Nccl one;
  return one;
}

/// call: the function of NCCL's that returned it.
void check_nccl(ncclResult_t result, const char* call, ncclComm_t communicator = nullptr) {
  if (result == ncclSuccess) return;
  const char* const last = nccl().last_error(communicator);
  fail(cat("NCCL's ", call, " fails: ", nccl().error_string(result), last && *last ? cat("; ", last) : "",
           ". NCCL_DEBUG=INFO in the environment shows more"));
}

class NcclCollectives : public Collectives {
 public:
  NcclCollectives(Wire& wire, const CollectivesId& id) : ranks_(wire.size()) {
    ncclUniqueId unique{};
    static_assert(sizeof unique == sizeof id.bytes, "an id of NCCL's has 128 bytes");
    std::memcpy(&unique, id.bytes, sizeof unique);
    check_nccl(nccl().connect(&communicator_, ranks_, unique, wire.rank()), "ncclCommInitRank");
  }
  ~NcclCollectives() override {
    // It returns when all ranks have called it, and every recorded graph with calls of it is gone.
    if (!failed_ && std::uncaught_exceptions() == 0) nccl().destroy(communicator_);
  }

  void check() override {
    ncclResult_t since = ncclSuccess;
    require(nccl().asynchronous_error(communicator_, &since), "ncclCommGetAsyncError");
    require(since, "communicator");
  }
  void exchange(CudaStream& stream, const float* from, float* to, int64_t count) override {
    check();
    require(nccl().group_start(), "ncclGroupStart");
    ncclResult_t sent = ncclSuccess, received = ncclSuccess;
    for (int p = 0; p < ranks_ && sent == ncclSuccess && received == ncclSuccess; ++p) {
      sent = nccl().send(from + p * count, size_t(count), ncclFloat, p, communicator_, stream.handle());
      received = nccl().receive(to + p * count, size_t(count), ncclFloat, p, communicator_, stream.handle());
    }
    const ncclResult_t ended = nccl().group_end();
    require(sent, "ncclSend");
    require(received, "ncclRecv");
    require(ended, "ncclGroupEnd");
  }
  void gather(CudaStream& stream, const float* from, float* to, int64_t count) override {
    check();
    require(nccl().all_gather(from, to, size_t(count), ncclFloat, communicator_, stream.handle()),
            "ncclAllGather");
  }
  void all_reduce_sum(CudaStream& stream, float* data, int64_t count) override {
    check();
    require(nccl().all_reduce(data, data, size_t(count), ncclFloat, ncclSum, communicator_, stream.handle()),
            "ncclAllReduce");
  }

 private:
  void require(ncclResult_t result, const char* call) {
    failed_ = failed_ || result != ncclSuccess;
    check_nccl(result, call, communicator_);
  }

  const int ranks_;
  bool failed_ = false;
  ncclComm_t communicator_ = nullptr;
};

}  // namespace

std::string collectives_problem() {
  if (nccl().library) return "";
  return "it has no NCCL (libnccl.so.2): install NVIDIA's package libnccl2 or the wheel nvidia-nccl-cu13, "
         "and name the "
         "folder that holds it in ITO_CUDA_LIBRARIES";
}

int collectives_version() {
  int version = 0;
  check_nccl(nccl().version(&version), "ncclGetVersion");
  return version;
}

CollectivesId new_collectives_id() {
  ncclUniqueId unique{};
  check_nccl(nccl().unique_id(&unique), "ncclGetUniqueId");
  CollectivesId id{};
  std::memcpy(id.bytes, &unique, sizeof id.bytes);
  return id;
}

std::shared_ptr<Collectives> connect_collectives(CudaStream&, Wire& wire, const CollectivesId& id) {
  return std::make_shared<NcclCollectives>(wire, id);
}

}  // namespace ito::kernels::cuda_library

#else  // no nccl.h

namespace ito::kernels::cuda_library {

std::string collectives_problem() {
  return cat("its program was compiled without nccl.h, so ", kWithoutNccl,
             ": install NVIDIA's package libnccl-dev and build it again");
}
int collectives_version() { return 0; }
CollectivesId new_collectives_id() { fail(collectives_problem()); }
std::shared_ptr<Collectives> connect_collectives(CudaStream&, Wire&, const CollectivesId&) {
  fail(collectives_problem());
}

}  // namespace ito::kernels::cuda_library

#endif
