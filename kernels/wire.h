#pragma once

#include <cstddef>
#include <functional>

namespace ito::kernels {

/// How the processes ("ranks") of one run reach each other: bytes of the host's memory. Every rank makes the same
/// calls in the same order; a call returns when this rank's part of it is done. An implementation may throw, e.g. when
/// another process has ended.
class Wire {
 public:
  virtual ~Wire() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Piece p of `from` goes to rank p, and what rank p sent arrives as piece p of `to`; all of `bytes` bytes.
  virtual void all_to_all(const void* from, void* to, size_t bytes) = 0;
  /// `from` of rank p arrives as piece p of `to` on every rank; it may be this rank's piece of `to` itself.
  virtual void all_gather(const void* from, void* to, size_t bytes) = 0;
  /// Rank 0's bytes, on every rank.
  virtual void broadcast(void* data, size_t bytes) = 0;
  /// Returns when done() is true: for what may depend on the other ranks, e.g. a GPU that waits for theirs.
  virtual void wait_for(const std::function<bool()>& done);
};

/// The wire of a process that is alone, whose calls only copy.
Wire& no_wire();

}  // namespace ito::kernels
