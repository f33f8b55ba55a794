#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <functional>
#include <map>

#include "kernels/base/clock.h"
#include "program.h"
#include "small_run.h"

/// ./studio as programs and browsers see it: its pictures are ./sample's, byte for byte.
namespace ito {
namespace {

namespace fs = std::filesystem;
using namespace tests;

/// ./studio on a free port, with a small model of its own.
class Program {
 public:
  Program() {
    SmallRun().train_until(2, folder_ / "run");
    id_ = start([&] {
      fs::current_path(folder_.path());
      const std::string line =
          "exec " ITO_APP_DIR "/studio --run run --port 0 --threads 1 >out.txt 2>err.txt";
      execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    });
    const std::string mark = "http://127.0.0.1:";
    for (int i = 0; i < 3000 && !contains(out(), "Ctrl-C ends it"); ++i) usleep(10'000);
    CAPTURE(io::read_file(folder_ / "err.txt"));
    REQUIRE(contains(out(), mark));
    port_ = std::stoi(out().substr(out().find(mark) + mark.size()));
  }
  ~Program() {
    if (id_ > 0) stop(SIGKILL);
  }
  int stop(int signal) {
    kill(id_, signal);
    return wait_for(std::exchange(id_, 0));
  }
  std::string out() const {
    return fs::exists(folder_ / "out.txt") ? io::read_file(folder_ / "out.txt") : std::string();
  }
  const fs::path& folder() const { return folder_.path(); }
  int port() const { return port_; }

 private:
  TempFolder folder_{memory_folder()};
  pid_t id_ = 0;
  int port_ = 0;
};

class Connection {
 public:
  explicit Connection(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET, to.sin_port = htons(uint16_t(port)), to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  }
  ~Connection() { close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void send(const std::string& target, const std::string& fields = "Connection: close\r\n") {
    const std::string text = "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n";
    ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
  }
  /// All that comes, until `part` is in it or the end.
  std::string read(const std::string& part = {}) {
    char piece[4096];
    while (part.empty() || !contains(text_, part)) {
      const ssize_t got = recv(socket_, piece, sizeof piece, 0);
      if (got <= 0) break;
      text_.append(piece, size_t(got));
    }
    return text_;
  }

 private:
  int socket_;
  std::string text_;
};

struct Answer {
  int status = 0;
  std::string head, body;

  std::string field(const std::string& name) const {
    const size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

Answer get(int port, const std::string& target, const std::string& fields = "") {
  Connection connection(port);
  connection.send(target, "Connection: close\r\n" + fields);
  const std::string text = connection.read();
  const size_t end = text.find("\r\n\r\n");
  REQUIRE(end != std::string::npos);
  return {std::stoi(text.substr(9, 3)), text.substr(0, end + 2), text.substr(end + 4)};
}

/// The bytes of a picture that ./sample writes by an answer's command.
std::string drawn_by(const Program& studio, const Answer& answer, const std::string& file) {
  const std::string command = answer.field("Ito-Command");
  CAPTURE(command);
  REQUIRE(command.rfind("./sample ", 0) == 0);
  const Ended made = run_program(studio.folder(), command.substr(2) + " --threads 1 --out drawn");
  CAPTURE(made.err);
  REQUIRE(made.code == 0);
  const std::string bytes = io::read_file(studio.folder() / "drawn" / file);
  fs::remove_all(studio.folder() / "drawn");
  return bytes;
}

TEST_CASE("./studio: pictures and their commands, refusals, cancelled requests, the end") {
  Program studio;
  const int port = studio.port();
  const auto body = [&](const std::string& target, const std::string& fields = "") {
    const Answer a = get(port, target, fields);
    return cat(a.status, " ", a.body);
  };

  SUBCASE("a picture's bytes are those of ./sample") {
    const std::pair<const char*, const char*> asked[] = {
        {"seed=5&sampler=heun&steps=3", "000005.png"},
        {"seed=7&sampler=ancestral&steps=2&chunk=8", "000007.png"},
        {"seed=18446744073709551615", "18446744073709551615.png"},
        {"variations=3&spread=0.25&number=2&sampler=ddim&steps=2", "000002.png"},
        {"interpolate=3,9&count=4&number=1&sampler=ddim&steps=2&chunk=2", "000001.png"}};
    for (const auto& [query, file] : asked) {
      CAPTURE(query);
      const Answer first = get(port, std::string("/image.png?") + query);
      CHECK(first.status == 200);
      CHECK(first.field("Content-Type") == "image/png");
      CHECK(contains(first.field("Content-Disposition"), file));
      CHECK(drawn_by(studio, first, file) == first.body);
      CHECK(get(port, std::string("/image.png?") + query).body == first.body);
    }
  }
  SUBCASE("a grid comes line by line, with states on the way") {
    const std::string lines = get(port, "/grid?seed=2&count=3&steps=4&sampler=heun&states=2&chunk=2").body;
    for (const char* part : {"{\"command\":\"./sample --sampler heun", "\"state\":0", "\"state\":1",
                             "\"seed\":\"2\"", "\"seed\":\"3\"", "\"file\":\"000004.png\"", "\"done\":true"})
      CHECK_MESSAGE(contains(lines, part), part);
    CHECK(contains(body("/model.json"), "\"samplers\":[{"));
    CHECK(contains(body("/"), "<title>Ito studio</title>"));
    CHECK(contains(body("/page.css"), "--paper"));
    CHECK(contains(body("/page.js"), "use strict"));
  }
  SUBCASE("what cannot be drawn is refused with a sentence") {
    CHECK(contains(body("/image.png?seed=x"), "400 seed must be a whole number"));
    CHECK(contains(body("/image.png?attr=Smiling"), "400 the model was trained without attributes"));
    CHECK(contains(body("/image.png?class=1"), "400 "));
    CHECK(contains(body("/image.png?guidance=2"), "400 "));
    CHECK(contains(body("/image.png?sampler=rk45&steps=3"), "400 the sampler rk45 chooses its steps itself"));
    CHECK(contains(body("/grid?sampler=rk45&states=3"), "400 states are those after steps"));
    CHECK(contains(body("/grid?sampler=euler-maruyama&steps=1000&corrector=9"), "400 an image would take"));
    CHECK(contains(body("/grid?interpolate=3"), "400 "));
    CHECK(contains(body("/grid?spread=0.5"), "400 "));
    CHECK(contains(body("/../etc/passwd"), "404 there is nothing here"));
    CHECK(contains(body("/?a=b"), "400 / takes no parameters"));
    CHECK(contains(body("/image.png?seed=1", "Origin: http://evil.example\r\n"), "403 "));
    CHECK(contains(body("/image.png?seed=1", "Sec-Fetch-Site: cross-site\r\n"), "403 "));
  }
  SUBCASE("a newer request of a page takes the older one's place, and one whose client left is not drawn") {
    const std::string endless = "/grid?count=64&sampler=heun&steps=1000&chunk=1&client=page&slot=grid";
    Connection old(port), other(port);
    old.send(endless);
    CHECK(contains(old.read("\"command\""), "200 OK"));
    {
      Connection leaves(port);
      leaves.send("/grid?count=64&sampler=heun&steps=1000&client=gone");
    }
    const double begin = now();
    CHECK(get(port, "/image.png?seed=1&sampler=ddim&steps=1&client=page&slot=grid").status == 200);
    CHECK(now() - begin < 10);
    CHECK_FALSE(contains(old.read(), "\"done\""));  // cut off
  }
  SUBCASE("Ctrl-C ends it with open connections, at once") {
    Connection idle(port), drawing(port);
    drawing.send("/grid?count=64&sampler=heun&steps=1000");
    usleep(200'000);
    const double begin = now();
    CHECK(studio.stop(SIGINT) == 0);
    CHECK(now() - begin < 3);  // one, on a machine that does nothing else
    CHECK(contains(studio.out(), "ended"));
  }
}

TEST_CASE("./studio: a port that is taken") {
  const TempFolder folder;
  const Ended ended = run_program(
      folder.path(), "studio --checkpoint " ITO_SOURCE_DIR "/data/drawn_model --port 1 --host 192.0.2.1");
  CHECK(ended.code == 1);
  CHECK(contains(ended.err, "port 1 of 192.0.2.1 cannot be listened at: "));
  CHECK(contains(ended.err, "try another --"));
}

}  // namespace
}  // namespace ito
