#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/ranks/place.h"
#include "kernels/wire.h"

namespace ito::engine {

/// A process of the run, as the user finds it.
struct Peer {
  std::string host;
  int process = 0;
  std::string space;  // of process numbers: the same where two processes see each other's
};

/// "rank 3 of 8 (node2, process 4711)".
std::string text_of(int rank, const std::vector<Peer>& peers);

/// The processes that a launcher started together, over MPI. Calls come from the main thread. A call that waits for
/// other ranks sleeps while it does, and answers questions about this one.
class Ranks : public kernels::Wire {
 public:
  /// Joins them; all processes call it. Error: built without MPI; MPI finds other processes than the launcher's.
  static std::unique_ptr<Ranks> join(const Place& place);

  virtual const Place& place() const = 0;
  virtual const std::vector<Peer>& peers() const = 0;  // by rank
  /// A call that has waited so many seconds for another rank reports, on the lowest rank that waits, which ranks have
  /// not come to it, and waits on.
  virtual void report_waits(double seconds, std::function<void(const std::string&)> report) = 0;
  /// For a rank that fails: calls `report` with every rank's error, if within a second all of them fail, and then
  /// leaves the others. None ends before all have reported, since a launcher may then kill the rest and drop what they
  /// print. False: they do not all fail, and this process must end by _exit, since the others wait in other calls.
  virtual bool fail_together(const std::string& error,
                             const std::function<void(const std::vector<std::string>&)>& report) = 0;
  /// The orderly end, for all ranks. `all_here` is called when every rank has come to it.
  virtual void leave(const std::function<void()>& all_here) = 0;
};

}  // namespace ito::engine
