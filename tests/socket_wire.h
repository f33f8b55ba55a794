#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/wire.h"

namespace ito::tests {

/// The wire of a process that a socket connects to each of the others. Each message brings which call it is of, so
/// that calls that do not match are errors that name both, instead of waiting. What is waited for longer than `seconds`
/// is an error, too, as is a rank that has ended.
class SocketWire : public kernels::Wire {
 public:
  /// sockets[p] leads to rank p; this rank's own is -1. Closes them in the end.
  SocketWire(int rank, std::vector<int> sockets, double seconds = 20)
      : rank_(rank), sockets_(std::move(sockets)), seconds_(seconds) {}
  ~SocketWire() override {
    for (const int socket : sockets_)
      if (socket >= 0) close(socket);
  }
  SocketWire(const SocketWire&) = delete;
  SocketWire& operator=(const SocketWire&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return int(sockets_.size()); }

  void all_to_all(const void* from, void* to, size_t bytes) override {
    const Sent sent(*this, from, bytes * size_t(size()));
    call({Kind::all_to_all, bytes}, [&](int peer) -> Pieces {
      return {at(sent.data, peer, bytes), at(to, peer, bytes)};
    });
    copy(at(sent.data, rank_, bytes), at(to, rank_, bytes), bytes);
  }
  void all_gather(const void* from, void* to, size_t bytes) override {
    const Sent sent(*this, from, bytes);
    call({Kind::all_gather, bytes}, [&](int peer) -> Pieces { return {sent.data, at(to, peer, bytes)}; });
    copy(sent.data, at(to, rank_, bytes), bytes);
  }
  void broadcast(void* data, size_t bytes) override {
    const Sent sent(*this, data, rank_ == 0 ? bytes : 0);
    call({Kind::broadcast, bytes}, [&](int peer) -> Pieces {
      return {sent.data, peer == 0 ? static_cast<char*>(data) : nullptr};
    });
    if (rank_ == 0) copy(sent.data, data, bytes);
  }

  /// Called by each call, when it has read what it sends: the emulator's GPU goes on then, since this process waits.
  std::function<void()> before_calls;

 private:
  enum class Kind : uint64_t { all_to_all, all_gather, broadcast };
  struct Header {
    Kind kind;
    uint64_t bytes, number = 0;
  };
  struct Pieces {
    const char* out;
    char* in;
  };
  /// What is sent, as it is when a call begins; a copy only where before_calls() might change it.
  struct Sent {
    Sent(const SocketWire& wire, const void* from, size_t bytes) : data(static_cast<const char*>(from)) {
      if (!wire.before_calls) return;
      kept.assign(data, data + bytes);
      data = kept.data();
    }
    std::vector<char> kept;
    const char* data;
  };
  /// What is still to be sent to a rank and to come from it: headers and data.
  struct Transfer {
    int peer;
    const char* out;
    char* in;
    size_t sent, to_send, came, to_come;
    Header theirs = {};
  };
  static char* at(void* data, int piece, size_t bytes) {
    return bytes ? static_cast<char*>(data) + size_t(piece) * bytes : static_cast<char*>(data);
  }
  static const char* at(const void* data, int piece, size_t bytes) {
    return at(const_cast<void*>(data), piece, bytes);
  }

  static void copy(const void* from, void* to, size_t bytes) {
    if (bytes) std::memmove(to, from, bytes);  // which takes no null
  }

  /// pieces_of(peer): what goes to a rank and where its piece goes.
  template <class PiecesOf>
  void call(Header mine, PiecesOf pieces_of) {
    if (before_calls) before_calls();
    mine.number = ++calls_;
    std::vector<Transfer> transfers;
    static char nothing;  // stands for a piece of no bytes, which may be at null
    for (int peer = 0; peer < size(); ++peer) {
      if (peer == rank_) continue;
      Pieces pieces = pieces_of(peer);
      const bool sends = mine.kind != Kind::broadcast || rank_ == 0;
      const bool hears = mine.kind != Kind::broadcast || peer == 0;
      if (mine.bytes == 0) pieces = {&nothing, &nothing};
      const size_t whole = sizeof(Header) + mine.bytes;
      transfers.push_back({peer, pieces.out, pieces.in, 0, sends ? whole : 0, 0, hears ? whole : 0});
    }
    move(mine, transfers);
  }

  void move(const Header& mine, std::vector<Transfer>& transfers) {
    using Clock = std::chrono::steady_clock;
    Clock::time_point moved = Clock::now();
    for (Transfer& t : transfers)
      send(mine, t);  // so that where calls do not match, both ranks see the other's
    for (;;) {
      std::vector<pollfd> waits;
      std::vector<Transfer*> of;
      for (Transfer& t : transfers) {
        const short events = short((t.sent < t.to_send ? POLLOUT : 0) | (t.came < t.to_come ? POLLIN : 0));
        if (events == 0) continue;
        waits.push_back({sockets_[size_t(t.peer)], events, 0});
        of.push_back(&t);
      }
      if (of.empty()) return;
      poll(waits.data(), waits.size(), 100);
      for (size_t i = 0; i < of.size(); ++i) {
        if (waits[i].revents == 0) continue;
        moved = Clock::now();
        if (of[i]->came < of[i]->to_come) receive(mine, *of[i]);
        if (of[i]->sent < of[i]->to_send) send(mine, *of[i]);
      }
      if (std::chrono::duration<double>(Clock::now() - moved).count() > seconds_)
        fail(cat("rank ", rank_, " has waited ", seconds_, " s for rank ", of[0]->peer, " in ",
                 text_of(mine)));
    }
  }
  void send(const Header& mine, Transfer& t) {
    while (t.sent < t.to_send) {
      const bool heading = t.sent < sizeof mine;
      const char* const from =
          heading ? reinterpret_cast<const char*>(&mine) + t.sent : t.out + (t.sent - sizeof mine);
      const size_t left = (heading ? sizeof mine : t.to_send) - t.sent;
      const ssize_t count = ::send(sockets_[size_t(t.peer)], from, left, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (count < 0) {
        receive(mine, t);  // what it sent before it ended may say more
        fail_of(mine, t.peer);
      }
      t.sent += size_t(count);
    }
  }
  void receive(const Header& mine, Transfer& t) {
    while (t.came < t.to_come) {
      const bool heading = t.came < sizeof mine;
      char* const to = heading ? reinterpret_cast<char*>(&t.theirs) + t.came : t.in + (t.came - sizeof mine);
      const size_t left = (heading ? sizeof mine : t.to_come) - t.came;
      const ssize_t count = recv(sockets_[size_t(t.peer)], to, left, MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (count <= 0) fail_of(mine, t.peer);
      t.came += size_t(count);
      if (t.came == sizeof mine && std::memcmp(&mine, &t.theirs, sizeof mine) != 0)
        fail(cat("rank ", rank_, "'s ", text_of(mine), " met rank ", t.peer, "'s ", text_of(t.theirs)));
    }
  }
  [[noreturn]] void fail_of(const Header& mine, int peer) const {
    fail(cat("rank ", rank_, ": rank ", peer, " has ended, in ", text_of(mine)));
  }
  static std::string text_of(const Header& header) {
    const char* const names[] = {"all_to_all", "all_gather", "broadcast"};
    return cat(size_t(header.kind) < 3 ? names[size_t(header.kind)] : "call of no kind", " of ", header.bytes,
               " bytes (call ", header.number, ")");
  }

  const int rank_;
  const std::vector<int> sockets_;
  const double seconds_;
  uint64_t calls_ = 0;
};

}  // namespace ito::tests
