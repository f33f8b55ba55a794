#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "engine/ranks/ranks.h"

namespace ito::engine {

/// Watches from a thread of its own whether the other ranks of this machine live, whatever this one's main thread waits
/// for. When one ends, the lowest rank of the machine that is left writes a line to standard error, "PROGRAM: rank 3 of
/// 8 (node2, process 4711) ended ...", and all end at once with an exit code.
class PeerWatch {
 public:
  struct Actions {
    std::string program;
    int exit_code = 1;
    std::function<std::string()> where;  // the rest of the line: "at step 5; ..."; called in the thread
    std::function<void()> tick;          // called in the thread about ten times a second
  };
  PeerWatch(const Ranks& ranks, Actions actions);
  /// Ends the watch: from then on the others may end.
  ~PeerWatch();
  PeerWatch(const PeerWatch&) = delete;
  PeerWatch& operator=(const PeerWatch&) = delete;

 private:
  struct Watched {
    int rank, handle;  // of the process, to be polled; -1: it had ended before
  };
  void watch();
  [[noreturn]] void end(int first_dead);
  static bool has_ended(const Watched&, int within);  // milliseconds

  std::vector<Peer> peers_;
  int rank_;
  Actions actions_;
  std::vector<Watched> watched_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace ito::engine
