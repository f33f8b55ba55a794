#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/base/error.h"
#include "tests/socket_wire.h"

/// Ranks as forked processes, for tests:
///   const std::vector<std::string> texts = run_ranks(4, [](kernels::Wire& wire) { ...; return std::string(...); });
/// A failed CHECK, an exception or a signal in a child fails the test that called, with its text.
namespace ito::tests {

/// How a forked rank ended: what its body returned, or what went wrong.
struct RankEnd {
  bool failed = true;
  std::string text;
};

namespace forked {

/// Counts the assertions of doctest that fail in this process.
class FailureCounter : public doctest::IReporter {
 public:
  explicit FailureCounter(const doctest::ContextOptions&) {}
  inline static int count = 0;

  void log_assert(const doctest::AssertData& data) override { count += data.m_failed; }
  void log_message(const doctest::MessageData& data) override {
    count += (data.m_severity & (doctest::assertType::is_check | doctest::assertType::is_require)) != 0;
  }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
inline const bool kCounts = (doctest::registerReporter<FailureCounter>("forked_ranks", 1, false), true);

/// A child's process and the pipe on which it reports.
struct Child {
  pid_t process;
  int report;
  std::string text;  // 'r' and its result, or 'e' and what went wrong; empty: it ended without either
};

/// Whether this process has no thread but this one: others do not go along in a fork, and what waits for them never
/// ends. ThreadSanitizer has one of its own.
inline void refuse_threads() {
#if !defined(__SANITIZE_THREAD__)
  const std::filesystem::directory_iterator threads("/proc/self/task");
  if (std::distance(begin(threads), end(threads)) > 1)
    fail(
        "ranks are forked before this process has other threads, such as those of a CpuStream with more than "
        "one");
#endif
}

template <class Body>
std::string report_of(int rank, std::vector<int> sockets, double seconds, Body& body) {
  const std::ostringstream console;  // doctest's text of what fails, which the parent shows
  std::streambuf* const shown = std::cout.rdbuf(console.rdbuf());
  std::string result, wrong;
  try {
    SocketWire wire(rank, std::move(sockets), seconds);
    if constexpr (std::is_void_v<std::invoke_result_t<Body&, kernels::Wire&>>)
      body(wire);
    else
      result = body(wire);
  } catch (const std::exception& e) {
    wrong = e.what();
  } catch (...) {
    if (FailureCounter::count == 0) wrong = "an exception of an unknown type";  // else: REQUIRE's
  }
  std::cout.rdbuf(shown);
  if (FailureCounter::count > 0) wrong += (wrong.empty() ? "" : "\n") + console.str();
  return wrong.empty() ? "r" + result : "e" + wrong;
}

template <class Body>
Child start(int rank, const std::vector<std::vector<int>>& sockets, double seconds, Body& body) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail(cat("no pipe to a rank: ", std::strerror(errno)));
  const pid_t parent = getpid(), child = fork();
  if (child < 0) fail(cat("no process for a rank: ", std::strerror(errno)));
  if (child > 0) {
    close(ends[1]);
    return {child, ends[0], ""};
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  for (size_t other = 0; other < sockets.size(); ++other)
    for (const int socket : sockets[other])
      if (other != size_t(rank) && socket >= 0) close(socket);
  FailureCounter::count = 0;
  const std::string text = report_of(rank, sockets[size_t(rank)], seconds, body);
  std::fflush(stdout);
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t count = write(ends[1], text.data() + sent, text.size() - sent);
    if (count < 0 && errno != EINTR) _exit(1);
    if (count > 0) sent += size_t(count);
  }
  _exit(text[0] != 'r');
}

/// Reads all reports to their ends; false: that took longer than the limit.
inline bool read_reports(std::vector<Child>& children, double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (;;) {
    std::vector<pollfd> waits;
    for (const Child& child : children) waits.push_back({child.report, POLLIN, 0});  // one of -1 is ignored
    if (std::all_of(waits.begin(), waits.end(), [](const pollfd& wait) { return wait.fd < 0; })) return true;
    if (std::chrono::steady_clock::now() > end) return false;
    poll(waits.data(), waits.size(), 100);
    for (size_t i = 0; i < children.size(); ++i) {
      if (waits[i].revents == 0) continue;
      char text[65536];
      const ssize_t count = read(children[i].report, text, sizeof text);
      if (count > 0) children[i].text.append(text, size_t(count));
      if (count == 0) close(std::exchange(children[i].report, -1));
    }
  }
}

inline RankEnd end_of(Child& child, bool late) {
  if (child.report >= 0) {
    kill(child.process, SIGKILL);
    close(child.report);
  }
  int status = 0;
  while (waitpid(child.process, &status, 0) < 0 && errno == EINTR) {
  }
  if (child.report >= 0 && late) return {true, "it did not end in time and was killed"};
  if (!child.text.empty()) return {child.text[0] != 'r', child.text.substr(1)};
  if (WIFSIGNALED(status)) return {true, cat("signal ", WTERMSIG(status), " ended it")};
  return {true, cat("it ended with exit status ", WEXITSTATUS(status))};
}

}  // namespace forked

struct RankLimits {
  double seconds = 60;       // for all of it; what still runs then is killed
  double wire_seconds = 20;  // that a call of the wire waits for another rank
};

/// Runs body(wire) in `ranks` forked processes, and waits for them. body returns a text or nothing. This process must
/// have no other threads (a CpuStream of one thread starts none). For tests of what goes wrong; others use run_ranks.
template <class Body>
std::vector<RankEnd> ends_of_ranks(int ranks, Body body, const RankLimits& limits = {}) {
  forked::refuse_threads();
  std::vector<std::vector<int>> sockets(size_t(ranks), std::vector<int>(size_t(ranks), -1));
  for (size_t a = 0; a < size_t(ranks); ++a)
    for (size_t b = 0; b < a; ++b) {
      int ends[2];
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        fail(cat("no sockets between ranks: ", std::strerror(errno)));
      sockets[a][b] = ends[0], sockets[b][a] = ends[1];
    }
  std::cout.flush();  // what is in its buffer would come once from each process
  std::fflush(nullptr);
  std::vector<forked::Child> children;
  for (int rank = 0; rank < ranks; ++rank)
    children.push_back(forked::start(rank, sockets, limits.wire_seconds, body));
  for (const std::vector<int>& of : sockets)
    for (const int socket : of)
      if (socket >= 0) close(socket);
  const bool late = !forked::read_reports(children, limits.seconds);
  std::vector<RankEnd> ends;
  for (forked::Child& child : children) ends.push_back(forked::end_of(child, late));
  return ends;
}

/// What body(wire) returned on each of `ranks` forked processes. Fails the test that calls it where one of them fails.
template <class Body>
std::vector<std::string> run_ranks(int ranks, Body body, const RankLimits& limits = {}) {
  std::vector<std::string> texts;
  std::string wrong;
  const std::vector<RankEnd> ends = ends_of_ranks(ranks, std::move(body), limits);
  for (size_t rank = 0; rank < ends.size(); ++rank) {
    texts.push_back(ends[rank].text);
    if (ends[rank].failed) wrong += cat("\nrank ", rank, " of ", ranks, ": ", ends[rank].text);
  }
  if (!wrong.empty()) FAIL(wrong);
  return texts;
}

}  // namespace ito::tests
