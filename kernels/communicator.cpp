#include "kernels/communicator.h"

#include <functional>

#include "kernels/base/error.h"

namespace ito::kernels {

namespace {

void check_count(const char* call, int64_t count) {
  if (count < 0) fail(cat(call, ": ", count, " numbers; there may be none, and no fewer"));
}

bool overlap(const float* a, int64_t a_count, const float* b, int64_t b_count) {
  const std::less<> before;  // any pointers have an order by it
  return before(a, b + b_count) && before(b, a + a_count);
}

size_t bytes_of(int64_t count) { return size_t(count) * sizeof(float); }

}  // namespace

void check_exchange(const Communicator& ranks, const float* from, const float* to, int64_t count) {
  check_count("exchange", count);
  const int64_t all = count * ranks.size();
  if (overlap(from, all, to, all))
    fail(cat("exchange: what ", all, " numbers are read from and written to overlaps"));
}

void check_gather(const Communicator& ranks, const float* from, const float* to, int64_t count) {
  check_count("gather", count);
  if (from != to + count * ranks.rank() && overlap(from, count, to, count * ranks.size()))
    fail(cat("gather: the ", count, " numbers of rank ", ranks.rank(),
             " are in another piece of the result than its own"));
}

void check_reduction(int64_t count) { check_count("all_reduce_sum", count); }

void Communicator::exchange(CpuStream&, const float* from, float* to, int64_t count) {
  check_exchange(*this, from, to, count);
  wire_->all_to_all(from, to, bytes_of(count));
}

void Communicator::gather(CpuStream&, const float* from, float* to, int64_t count) {
  check_gather(*this, from, to, count);
  wire_->all_gather(from, to, bytes_of(count));
}

void Communicator::all_reduce_sum(CpuStream&, float*, int64_t) {
  fail("all_reduce_sum is NCCL's, between GPUs; between CPUs exchange, tree_sum and gather give the sum");
}

}  // namespace ito::kernels
