#pragma once

#include <functional>
#include <memory>
#include <string>

#include "apps/serving/exchange.h"

namespace ito::apps {

/// An open file of the system's, such as a socket; closed with this object.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept { std::swap(number_, other.number_); }
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int number() const { return number_; }

 private:
  int number_ = -1;
};

/// How long clients may take, in seconds, and how many there may be.
struct ServerLimits {
  double head = 10;     // for a request's head, from its first byte on
  double idle = 30;     // without a request
  double sending = 20;  // without taking a byte of an answer
  size_t connections = 96;
};

/// Bytes of a request's head, and of the address in it.
inline constexpr size_t kMostHeadBytes = 8192, kMostTargetBytes = 4096;

/// Answers GET of HTTP/1.1. The protocol is cpp-httplib's, with a thread for each connection; how long it waits for a
/// client, how many there may be and who has left is decided here. A connection carries one request at a time. Requests
/// that are none are answered with a sentence.
class Server {
 public:
  /// Called for each request, one after the other; it must not wait. The answer may be given later, by any thread.
  using Handler = std::function<void(const std::shared_ptr<Exchange>&)>;

  /// Listens at once. Port 0: one that is free. Error: the host has no address here, the port is taken or not allowed.
  Server(const std::string& host, int port, const ServerLimits& limits = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  int port() const;
  /// Serves until `stop` is true, which is looked at ten times a second; then closes every connection.
  void run(const Handler& handler, const std::function<bool()>& stop);

 private:
  struct Http;
  std::unique_ptr<Http> http_;
};

}  // namespace ito::apps
