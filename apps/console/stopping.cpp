#include "apps/console/stopping.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>

namespace ito::apps {

namespace {

constexpr int64_t kSameKeystroke = 200;  // milliseconds

// Globals, since a signal handler can reach nothing else.
std::atomic<int64_t> asked_at = 0;      // milliseconds; 0: not asked to stop
std::string acknowledgement;            // made before signals are caught
std::atomic<bool> acknowledges = true;  // by the handler
static_assert(std::atomic<int64_t>::is_always_lock_free);

int64_t milliseconds() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000 + 1;
}

/// Standard error may be closed; the work is saved all the same.
void write_acknowledgement() {
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, acknowledgement.data(), acknowledgement.size());
}

void on_signal(int signal) {
  const int error = errno;
  const int64_t time = milliseconds();
  int64_t first = 0;
  if (asked_at.compare_exchange_strong(first, time)) {
    if (acknowledges) write_acknowledgement();
  } else if (signal != SIGHUP && signal != SIGUSR1 && time - first > kSameKeystroke) {
    // `timeout` and shells send one signal twice, and a closing terminal sends SIGHUP after others.
    _exit(130);
  }
  errno = error;
}

}  // namespace

void catch_interrupts(const char* meanwhile) {
  acknowledgement =
      cat(isatty(STDERR_FILENO) ? "\n" : "", "stopping: ", meanwhile, "; Ctrl-C again ends at once\n");
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGHUP}) {
    struct sigaction before {};
    // A signal that nohup, or a script that started this in the background, ignores stays ignored.
    if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
      sigaction(signal, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

void acknowledge_later() { acknowledges = false; }

void acknowledge_stop(int milliseconds_ago) {
  static std::atomic<bool> written = false;
  const int64_t asked = asked_at;
  if (asked == 0 || milliseconds() - asked < milliseconds_ago || written.exchange(true)) return;
  write_acknowledgement();
}

bool interrupted() { return asked_at.load(std::memory_order_relaxed) != 0; }

void stop(const std::string& outcome) {
  throw Stopped("stopped by a signal: " + outcome, cat(__FILE__, ":", __LINE__));
}

void stop_if_interrupted(const std::string& outcome) {
  if (interrupted()) stop(outcome);
}

}  // namespace ito::apps
