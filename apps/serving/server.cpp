#include "apps/serving/server.h"

#include <algorithm>

#include "apps/serving/connection.h"
#include "kernels/base/file.h"

namespace ito::apps {

namespace {

constexpr size_t kPiece = 64 << 10;  // bytes that a connection takes from its answer at a time
constexpr size_t kSpare = 8;         // threads for connections that are refused or just ending
constexpr int kMilliseconds = 100;   // between two looks at who has left and whether to stop
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
    explicit Queue(httplib::ThreadPool& pool) : threads(pool) {}
    void enqueue(std::function<void()> task) override { threads.enqueue(std::move(task)); }
    void shutdown() override {}
    httplib::ThreadPool& threads;
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
