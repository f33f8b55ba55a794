#include "engine/ranks/peer_watch.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>

#include "kernels/base/error.h"

namespace ito::engine {

namespace {

// Milliseconds.
constexpr int kTick = 100;
constexpr int kToWrite =
    400;  // that the others give the rank that writes; mpirun kills all a second after a rank's end
constexpr int kToEnd = 1'000;  // that one rank waits for another to end

/// A handle that becomes readable when the process ends; -1: there is none, with ESRCH if it has ended already.
int handle_of(int process) { return int(syscall(SYS_pidfd_open, process, 0)); }

}  // namespace

PeerWatch::PeerWatch(const Ranks& ranks, Actions actions)
    : peers_(ranks.peers()), rank_(ranks.rank()), actions_(std::move(actions)) {
  const Peer& self = peers_[size_t(rank_)];
  for (int r = 0; r < int(peers_.size()); ++r) {
    const Peer& peer = peers_[size_t(r)];
    if (r == rank_ || peer.host != self.host || self.space.empty() || peer.space != self.space) continue;
    const int handle = handle_of(peer.process);
    if (handle >= 0 || errno == ESRCH) watched_.push_back({r, handle});
  }
  thread_ = std::thread([this] { watch(); });
}

PeerWatch::~PeerWatch() {
  stop_ = true;
  thread_.join();
  for (const Watched& w : watched_)
    if (w.handle >= 0) close(w.handle);
}

bool PeerWatch::has_ended(const Watched& w, int within) {
  if (w.handle < 0) return true;
  pollfd asked{w.handle, POLLIN, 0};
  return poll(&asked, 1, within) == 1;
}

void PeerWatch::watch() {
  sigset_t all;  // signals are the main thread's
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::vector<pollfd> asked;
  for (const Watched& w : watched_) {
    if (w.handle < 0) end(w.rank);
    asked.push_back({w.handle, POLLIN, 0});
  }
  while (!stop_) {
    const bool ended = poll(asked.data(), asked.size(), kTick) > 0;
    if (stop_) return;
    if (!ended) {
      actions_.tick();
      continue;
    }
    for (size_t i = 0; i < asked.size(); ++i)
      if (asked[i].revents) end(watched_[i].rank);
  }
}

/// Others may have ended with it: the line is about the first one, and the lowest that is left writes it. That one ends
/// last, so that the others, however late they look, find a lower one that lives. These give it time to write, since a
/// launcher may kill all when one of them has ended.
void PeerWatch::end(int first_dead) {
  std::this_thread::sleep_for(std::chrono::milliseconds(kTick));
  bool lowest = true;
  for (const Watched& w : watched_) lowest &= w.rank > rank_ || has_ended(w, 0);
  if (lowest) {
    const std::string line =
        cat(actions_.program, ": ", text_of(first_dead, peers_), " ended ", actions_.where(), "\n");
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
    for (const Watched& w : watched_) has_ended(w, kToEnd);
  } else {
    std::this_thread::sleep_for(std::chrono::milliseconds(kToWrite));
  }
  _exit(actions_.exit_code);
}

}  // namespace ito::engine
