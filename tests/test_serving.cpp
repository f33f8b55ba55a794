#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "apps/serving/easel.h"
#include "apps/serving/server.h"
#include "kernels/base/clock.h"

/// HTTP and turns at the engine, without a model: requests, origins, connections, and paintings that are none.
namespace ito::apps {
namespace {

std::string head(const std::string& target, const std::string& fields = "Host: localhost\r\n") {
  return "GET " + target + " HTTP/1.1\r\n" + fields + "\r\n";
}

/// The status with which f() refuses; 0 where it does not.
int status_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Refusal& refusal) {
    CHECK(std::string(refusal.what()).size() > 10);
    return refusal.status();
  }
  return 0;
}

/// Host, and another field if there is one.
HttpRequest with_fields(const std::string& host, const std::string& name = "",
                        const std::string& value = "") {
  HttpRequest request;
  request.fields = {{"host", host}};
  if (!name.empty()) request.fields.emplace_back(name, value);
  return request;
}

TEST_CASE("by a name that is not this machine's, or from another page, nothing is answered") {
  const auto asks = [](const HttpRequest& request, bool opens_page = false) {
    return status_of([&] { check_origin(request, "studio.lan", opens_page); });
  };
  for (const char* host :
       {"localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:80", "[::1]:8080", "10.0.0.7", "studio.lan:1"})
    CHECK(asks(with_fields(host)) == 0);
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "",
                           "a@localhost", "localhost:x", "[::1", "0x7f000001"}) {
    CAPTURE(host);
    CHECK(asks(with_fields(host)) == 403);
  }
  CHECK(asks(HttpRequest()) == 403);
  CHECK(asks(with_fields("localhost:8", "origin", "http://localhost:8")) == 0);
  CHECK(asks(with_fields("localhost:8", "origin", "http://localhost:9")) == 403);
  CHECK(asks(with_fields("localhost:8", "origin", "null")) == 403);
  CHECK(asks(with_fields("localhost", "sec-fetch-site", "same-origin")) == 0);
  CHECK(asks(with_fields("localhost", "sec-fetch-site", "none")) == 0);
  CHECK(asks(with_fields("localhost", "sec-fetch-site", "same-site")) == 403);
  CHECK(asks(with_fields("localhost", "sec-fetch-site", "cross-site")) == 403);
  CHECK(asks(with_fields("localhost", "sec-fetch-site", "cross-site"), true) == 0);  // a link to the page
}

/// A server on a free port, in a thread of its own.
class Running {
 public:
  explicit Running(Server::Handler handler, const ServerLimits& limits = {})
      : server_("127.0.0.1", 0, limits), thread_([this, handler = std::move(handler)] {
          server_.run(handler, [this] { return ends_.load(); });
        }) {}
  ~Running() { end(); }
  void end() {
    ends_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int port() const { return server_.port(); }

 private:
  std::atomic<bool> ends_ = false;
  Server server_;
  std::thread thread_;
};

/// A connection to it.
class Client {
 public:
  explicit Client(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET, to.sin_port = htons(uint16_t(port)), to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(socket_.number(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  }
  void send(const std::string& text) { ::send(socket_.number(), text.data(), text.size(), MSG_NOSIGNAL); }
  /// What comes until `part` is in it, the end, or a second without anything.
  std::string read_until(const std::string& part = "\n\n\n") {
    pollfd waited{socket_.number(), POLLIN, 0};
    while (text_.find(part) == std::string::npos && poll(&waited, 1, 5000) > 0) {
      char piece[4096];
      const ssize_t got = recv(socket_.number(), piece, sizeof piece, 0);
      ended_ = got <= 0;
      if (ended_) break;
      text_.append(piece, size_t(got));
    }
    return text_;
  }
  bool ended() {
    read_until();
    return ended_;
  }

 private:
  Descriptor socket_;
  std::string text_;
  bool ended_ = false;
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void answer_path(const std::shared_ptr<Exchange>& e) {
  e->answer(200, "text/plain", e->request().path + "!");
}

TEST_CASE("a connection carries one request after the other, also where they come at once or in pieces") {
  Running server(answer_path);
  Client client(server.port());
  client.send(head("/one") + head("/two") + head("/three").substr(0, 9));
  CHECK(has(client.read_until("/two!"), "/one!"));
  client.send(head("/three").substr(9));
  const std::string text = client.read_until("/three!");
  CHECK(has(text, "/three!"));
  CHECK(has(text, "X-Content-Type-Options: nosniff\r\n"));
  CHECK(has(text, "Cross-Origin-Resource-Policy: same-origin\r\n"));
  CHECK(has(text, "Content-Security-Policy: default-src 'none';"));
  CHECK_FALSE(has(text, "Access-Control"));
}

TEST_CASE("what is no request is answered with a sentence, and the connection ends") {
  Running server(answer_path);
  Client client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + std::string(5000, 'x'));
  CHECK(client.ended());
  CHECK(has(client.read_until(), "HTTP/1.1 405 Method Not Allowed\r\n"));
  CHECK(has(client.read_until(), "Allow: GET\r\n"));
  CHECK(has(client.read_until(), "only GET is answered here\n"));
}

TEST_CASE("a request is its path and its query as they came, and its fields by names in lower case") {
  std::promise<HttpRequest> asked;
  Running server([&](const std::shared_ptr<Exchange>& e) {
    asked.set_value(e->request());
    answer_path(e);
  });
  Client client(server.port());
  client.send(head("/gr%69d?seed=5&a=%20+", "HOST:  localhost:80 \r\nAccept: a, b\r\nConnection: Close\r\n"));
  CHECK(client.ended());
  CHECK(has(client.read_until(), "Connection: close\r\n"));
  const HttpRequest r = asked.get_future().get();
  CHECK(r.path == "/gr%69d");
  CHECK(r.query == "seed=5&a=%20+");
  CHECK(*r.field("host") == "localhost:80");
  CHECK(*r.field("accept") == "a, b");
  CHECK(r.field("origin") == nullptr);
}

TEST_CASE("every refusal is a status, one sentence of plain text, and the end of the connection") {
  Running server(answer_path);
  const auto answered = [&](const std::string& text) {
    Client client(server.port());
    client.send(text);
    CHECK(client.ended());
    const std::string answer = client.read_until();
    CHECK(has(answer, "Connection: close\r\n"));
    CHECK(has(answer, "Content-Type: text/plain; charset=utf-8\r\n"));
    CHECK(has(answer, "X-Content-Type-Options: nosniff\r\n"));
    CHECK(answer.substr(0, 9) == "HTTP/1.1 ");
    const std::string sentence = answer.substr(answer.find("\r\n\r\n") + 4);
    CHECK(sentence.size() > 10);
    CHECK(sentence.find('\n') == sentence.size() - 1);
    return std::stoi(answer.substr(9, 3));
  };
  const auto asked = [&](const std::string& fields) { return answered(head("/", fields)); };
  CHECK(answered("POST / HTTP/1.1\r\nHost: a\r\n\r\n") == 405);
  CHECK(answered("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n") == 405);
  CHECK(answered("GET / HTTP/2.0\r\nHost: a\r\n\r\n") == 400);
  CHECK(answered("BREW / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
  CHECK(answered("\r\n\r\n") == 400);
  CHECK(answered(std::string("GET /\0 HTTP/1.1\r\n\r\n", 19)) == 400);
  CHECK(asked("Host: a\r\nContent-Length: 3\r\n") == 413);
  CHECK(asked("Host: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n") == 413);
  CHECK(asked("Host: a\r\nTransfer-Encoding: chunked\r\n") == 413);
  CHECK(asked("") == 400);                        // no Host
  CHECK(asked("Host: a\r\nhost: b\r\n") == 400);  // two
  CHECK(answered(head("/" + std::string(5000, 'a'))) == 414);
  CHECK(answered(head("/" + std::string(9000, 'a'))) == 431);
  CHECK(asked("Host: a\r\nA: " + std::string(5000, 'a') + "\r\nB: " + std::string(5000, 'a') + "\r\n") ==
        431);
  CHECK(answered(head("*")) == 400);
  CHECK(answered(head("http://a/")) == 400);
  CHECK(answered(head("/\xc3\xa9")) == 400);
}

/// A small stack for new threads, as some systems have it.
class SmallStacks {
 public:
  SmallStacks() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t small = before_;
    pthread_attr_setstacksize(&small, 1 << 20);
    REQUIRE(pthread_setattr_default_np(&small) == 0);
  }
  ~SmallStacks() { pthread_setattr_default_np(&before_); }

 private:
  pthread_attr_t before_{};
};

TEST_CASE("answers are whole and unpacked, whatever is asked for; long heads cost nothing") {
  const SmallStacks stacks;
  Running server(
      [](const std::shared_ptr<Exchange>& e) { e->answer(200, "text/plain", std::string(5000, 'a')); });
  std::string ranges = "Range: bytes=0-";
  while (ranges.size() < 7900) ranges += ",0-";
  for (const std::string& field :
       {ranges, "rANGE: bytes=1" + std::string(7800, '1') + "-", std::string("Range: bytes=1-2"),
        std::string("Range: bytes=5-1"), std::string("Accept-Encoding: gzip, br")}) {
    Client client(server.port());
    const double start = now();
    client.send(head("/", "Host: a\r\nConnection: close\r\n" + field + "\r\n"));
    CHECK(client.ended());
    CHECK(now() - start < 1);
    const std::string answer = client.read_until();
    CHECK(has(answer, "HTTP/1.1 200 OK\r\n"));
    CHECK(has(answer, "\r\n\r\n" + std::string(5000, 'a')));
  }
  Client client(server.port());
  client.send(head("/" + std::string(4000, '/')));
  CHECK(has(client.read_until("aaa"), "HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("a client of HTTP/1.0 gets pieces without chunks") {
  Running server([](const std::shared_ptr<Exchange>& e) {
    e->begin(200, "text/plain");
    e->write("one "), e->write("two"), e->end();
  });
  Client client(server.port());
  client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  CHECK(client.ended());
  CHECK(has(client.read_until(), "\r\n\r\none two"));
  Client newer(server.port());
  newer.send(head("/"));
  CHECK(has(newer.read_until("0\r\n\r\n"), "\r\n0\r\n\r\n"));
}

TEST_CASE("slow clients are given up, and so are those that do not read") {
  Running server(
      [](const std::shared_ptr<Exchange>& e) { e->answer(200, "text/plain", std::string(20 << 20, 'a')); },
      {.head = 0.3, .idle = 0.3, .sending = 0.3});
  Client slow(server.port()), idle(server.port()), deaf(server.port());
  deaf.send(head("/"));
  const double start = now();
  while (now() - start < 1) {  // a byte now and then does not help
    slow.send("G");
    usleep(100'000);
  }
  CHECK(slow.ended());
  CHECK(has(slow.read_until(), "408 Request Timeout"));
  CHECK(idle.ended());
  CHECK(deaf.ended());
}

TEST_CASE("there are so many connections at most: idle ones make room, else the new one is refused") {
  Running server(
      [](const std::shared_ptr<Exchange>& e) {
        if (e->request().path != "/wait") answer_path(e);
      },
      {.connections = 2});
  Client first(server.port()), second(server.port());
  first.send(head("/a"));
  CHECK(has(first.read_until("/a!"), "/a!"));
  usleep(200'000);  // the first is idle for longer
  second.send(head("/b"));
  CHECK(has(second.read_until("/b!"), "/b!"));
  usleep(200'000);
  Client third(server.port());
  third.send(head("/wait"));
  CHECK(first.ended());
  second.send(head("/wait"));
  usleep(200'000);
  Client fourth(server.port());
  CHECK(has(fourth.read_until("again later"), "HTTP/1.1 503 Service Unavailable"));
}

TEST_CASE(
    "an answer comes in pieces from another thread; a client that leaves is noticed; the end waits for no "
    "client") {
  std::promise<std::shared_ptr<Exchange>> began;
  std::promise<void> left;
  Running server([&](const std::shared_ptr<Exchange>& e) {
    if (e->request().path == "/stay") return;  // without an answer
    e->when_gone([&] { left.set_value(); });
    began.set_value(e);
  });
  auto client = std::make_unique<Client>(server.port());
  client->send(head("/"));
  const std::shared_ptr<Exchange> exchange = began.get_future().get();
  exchange->begin(200, "text/plain", {{"Ito-Command", "a\r\nb"}});
  for (const char* piece : {"one\n", "two\n"}) {
    exchange->write(piece);
    CHECK(has(client->read_until(piece), piece));
  }
  CHECK(has(client->read_until("two"), "Ito-Command: a??b\r\n"));
  CHECK_FALSE(exchange->is_gone());
  client.reset();
  CHECK(left.get_future().wait_for(std::chrono::seconds(5)) == std::future_status::ready);
  CHECK(exchange->is_gone());
  exchange->write("three");  // for no client
  CHECK(exchange->unsent() == 0);
  Client stays(server.port());
  stays.send(head("/stay"));
  usleep(100'000);
  const double start = now();
  server.end();
  CHECK(now() - start < 1);
  CHECK(stays.ended());
}

size_t open_files() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

TEST_CASE("64 clients at once: nothing is lost, and descriptors come back") {
  const size_t before = open_files();
  {
    Running server(answer_path);
    std::atomic<int> right = 0;
    std::vector<std::thread> clients;
    for (int c = 0; c < 64; ++c)
      clients.emplace_back([&, c] {
        Client client(server.port());
        for (int i = 0; i < 20; ++i) {
          const std::string path = cat("/", c, "-", i);
          client.send(head(path));
          right += has(client.read_until(path + "!"), path + "!");
        }
      });
    for (std::thread& client : clients) client.join();
    CHECK(right == 64 * 20);
  }
  CHECK(open_files() == before);
}

TEST_CASE("a port that is taken, and a host that is not here, are errors with advice") {
  const Server first("127.0.0.1", 0);
  const auto error = [](const std::string& host, int port) -> std::pair<std::string, Advice> {
    try {
      const Server second(host, port);
    } catch (const Error& e) {
      return {e.what(), e.advice()};
    }
    return {};
  };
  CHECK(has(error("127.0.0.1", first.port()).first, "cannot be listened at"));
  CHECK(error("127.0.0.1", first.port()).second.size() == 2);
  CHECK(has(error("192.0.2.1", 0).first, "cannot be listened at"));
}

/// Writes its name for each piece.
class Letters : public Painting {
 public:
  Letters(std::string& to, std::mutex& mutex, char name, int pieces)
      : to_(to), mutex_(mutex), name_(name), pieces_(pieces) {}
  bool paint() override {
    const std::lock_guard lock(mutex_);
    to_ += name_;
    return --pieces_ > 0;
  }
  bool may_go_on() const override { return !stuck; }
  void replaced() override { was_replaced = true; }

  std::atomic<bool> stuck = false, was_replaced = false;

 private:
  std::string& to_;
  std::mutex& mutex_;
  char name_;
  int pieces_;
};

struct Board {
  Easel easel;
  std::string text;
  std::mutex mutex;
  std::shared_ptr<Letters> letters(char name, int pieces) {
    return std::make_shared<Letters>(text, mutex, name, pieces);
  }
  /// Everything that was written, once nothing is left but what is stuck.
  std::string run(size_t left = 0) {
    std::thread thread([&] { easel.run(); });
    for (int i = 0; i < 5000 && easel.waiting() > left; ++i) usleep(1000);
    easel.stop();
    thread.join();
    return text;
  }
};

TEST_CASE("clients take turns, a piece each, however many paintings one has") {
  Board board;
  for (const char name : {'a', 'b', 'c'})
    board.easel.add("greedy", std::string(1, name), board.letters(name, 3));
  board.easel.add("other", "", board.letters('x', 3));
  CHECK(board.run() == "axbxcxabcabc");
}

TEST_CASE("a newer painting of a slot takes the older one's place; without a slot both are done") {
  Board board;
  const auto old = board.letters('o', 9), other = board.letters('p', 1);
  board.easel.add("one", "grid", old);
  board.easel.add("one", "face", other);
  board.easel.add("two", "grid", board.letters('q', 1));
  board.easel.add("one", "grid", board.letters('n', 2));
  board.easel.add("", "", board.letters('r', 1));
  board.easel.add("", "", board.letters('s', 1));
  CHECK(old->was_replaced);
  CHECK(old->is_cancelled());
  CHECK_FALSE(other->was_replaced);
  CHECK(board.run() == "nqrpsn");
}

TEST_CASE(
    "what its client does not take waits, without holding up others; what is cancelled is not painted") {
  Board board;
  const auto stuck = board.letters('s', 2), dead = board.letters('d', 2);
  stuck->stuck = true;
  board.easel.add("slow", "", stuck);
  board.easel.add("dead", "", dead);
  board.easel.add("other", "", board.letters('x', 2));
  dead->cancel();
  CHECK(board.run(1) == "xx");
}

TEST_CASE("what waits goes on when its client has taken what there was") {
  Board board;
  const auto stuck = board.letters('s', 2);
  stuck->stuck = true;
  board.easel.add("slow", "", stuck);
  std::thread client([&] {
    usleep(50'000);
    stuck->stuck = false;
    board.easel.wake();
  });
  CHECK(board.run() == "ss");
  client.join();
}

/// Paints until it is cancelled.
class Endless : public Painting {
 public:
  bool paint() override {
    begun.set_value();
    while (!is_cancelled()) usleep(1000);
    return false;
  }
  std::promise<void> begun;
};

TEST_CASE("a painting under way is cancelled by a newer one, and by the end") {
  Easel easel;
  std::thread thread([&] { easel.run(); });
  const auto first = std::make_shared<Endless>(), second = std::make_shared<Endless>();
  easel.add("one", "grid", first);
  first->begun.get_future().wait();
  easel.add("one", "grid", second);
  second->begun.get_future().wait();
  CHECK(first->is_cancelled());
  easel.stop();
  thread.join();
  CHECK(second->is_cancelled());
}

}  // namespace
}  // namespace ito::apps
