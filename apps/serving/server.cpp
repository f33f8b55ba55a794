#include "apps/serving/server.h"

#include <httplib.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <optional>

#include "kernels/base/clock.h"
#include "kernels/base/file.h"

namespace ito::apps {

namespace {

constexpr size_t kPiece = 64 << 10;  // bytes that a connection takes from its answer at a time
constexpr size_t kSpare = 8;         // threads for connections that are refused or just ending
constexpr double kDraining = 2;      // seconds for a client to close what is closed here
constexpr double kHurry = 0.2;       // the same where threads are short
constexpr int kMilliseconds = 100;   // between two looks at who has left and whether to stop
constexpr std::string_view kRange = "range:";
constexpr const char* kText = "text/plain; charset=utf-8";

/// With every answer: a page of another origin neither reads nor embeds it, and what this one may do is listed.
const httplib::Headers kAlways = {
    {"Cache-Control", "no-store"},
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
     "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Referrer-Policy", "no-referrer"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"}};

bool would_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

/// False: none of the events until that time of now(). An error, or the other side's end, counts as one.
bool wait_for(int socket, short events, double until) {
  for (;;) {
    const double left = std::max(until - now(), 0.0);
    pollfd waited{socket, events, 0};
    const int found = poll(&waited, 1, int(left * 1000) + 1);
    if (found > 0 || (found < 0 && errno != EINTR)) return true;
    if (left <= 0) return false;
  }
}

/// A value that has an end of line would begin another field.
std::string in_one_line(std::string value) {
  std::replace_if(
      value.begin(), value.end(), [](unsigned char c) { return c < 32 || c == 127; }, '?');
  return value;
}

/// The request as far as it is answered. Refusal: another method than GET; a body; an address that is too long or is no
/// path; not exactly one Host.
HttpRequest request_of(const httplib::Request& asked) {
  if (asked.method != "GET") throw Refusal(405, "only GET is answered here");
  const std::string& target = asked.target;
  if (target.size() > kMostTargetBytes)
    throw Refusal(414, cat("the address is longer than ", kMostTargetBytes, " bytes"));
  const bool printable = std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 127; });
  if (target.empty() || target[0] != '/' || !printable)
    throw Refusal(400, "the address must be a path that begins with / and is percent-encoded");
  const bool has_length =
      asked.has_header("Content-Length") && asked.get_header_value("Content-Length") != "0";
  if (has_length || asked.has_header("Transfer-Encoding")) throw Refusal(413, "a request has no body here");
  if (asked.get_header_value_count("Host") != 1) throw Refusal(400, "the request must have one Host");
  HttpRequest request;
  const size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  request.query = target.substr(std::min(question + 1, target.size()));
  for (const auto& [name, value] : asked.headers) request.fields.emplace_back(in_lower_case(name), value);
  return request;
}

/// What is wrong where the library itself refuses a request.
Refusal refusal_of(int status) {
  if (status == 414) return {414, cat("the address is longer than ", kMostTargetBytes, " bytes")};
  if (status == 400) return {400, "this is no request of HTTP/1.1"};
  return {status, "the request cannot be answered"};
}

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
  bool has_left() const {
    pollfd looked{socket(), POLLRDHUP, 0};
    return poll(&looked, 1, 0) > 0;
  }

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
  std::array<char, 4096> in_;
  size_t begin_ = 0, end_ = 0;  // of in_, what has not been read
  size_t taken_ = 0;            // bytes of a head
  size_t matched_ = 0;          // of kRange, by the line's beginning; all of it: no more of that line is
  double head_since_ = 0;       // its first byte
  bool broken_off_ = false, lost_ = false;
};

/// Waits for bytes: of a head no longer than it may take as a whole, else no longer than a connection may be idle.
void Connection::fill() {
  const double until = taken_ > 0 ? head_since_ + limits_.head : now() + limits_.idle;
  while (!lost_) {
    if (!wait_for(socket(), POLLIN, until)) {
      if (taken_ > 0)
        refusal.emplace(408, "the request did not arrive in time");
      else
        lost_ = true;
      return;
    }
    const ssize_t got = recv(socket(), in_.data(), in_.size(), MSG_DONTWAIT);
    if (got > 0) {
      begin_ = 0, end_ = size_t(got), idle_since = 0;
      return;
    }
    lost_ = got == 0 || !would_wait(errno);
  }
}

/// Makes a field of this name one that means nothing: answers are given whole. The library takes a Range apart by a
/// regular expression, whose recursion takes more than 4 MiB of the stack for one of 8 kB.
void Connection::hide_range(char* bytes, size_t count) {
  for (char* c = bytes; c != bytes + count; ++c) {
    if (*c == '\n') {
      matched_ = 0;
    } else if (matched_ < kRange.size() && (*c | 0x20) == kRange[matched_]) {  // in lower case
      if (++matched_ == kRange.size()) *c = '-';
    } else {
      matched_ = kRange.size();
    }
  }
}

/// A head that is given up ends with a line that the library refuses, so that the answer is written like any other.
ssize_t Connection::read(char* to, size_t size) {
  if (!refusal && taken_ == kMostHeadBytes)
    refusal.emplace(431, cat("the request's head is longer than ", kMostHeadBytes, " bytes"));
  if (!refusal && begin_ == end_) fill();
  if (lost_ || size == 0) return -1;
  if (refusal) {
    if (std::exchange(broken_off_, true)) return -1;
    *to = '\n';
    return 1;
  }
  if (taken_ == 0) head_since_ = now();
  const size_t count = std::min({size, end_ - begin_, kMostHeadBytes - taken_});
  std::copy_n(in_.data() + begin_, count, to);
  hide_range(to, count);
  begin_ += count, taken_ += count;
  return ssize_t(count);
}

ssize_t Connection::write(const char* bytes, size_t size) {
  while (!lost_) {
    const ssize_t went = send(socket(), bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (went >= 0) return went;
    lost_ = !would_wait(errno) || !wait_for(socket(), POLLOUT, now() + limits_.sending);
  }
  return -1;
}

/// Says that nothing more will come, and drops what does. Closing at once, with bytes of the client unread, would take
/// from it what it has not read yet.
void Connection::drain() {
  const double until = now() + (ends ? kHurry : kDraining);
  idle_since = now();
  shutdown(socket(), SHUT_WR);
  ssize_t got = 1;
  while (got != 0 && wait_for(socket(), POLLIN, until)) {
    got = recv(socket(), in_.data(), in_.size(), MSG_DONTWAIT);
    if (got < 0 && !would_wait(errno)) return;
  }
}

/// Of this thread.
thread_local Connection* current = nullptr;

/// The answer to a refused request, complete: neither the library's ranges nor its compression looks at it.
void refuse(const Refusal& refusal, httplib::Response& res) {
  res.status = refusal.status();
  if (res.status == 405) res.set_header("Allow", "GET");
  res.body = cat(refusal.what(), "\n");
  res.set_header("Content-Type", kText);
}

/// Pieces as they are drawn.
httplib::ContentProviderWithoutLength pieces_of(std::shared_ptr<Exchange> exchange) {
  return [exchange = std::move(exchange)](size_t, httplib::DataSink& sink) {
    const std::string piece = exchange->take(kPiece);
    if (!piece.empty()) return sink.write(piece.data(), piece.size());
    if (!exchange->is_over()) return false;  // cut off, or the client has left
    sink.done();
    return true;
  };
}

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

/// The library's server with a connection loop of its own: the library's gives each byte its own time, sees a client's
/// leaving only when it writes, and waits for idle clients when it ends.
struct Server::Http : httplib::Server {
  explicit Http(const ServerLimits& asked);
  ~Http() override;

  void bind(const std::string& host, int port);
  void serve_until(const std::function<bool()>& stop);

  const ServerLimits limits;
  int port = 0;
  apps::Server::Handler handler;

 private:
  /// A connection in the list, as long as it is served.
  struct Entry {
    Entry(Http& http, Connection& c);
    ~Entry();
    Http& http;
    Connection& c;
  };
  /// The threads outlive a listener that has failed.
  struct Queue : httplib::TaskQueue {
    explicit Queue(httplib::ThreadPool& pool) : pool_(pool) {}
    void enqueue(std::function<void()> task) override { pool_.enqueue(std::move(task)); }
    void shutdown() override {}
    httplib::ThreadPool& pool_;
  };

  bool process_and_close_socket(socket_t number) override;
  void converse(Connection&);
  void look_at(Connection&, httplib::Request&) const;
  void answer(Connection&, const httplib::Request&, httplib::Response&);
  void end_exchange(Connection&);
  bool make_room();
  void listen_on();
  void notice_leavers();
  void end_all();

  std::mutex mutex_, handling_;
  std::list<Connection*> connections_;
  std::atomic<bool> ending_ = false;
  Descriptor listener_;  // the library closes its own where accepting fails
};

Server::Http::Http(const ServerLimits& asked) : limits(asked) {
  set_tcp_nodelay(true);
  set_socket_options([](socket_t socket) {  // the library's let two programs share a port
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  set_default_headers(kAlways);
  set_keep_alive_timeout(time_t(limits.idle));
  set_keep_alive_max_count(1'000'000);  // only announced
  // Everything is answered before the library's routes, whose regular expressions recurse for each byte of a path.
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& res) {
    answer(*current, request, res);
    return HandlerResponse::Handled;
  });
  set_error_handler(HandlerWithResponse([](const httplib::Request&, httplib::Response& res) {
    Connection& c = *current;
    if (c.routed) return HandlerResponse::Unhandled;
    c.closes = true;
    refuse(c.refusal ? *c.refusal : refusal_of(res.status), res);
    res.set_header("Connection", "close");
    res.set_header("Content-Length", cat(res.body.size()));
    return HandlerResponse::Unhandled;  // or else it would be packed as its head asks
  }));
}

Server::Http::~Http() {
  if (svr_sock_ != INVALID_SOCKET) ::close(svr_sock_);
}

void Server::Http::bind(const std::string& host, int asked) {
  errno = 0;
  port = asked == 0 ? bind_to_any_port(host) : bind_to_port(host, asked) ? asked : -1;
  const int error = errno;
  // The library's queue of clients to accept is short, and those that do not fit come back after a second.
  if (port >= 0 && ::listen(svr_sock_, SOMAXCONN) == 0) {
    listener_ = Descriptor(dup(svr_sock_));
    return;
  }
  const std::string why = error ? reason_of(error) : "it has no address here";
  const bool taken = error == EADDRINUSE || error == EACCES;
  fail_advising(
      cat("port ", asked, " of ", host, " cannot be listened at: ", why),
      taken ? Advice{"another {port}", "{port} 0, which takes a free one"} : Advice{"another {host}"});
}

Server::Http::Entry::Entry(Http& h, Connection& connection) : http(h), c(connection) {
  const std::lock_guard lock(http.mutex_);
  if (http.ending_) c.lose();
  const auto open = std::count_if(http.connections_.begin(), http.connections_.end(),
                                  [](const Connection* other) { return !other->ends; });
  if (size_t(open) >= http.limits.connections && !http.make_room()) {
    c.refusal.emplace(503,
                      cat("there are ", http.limits.connections, " connections already; try again later"));
    c.ends = true;  // it does not count
  }
  http.connections_.push_back(&c);
}

Server::Http::Entry::~Entry() {
  http.end_exchange(c);
  const std::lock_guard lock(http.mutex_);
  http.connections_.remove(&c);
}

void Server::Http::end_exchange(Connection& c) {
  std::shared_ptr<Exchange> done;
  {
    const std::lock_guard lock(mutex_);
    done.swap(c.exchange);
  }
  if (done && !done->is_over()) done->leave();
}

/// Closes the connection that has been idle for the longest time. False: all are busy.
bool Server::Http::make_room() {
  Connection* oldest = nullptr;
  for (Connection* c : connections_)
    if (!c->ends && c->idle_since > 0 && (!oldest || c->idle_since < oldest->idle_since)) oldest = c;
  if (!oldest) return false;
  oldest->ends = true;
  oldest->cut();
  return true;
}

bool Server::Http::process_and_close_socket(socket_t number) {
  Connection c(number, limits);
  try {
    const Entry entry(*this, c);
    current = &c;
    converse(c);
  } catch (const std::exception&) {  // of memory, for example: this client's connection ends
  }
  current = nullptr;
  return true;
}

void Server::Http::converse(Connection& c) {
  bool closed = false;
  while (!c.closes && !closed) {
    c.begin_head();
    const bool sent = process_request(c, false, closed, [&](httplib::Request& asked) { look_at(c, asked); });
    end_exchange(c);
    if (!sent) return;  // closed at once it is an error for the client, where an answer was cut off
  }
  c.drain();
}

/// A complete head, before it is answered: what the library must not act upon is taken out.
void Server::Http::look_at(Connection& c, httplib::Request& asked) const {
  try {
    if (!c.refusal) c.asked = request_of(asked);
  } catch (const Refusal& refusal) {
    c.refusal = refusal;
  }
  // Answers come as they are; no body is read, so that no client has to wait for leave to send it.
  for (const char* name : {"Accept-Encoding", "Expect"}) asked.headers.erase(name);
  if (c.refusal || in_lower_case(asked.get_header_value("Connection")).find("close") != std::string::npos) {
    c.closes = true;
    asked.headers.erase("Connection");
    asked.headers.emplace("Connection", "close");
  }
}

/// Has the request answered, and waits until there is something to send.
void Server::Http::answer(Connection& c, const httplib::Request& asked, httplib::Response& res) {
  c.routed = true;
  if (c.refusal) return refuse(*c.refusal, res);
  const auto exchange = std::make_shared<Exchange>(std::move(*c.asked));
  {
    const std::lock_guard lock(mutex_);
    c.exchange = exchange;
    if (ending_) c.lose();
  }
  {
    const std::lock_guard lock(handling_);
    if (!ending_) handler(exchange);
  }
  if (ending_) exchange->leave();
  if (!exchange->await()) {
    c.lose();
    res.status = 503;
    return;
  }
  res.status = exchange->status();
  for (const auto& [name, value] : exchange->fields()) res.set_header(name, in_one_line(value));
  if (exchange->is_whole())
    res.set_content(exchange->take(std::string::npos), exchange->type());
  else if (asked.version == "HTTP/1.0")  // which knows no chunks
    res.set_content_provider(exchange->type(), pieces_of(exchange));
  else
    res.set_chunked_content_provider(exchange->type(), pieces_of(exchange));
}

/// Of requests that are being answered: nothing is drawn for clients that do not wait.
void Server::Http::notice_leavers() {
  std::vector<std::shared_ptr<Exchange>> left;
  {
    const std::lock_guard lock(mutex_);
    for (const Connection* c : connections_)
      if (c->exchange && c->has_left()) {
        left.push_back(c->exchange);
        c->cut();
      }
  }
  for (const auto& exchange : left) exchange->leave();
}

void Server::Http::end_all() {
  std::vector<std::shared_ptr<Exchange>> left;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    if (is_running() && svr_sock_ != INVALID_SOCKET) stop();
    for (const Connection* c : connections_) {
      if (c->exchange) left.push_back(c->exchange);
      c->cut();
    }
  }
  for (const auto& exchange : left) exchange->leave();
}

/// Accepts clients until the end. The library takes some errors of accept() for the end, such as a full table of files.
void Server::Http::listen_on() {
  while (!ending_) {
    listen_after_bind();
    if (ending_) return;
    usleep(kMilliseconds * 1000);
    svr_sock_ = dup(listener_.number());
  }
}

void Server::Http::serve_until(const std::function<bool()>& stop) {
  httplib::ThreadPool pool(limits.connections + kSpare);
  new_task_queue = [&pool] { return new Queue(pool); };
  std::atomic<bool> accepts = true;
  std::thread accepting([&] {
    listen_on();
    accepts = false;
  });
  while (!stop()) {
    notice_leavers();
    usleep(kMilliseconds * 1000);
  }
  while (accepts) {  // it may be between two steps of beginning to listen
    end_all();
    usleep(1000);
  }
  accepting.join();
  end_all();
  pool.shutdown();
}

Server::Server(const std::string& host, int port, const ServerLimits& limits)
    : http_(std::make_unique<Http>(limits)) {
  http_->bind(host, port);
}

Server::~Server() = default;

int Server::port() const { return http_->port; }

void Server::run(const Handler& handler, const std::function<bool()>& stop) {
  http_->handler = handler;
  http_->serve_until(stop);
}

}  // namespace ito::apps
