#include "apps/serving/server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "kernels/base/clock.h"
#include "kernels/base/file.h"

namespace ito::apps {

namespace {

constexpr size_t kPiece = 64 << 10;  // bytes that a connection takes from its answer at a time
constexpr double kDeaf = 0.2;        // seconds without new clients where no descriptor is free
constexpr double kDraining = 2;      // seconds for a client to close what is closed here

struct Addresses {
  addrinfo* first = nullptr;
  ~Addresses() {
    if (first) freeaddrinfo(first);
  }
};

[[noreturn]] void fail_listening(const std::string& host, int port, int error) {
  const std::string what = cat("port ", port, " of ", host, " cannot be listened at: ", reason_of(error));
  const bool taken = error == EADDRINUSE || error == EACCES;
  fail_advising(
      what, taken ? Advice{"another {port}", "{port} 0, which takes a free one"} : Advice{"another {host}"});
}

Descriptor listen_at(const std::string& host, int port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM, wanted.ai_flags = AI_PASSIVE;
  Addresses found;
  const int problem = getaddrinfo(host.c_str(), cat(port).c_str(), &wanted, &found.first);
  if (problem != 0)
    fail_advising(cat("there is no address of \"", host, "\": ", gai_strerror(problem)), {"another {host}"});
  const addrinfo& to = *found.first;
  Descriptor listener(socket(to.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (listener.number() < 0 || setsockopt(listener.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(listener.number(), to.ai_addr, to.ai_addrlen) != 0 || listen(listener.number(), SOMAXCONN) != 0)
    fail_listening(host, port, errno);
  return listener;
}

int port_of(const Descriptor& listener) {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  getsockname(listener.number(), reinterpret_cast<sockaddr*>(&at), &size);
  const bool six = at.ss_family == AF_INET6;
  return ntohs(six ? reinterpret_cast<const sockaddr_in6&>(at).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(at).sin_port);
}

bool would_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

struct Server::Connection {
  Descriptor socket;
  std::string in, out;
  size_t sent = 0;                     // of out
  std::shared_ptr<Exchange> exchange;  // the request that is being answered
  double since = now();                // of the last byte that came or went
  double head_since = 0;               // of a head's first byte; 0: there is none
  bool closes = false;                 // once `out` is sent
  double drains_since = 0;             // after that: what still comes is read and dropped; 0: not yet
  bool is_dead = false;

  explicit Connection(Descriptor s) : socket(std::move(s)) {}
  bool is_idle() const { return !exchange && out.empty() && in.empty(); }
  bool is_sending() const { return sent < out.size(); }
  short events() const {
    if (drains_since > 0) return POLLIN;
    return short((is_sending() ? POLLOUT : 0) | (exchange || closes ? POLLRDHUP : POLLIN));
  }
  void die() {
    is_dead = true;
    if (exchange) exchange->leave();
  }
  /// `out` is the last that this connection says.
  void refuse(int status, const std::string& sentence) {
    out += refusal_text(status, sentence), closes = true;
    in.clear(), head_since = 0;
  }
};

Server::Server(const std::string& host, int port, const ServerLimits& limits)
    : limits_(limits),
      listener_(listen_at(host, port)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      port_(port_of(listener_)) {
  if (wake_.number() < 0) fail(cat("no event can be waited for: ", reason_of(errno)));
}

Server::~Server() = default;

/// Closes the connection that has been idle for the longest time. False: all are busy.
bool Server::make_room() {
  Connection* oldest = nullptr;
  for (Connection& c : connections_)
    if (c.is_idle() && (!oldest || c.since < oldest->since)) oldest = &c;
  if (!oldest) return false;
  connections_.remove_if([&](const Connection& c) { return &c == oldest; });
  return true;
}

void Server::accept_all() {
  for (;;) {
    Descriptor socket(accept4(listener_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.number() < 0) {
      if (errno != EMFILE && errno != ENFILE) return;
      if (make_room()) continue;
      deaf_until_ = now() + kDeaf;  // the client waits in the queue, which poll() would report without end
      return;
    }
    const int on = 1;
    setsockopt(socket.number(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const bool full = connections_.size() >= limits_.connections && !make_room();
    Connection& c = connections_.emplace_back(std::move(socket));
    if (!full) continue;
    c.refuse(503, cat("there are ", limits_.connections, " connections already; try again later"));
    send(c);
    connections_.pop_back();
  }
}

void Server::read(Connection& c) {
  char piece[4096];
  const ssize_t got = recv(c.socket.number(), piece, sizeof piece, 0);
  if (got > 0) {
    c.since = now();
    if (c.in.empty()) c.head_since = c.since;
    c.in.append(piece, size_t(got));
  } else if (got == 0 || !would_wait(errno)) {
    c.die();
  }
}

/// Begins the next request, if its head is there.
void Server::answer_next(Connection& c, const Handler& handler) {
  try {
    const size_t size = head_bytes(c.in);
    if (size == 0) return;
    HttpRequest request = parse_head(std::string_view(c.in).substr(0, size));
    c.in.erase(0, size);
    c.head_since = c.in.empty() ? 0 : now();
    const int wake = wake_.number();
    c.exchange = std::make_shared<Exchange>(std::move(request), [wake] {
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = ::write(wake, &one, sizeof one);
    });
    handler(c.exchange);
  } catch (const Refusal& refusal) {
    c.refuse(refusal.status(), refusal.what());
  }
}

void Server::send(Connection& c) {
  for (;;) {
    if (!c.is_sending()) {
      c.out.clear(), c.sent = 0;
      if (c.closes) return finish(c);
      if (c.exchange) c.out = c.exchange->take(kPiece);
      if (c.out.empty()) break;
    }
    const ssize_t went =
        ::send(c.socket.number(), c.out.data() + c.sent, c.out.size() - c.sent, MSG_NOSIGNAL);
    if (went < 0) {
      if (!would_wait(errno)) c.die();
      return;
    }
    c.sent += size_t(went), c.since = now();
  }
  if (!c.exchange || !c.exchange->is_over()) return;
  if (!c.exchange->keeps_open()) return finish(c);
  c.exchange.reset();
  if (!c.in.empty()) c.head_since = now();
}

/// Says that nothing more will come. Closing at once, with bytes of the client unread, would take from it what it has
/// not read yet.
void Server::finish(Connection& c) {
  if (c.exchange && c.exchange->was_cut()) return c.die();  // closed at once it is an error for the client
  c.exchange.reset(), c.in.clear(), c.closes = true, c.drains_since = now();
  shutdown(c.socket.number(), SHUT_WR);
}

void Server::drain(Connection& c) {
  char piece[4096];
  const ssize_t got = recv(c.socket.number(), piece, sizeof piece, 0);
  if (got == 0 || (got < 0 && !would_wait(errno))) c.die();
}

/// What can be done for a connection now, without waiting.
void Server::serve(Connection& c, short events, const Handler& handler) {
  if (c.drains_since > 0) {
    if (events) drain(c);
    return;
  }
  const bool answering = c.exchange || c.closes;
  if ((events & (POLLERR | POLLHUP | POLLNVAL)) || (answering && (events & POLLRDHUP))) return c.die();
  if (!answering && (events & POLLIN)) read(c);
  // Requests may come one behind the other; each is answered before the next one is looked at.
  while (!c.is_dead) {
    if (!c.exchange && !c.closes) answer_next(c, handler);
    if (!c.exchange && !c.closes) return;
    send(c);
    if (c.exchange || c.closes) return;
  }
}

/// Ends the connections of clients that take too long.
void Server::close_late(double time) {
  for (Connection& c : connections_) {
    const double quiet = time - c.since;
    if (c.drains_since > 0) {
      if (time - c.drains_since > kDraining) c.die();
    } else if (c.is_sending() ? quiet > limits_.sending : c.is_idle() && quiet > limits_.idle) {
      c.die();
    } else if (!c.exchange && !c.closes && c.head_since > 0 && time - c.head_since > limits_.head) {
      c.refuse(408, "the request did not arrive in time");
      send(c);
    }
  }
}

void Server::run(const Handler& handler, const std::function<bool()>& stop) {
  constexpr int kMilliseconds = 100;
  std::vector<pollfd> waited;
  while (!stop()) {
    const short listening = now() < deaf_until_ ? 0 : POLLIN;
    waited = {{listener_.number(), listening, 0}, {wake_.number(), POLLIN, 0}};
    for (const Connection& c : connections_) waited.push_back({c.socket.number(), c.events(), 0});
    if (poll(waited.data(), waited.size(), kMilliseconds) > 0) {
      uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(wake_.number(), &count, sizeof count);
      size_t i = 2;
      for (Connection& c : connections_) serve(c, waited[i++].revents, handler);
      if (waited[0].revents) accept_all();
    }
    close_late(now());
    connections_.remove_if([](const Connection& c) { return c.is_dead; });
  }
  for (Connection& c : connections_) c.die();
  connections_.clear();
}

}  // namespace ito::apps
