#include "apps/serving/exchange.h"

#include <algorithm>

namespace ito::apps {

namespace {

/// With every answer: a page of another origin neither reads nor embeds it, and what this one may do is listed.
constexpr const char* kAlways =
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: "
    "blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n";
constexpr const char* kText = "text/plain; charset=utf-8";

std::string first_lines(int status, const std::string& type) {
  return cat("HTTP/1.1 ", status, " ", phrase_of(status), "\r\nContent-Type: ", type, "\r\n",
             status == 405 ? "Allow: GET\r\n" : "", kAlways);
}

std::string hexadecimal(size_t value) {
  std::ostringstream text;
  text << std::hex << value;
  return text.str();
}

}  // namespace

const char* phrase_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Internal Server Error";
  }
}

std::string refusal_text(int status, const std::string& sentence) {
  return cat(first_lines(status, kText), "Connection: close\r\nContent-Length: ", sentence.size() + 1,
             "\r\n\r\n", sentence, "\n");
}

std::string Exchange::head(int status, const std::string& type, const Fields& fields) const {
  std::string text = first_lines(status, type);
  for (const auto& [name, value] : fields) {
    std::string line = value;
    // A value that has an end of line would begin another field.
    std::replace_if(
        line.begin(), line.end(), [](unsigned char c) { return c < 32 || c == 127; }, '?');
    text += cat(name, ": ", line, "\r\n");
  }
  return text + (request_.keeps_open ? "" : "Connection: close\r\n");
}

void Exchange::answer(int status, const std::string& type, std::string_view body, const Fields& fields) {
  {
    const std::lock_guard lock(mutex_);
    if (begun_ || gone_) return;
    begun_ = ended_ = true;
    out_ = cat(head(status, type, fields), "Content-Length: ", body.size(), "\r\n\r\n", body);
  }
  wake_();
}

void Exchange::refuse(int status, const std::string& sentence) {
  if (!begun()) return answer(status, kText, sentence + "\n");
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = cut_ = true;
  }
  wake_();
}

void Exchange::begin(int status, const std::string& type, const Fields& fields) {
  const std::lock_guard lock(mutex_);
  if (begun_ || gone_) return;
  begun_ = true;
  out_ = head(status, type, fields) + (request_.takes_chunks ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
}

void Exchange::write(std::string_view piece) {
  if (piece.empty()) return;  // an empty chunk is the end
  {
    const std::lock_guard lock(mutex_);
    if (!begun_ || ended_ || gone_) return;
    if (request_.takes_chunks)
      out_ += cat(hexadecimal(piece.size()), "\r\n", piece, "\r\n");
    else
      out_ += piece;
  }
  wake_();
}

void Exchange::end() {
  {
    const std::lock_guard lock(mutex_);
    if (!begun_ || ended_ || gone_) return;
    ended_ = true;
    if (request_.takes_chunks) out_ += "0\r\n\r\n";
  }
  wake_();
}

bool Exchange::begun() const {
  const std::lock_guard lock(mutex_);
  return begun_;
}

bool Exchange::is_gone() const {
  const std::lock_guard lock(mutex_);
  return gone_;
}

size_t Exchange::unsent() const {
  const std::lock_guard lock(mutex_);
  return out_.size();
}

void Exchange::when_gone(std::function<void()> action) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_) {
      when_gone_ = std::move(action);
      return;
    }
  }
  action();
}

void Exchange::when_sent(std::function<void()> action) {
  const std::lock_guard lock(mutex_);
  when_sent_ = std::move(action);
}

std::string Exchange::take(size_t most) {
  std::string taken;
  std::function<void()> action;
  {
    const std::lock_guard lock(mutex_);
    if (out_.size() <= most) {
      taken.swap(out_);
    } else {
      taken = out_.substr(0, most);
      out_.erase(0, most);
    }
    if (!taken.empty()) action = when_sent_;
  }
  if (action) action();
  return taken;
}

bool Exchange::is_over() const {
  const std::lock_guard lock(mutex_);
  return ended_ && out_.empty();
}

bool Exchange::keeps_open() const {
  const std::lock_guard lock(mutex_);
  return request_.keeps_open && !cut_;
}

bool Exchange::was_cut() const {
  const std::lock_guard lock(mutex_);
  return cut_;
}

void Exchange::leave() {
  std::function<void()> action;
  {
    const std::lock_guard lock(mutex_);
    if (gone_) return;
    gone_ = true;
    out_.clear();
    action.swap(when_gone_);
    when_sent_ = nullptr;
  }
  if (action) action();
}

}  // namespace ito::apps
