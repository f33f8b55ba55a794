#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/serving/http_request.h"

namespace ito::apps {

/// One request and its answer, between the thread that serves and the one that draws: any thread may call it. An
/// answer is given once: answer(), or begin(), any number of write() and end(). What comes after the client has left,
/// or after the end, is dropped.
class Exchange {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;

  /// `wake` makes the server look for what there is to send.
  Exchange(HttpRequest request, std::function<void()> wake)
      : request_(std::move(request)), wake_(std::move(wake)) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const HttpRequest& request() const { return request_; }

  void answer(int status, const std::string& type, std::string_view body, const Fields& fields = {});
  /// One sentence as plain text. After begin() the answer is cut off instead, which the client notices.
  void refuse(int status, const std::string& sentence);
  void begin(int status, const std::string& type, const Fields& fields = {});
  void write(std::string_view piece);
  void end();

  bool begun() const;
  /// The client has left, or this program is ending.
  bool is_gone() const;
  /// Bytes that wait to be sent.
  size_t unsent() const;
  /// Called once, as soon as the client has left; at once if it has.
  void when_gone(std::function<void()> action);
  /// Called when the client has taken what waited.
  void when_sent(std::function<void()> action);

  // What follows is the server's.
  /// Up to so many bytes to send, no longer kept here.
  std::string take(size_t most);
  /// Everything has been taken; `keeps_open`: and the connection may carry another request.
  bool is_over() const;
  bool keeps_open() const;
  /// It ended by refuse() after begin().
  bool was_cut() const;
  /// The client has left.
  void leave();

 private:
  std::string head(int status, const std::string& type, const Fields& fields) const;

  const HttpRequest request_;
  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::string out_;
  bool begun_ = false, ended_ = false, cut_ = false, gone_ = false;
  std::function<void()> when_gone_, when_sent_;
};

/// "Not Found" of 404.
const char* phrase_of(int status);

/// A whole answer that closes the connection, for requests that are none.
std::string refusal_text(int status, const std::string& sentence);

}  // namespace ito::apps
