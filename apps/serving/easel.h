#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <string>

namespace ito::apps {

/// Work for the engine that is done piece by piece, such as images chunk by chunk.
class Painting {
 public:
  virtual ~Painting() = default;
  /// Does the next piece; false where it was the last. It throws nothing, and looks at is_cancelled() on its way.
  virtual bool paint() = 0;
  /// False while the client has not taken what there is already.
  virtual bool may_go_on() const { return true; }
  /// A newer one of the same client has taken its place.
  virtual void replaced() {}

  void cancel() { cancelled_ = true; }
  bool is_cancelled() const { return cancelled_; }

 private:
  std::atomic<bool> cancelled_ = false;
};

/// Shares the one engine: clients take turns, a piece each, and so do the paintings of a client. A client's new
/// painting for a slot cancels the older one there. Where there is no painting, nothing runs.
class Easel {
 public:
  /// Any thread. Client and slot are names; no slot: it replaces nothing.
  void add(const std::string& client, const std::string& slot, std::shared_ptr<Painting> painting);
  /// Any thread: a painting was cancelled, or may go on.
  void wake();
  /// Any thread: run() returns after the piece under way, which is cancelled.
  void stop();
  /// Paints until stop(), on the thread that may use the engine.
  void run();
  /// Paintings that are not done.
  size_t waiting() const;

 private:
  struct Place {
    std::string slot;
    std::shared_ptr<Painting> painting;
  };
  struct Client {
    std::string name;
    std::list<Place> places;  // the next one first
  };
  std::shared_ptr<Painting> next();
  void remove(const Painting* done);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Client> clients_;  // the next one first
  std::shared_ptr<Painting> painted_;
  bool stopped_ = false;
};

}  // namespace ito::apps
