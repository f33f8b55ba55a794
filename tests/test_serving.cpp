#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
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
int parsing(const std::string& text) {
  return status_of([&] { parse_head(text); });
}

TEST_CASE("a request is its path, its query and its fields") {
  const HttpRequest r = parse_head(head("/grid?seed=5&a=%20", "HOST:  localhost:80 \r\nAccept: a, b\r\n"));
  CHECK(r.path == "/grid");
  CHECK(r.query == "seed=5&a=%20");
  CHECK(*r.field("host") == "localhost:80");
  CHECK(*r.field("accept") == "a, b");
  CHECK(r.field("origin") == nullptr);
  CHECK(r.keeps_open);
  CHECK_FALSE(parse_head(head("/", "Host: a\r\nConnection: Close\r\n")).keeps_open);
  CHECK_FALSE(parse_head("GET / HTTP/1.0\r\nHost: a\r\n\r\n").keeps_open);
}

TEST_CASE("what is no request is refused") {
  CHECK(parsing("POST / HTTP/1.1\r\nHost: a\r\n\r\n") == 405);
  CHECK(parsing("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n") == 405);
  CHECK(parsing("GET / HTTP/2.0\r\nHost: a\r\n\r\n") == 505);
  CHECK(parsing(head("/", "Host: a\r\nContent-Length: 3\r\n")) == 413);
  CHECK(parsing(head("/", "Host: a\r\nTransfer-Encoding: chunked\r\n")) == 413);
  CHECK(parsing(head("/", "Host: a\r\nContent-Length: 0\r\n")) == 0);
  CHECK(parsing(head("/" + std::string(5000, 'a'))) == 414);
  CHECK(parsing(head("/", "")) == 400);                           // no Host
  CHECK(parsing(head("/", "Host: a\r\nhost: b\r\n")) == 400);     // two
  CHECK(parsing(head("/", "Host: a\r\n folded: x\r\n")) == 400);  // a field that goes on in the next line
  CHECK(parsing(head("/", "Host: a\r\nbad name: x\r\n")) == 400);
  CHECK(parsing(head("/", "Host: a\nb\r\n")) == 400);
  CHECK(parsing(head("*")) == 400);
  CHECK(parsing(head("http://a/")) == 400);
  CHECK(parsing(head("/\xc3\xa9")) == 400);
  std::string many = "Host: a\r\n";
  for (size_t i = 0; i < kMostFields; ++i) many += "a: b\r\n";
  CHECK(parsing(head("/", many)) == 431);
  const std::string one = head("/a");
  CHECK(head_bytes(one + one) == one.size());
  CHECK(head_bytes(one.substr(0, one.size() - 1)) == 0);
  CHECK(status_of([] { head_bytes(std::string(kMostHeadBytes, 'a')); }) == 431);
}

TEST_CASE("by a name that is not this machine's, or from another page, nothing is answered") {
  const auto asks = [](const std::string& fields, bool opens_page = false) {
    return status_of([&] { check_origin(parse_head(head("/", fields)), "studio.lan", opens_page); });
  };
  for (const char* host :
       {"localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:80", "[::1]:8080", "10.0.0.7", "studio.lan:1"})
    CHECK(asks(std::string("Host: ") + host + "\r\n") == 0);
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "",
                           "a@localhost", "localhost:x", "[::1", "0x7f000001"}) {
    CAPTURE(host);
    CHECK(asks(std::string("Host: ") + host + "\r\n") == 403);
  }
  CHECK(asks("Host: localhost:8\r\nOrigin: http://localhost:8\r\n") == 0);
  CHECK(asks("Host: localhost:8\r\nOrigin: http://localhost:9\r\n") == 403);
  CHECK(asks("Host: localhost:8\r\nOrigin: null\r\n") == 403);
  CHECK(asks("Host: localhost\r\nSec-Fetch-Site: same-origin\r\n") == 0);
  CHECK(asks("Host: localhost\r\nSec-Fetch-Site: none\r\n") == 0);
  CHECK(asks("Host: localhost\r\nSec-Fetch-Site: same-site\r\n") == 403);
  CHECK(asks("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n") == 403);
  CHECK(asks("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", true) == 0);  // a link to the page
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
  first.send(head("/a")), second.send(head("/b"));
  CHECK(has(first.read_until("/a!"), "/a!"));
  CHECK(has(second.read_until("/b!"), "/b!"));
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
