#include "apps/serving/connection.h"

#include <poll.h>

#include <algorithm>

namespace ito::apps {

namespace {

constexpr double kDraining = 2;  // seconds for a client to close what is closed here
constexpr double kHurry = 0.2;   // the same where threads are short
constexpr std::string_view kRange = "range:";

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

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

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

bool Connection::has_left() const {
  pollfd looked{socket(), POLLRDHUP, 0};
  return poll(&looked, 1, 0) > 0;
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

}  // namespace ito::apps
