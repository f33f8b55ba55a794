#pragma once

#include <httplib.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "apps/serving/exchange.h"
#include "apps/serving/limits.h"
#include "kernels/base/clock.h"

namespace ito::apps {

/// A client: its socket as the library reads and writes it, with this program's patience. It is used by one thread,
/// except for what is marked as shared.
class Connection : public httplib::Stream {
 public:
  Connection(int number, const ServerLimits& limits) : socket_(number), limits_(limits) {}

  bool is_readable() const override { return !lost_; }
  bool is_writable() const override { return !lost_; }
  ssize_t read(char* to, size_t size) override;
  ssize_t write(const char* bytes, size_t size) override;
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return socket_.number(); }

  /// Before each request.
  void begin_head() {
    taken_ = matched_ = 0, routed = false, asked.reset();
    idle_since = begin_ == end_ ? now() : 0;
  }
  /// Nothing more comes from the client, or goes to it.
  void lose() { lost_ = true; }
  void drain();
  /// Shared: what waits for this client, or sends to it, ends.
  void cut() const { shutdown(socket(), SHUT_RDWR); }
  /// Shared: it has closed its side, or is not there any more.
  bool has_left() const;

  std::optional<HttpRequest> asked;
  std::optional<Refusal> refusal;  // instead of an answer, and the last thing that this connection says
  bool routed = false;             // an answer has been chosen, so that the library refuses nothing
  bool closes = false;             // after the answer

  // Shared.
  std::shared_ptr<Exchange> exchange;  // the request that is being answered; with the lock of Http
  std::atomic<double> idle_since = 0;  // 0: it is not
  std::atomic<bool> ends = false;      // it makes room for others

 private:
  void fill();
  void hide_range(char* bytes, size_t count);

  const Descriptor socket_;
  const ServerLimits& limits_;
  std::array<char, 4096> in_{};
  size_t begin_ = 0, end_ = 0;  // of in_, what has not been read
  size_t taken_ = 0;            // bytes of a head
  size_t matched_ = 0;          // of "range:", by the beginning of a line; all: the line may go on as it is
  double head_since_ = 0;       // its first byte
  bool broken_off_ = false, lost_ = false;
};

}  // namespace ito::apps
