#pragma once

#include <condition_variable>
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

  explicit Exchange(HttpRequest request) : request_(std::move(request)) {}
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
  /// Waits until the answer has begun. False: the client has left.
  bool await();
  /// Of an answer that has begun; whole: by answer().
  int status() const;
  std::string type() const;
  Fields fields() const;
  bool is_whole() const;
  /// Up to so many bytes to send, no longer kept here. It waits for some; none: there are no more.
  std::string take(size_t most);
  /// The answer has ended as it should, and all of it has been taken.
  bool is_over() const;
  /// The client has left.
  void leave();

 private:
  bool start(int status, const std::string& type, const Fields& fields);

  const HttpRequest request_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int status_ = 0;
  std::string type_, out_;
  Fields fields_;
  bool begun_ = false, whole_ = false, ended_ = false, cut_ = false, gone_ = false;
  std::function<void()> when_gone_, when_sent_;
};

}  // namespace ito::apps
