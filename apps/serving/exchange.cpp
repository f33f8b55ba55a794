#include "apps/serving/exchange.h"

namespace ito::apps {

/// What every answer begins with; the caller has the lock. False: there is one already, or no client to take it.
bool Exchange::start(int status, const std::string& type, const Fields& fields) {
  if (begun_ || gone_) return false;
  begun_ = true;
  status_ = status, type_ = type, fields_ = fields;
  return true;
}

void Exchange::answer(int status, const std::string& type, std::string_view body, const Fields& fields) {
  {
    const std::lock_guard lock(mutex_);
    if (!start(status, type, fields)) return;
    whole_ = ended_ = true;
    out_ = body;
  }
  changed_.notify_all();
}

void Exchange::refuse(int status, const std::string& sentence) {
  if (!begun()) return answer(status, "text/plain; charset=utf-8", sentence + "\n");
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = cut_ = true;
  }
  changed_.notify_all();
}

void Exchange::begin(int status, const std::string& type, const Fields& fields) {
  {
    const std::lock_guard lock(mutex_);
    if (!start(status, type, fields)) return;
  }
  changed_.notify_all();
}

void Exchange::write(std::string_view piece) {
  {
    const std::lock_guard lock(mutex_);
    if (!begun_ || ended_ || gone_) return;
    out_ += piece;
  }
  changed_.notify_all();
}

void Exchange::end() {
  {
    const std::lock_guard lock(mutex_);
    if (!begun_ || ended_ || gone_) return;
    ended_ = true;
  }
  changed_.notify_all();
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

bool Exchange::await() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return begun_ || gone_; });
  return !gone_;
}

int Exchange::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

std::string Exchange::type() const {
  const std::lock_guard lock(mutex_);
  return type_;
}

Exchange::Fields Exchange::fields() const {
  const std::lock_guard lock(mutex_);
  return fields_;
}

bool Exchange::is_whole() const {
  const std::lock_guard lock(mutex_);
  return whole_;
}

std::string Exchange::take(size_t most) {
  std::string taken;
  std::function<void()> action;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !out_.empty() || ended_ || gone_; });
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
  return ended_ && !cut_ && out_.empty();
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
  changed_.notify_all();
  if (action) action();
}

}  // namespace ito::apps
