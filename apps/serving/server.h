#pragma once

#include <functional>
#include <memory>
#include <string>

#include "apps/serving/exchange.h"
#include "apps/serving/limits.h"

namespace ito::apps {

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
