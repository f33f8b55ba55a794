#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ito {

/// body(i) for i in 0..count-1 on up to `threads` threads, each taking the next i when it is free (files
/// differ in size). Results must go to places chosen by i. The first exception stops the rest and is thrown
/// here.
template <class Body>
void parallel_for(size_t count, int threads, const Body& body) {
  std::atomic<size_t> next{0};
  std::exception_ptr problem;
  std::mutex problem_mutex;
  const auto work = [&] {
    try {
      for (size_t i = next++; i < count; i = next++) body(i);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(problem_mutex);
      if (!problem) problem = std::current_exception();
      next = count;
    }
  };
  const size_t helpers = std::min(count, size_t(std::max(threads, 1))) - (count > 0 ? 1 : 0);
  std::vector<std::thread> team;
  for (size_t i = 0; i < helpers; ++i) team.emplace_back(work);
  work();
  for (std::thread& member : team) member.join();
  if (problem) std::rethrow_exception(problem);
}

/// Makes `count` things on several threads and takes them in order, `chunk` at a time, on the caller's
/// thread: make(i) as in parallel_for, take(c) once chunk c is whole. At most two chunks are under way, so
/// that a slot of chunk c may be used again by chunk c + 2. No thread waits for the end of a chunk.
template <class Make, class Take>
class OrderedWork {
 public:
  OrderedWork(size_t count, size_t chunk, const Make& make, const Take& take)
      : count_(count), chunk_(chunk), make_(make), take_(take) {
    for (size_t c = 0; c < kSlots; ++c) left_[c] = size_of(c);
  }

  /// The first exception stops the rest and is thrown here.
  void run(int threads) {
    std::vector<std::thread> team;
    for (size_t i = 1; i < std::min(count_, size_t(std::max(threads, 1))); ++i)
      team.emplace_back([&] { work(false); });
    work(true);
    for (std::thread& member : team) member.join();
    if (problem_) std::rethrow_exception(problem_);
  }

 private:
  static constexpr size_t kSlots = 2;

  size_t size_of(size_t c) const { return std::min(chunk_, count_ - std::min(count_, c * chunk_)); }
  bool can_take() const { return left_[taken_ % kSlots] == 0; }
  bool can_make() const { return next_ < count_ && next_ / chunk_ < taken_ + kSlots; }
  /// Nothing is left, for the caller's thread or for another.
  bool is_done(bool caller) const {
    return problem_ || (caller ? taken_ * chunk_ >= count_ : next_ >= count_);
  }

  void work(bool caller) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!is_done(caller)) {
      if (caller && can_take())
        take_one(lock);
      else if (can_make())
        make_one(lock);
      else
        changed_.wait(lock);
    }
  }

  void take_one(std::unique_lock<std::mutex>& lock) {
    if (!unlocked(lock, [&] { take_(taken_); })) return;
    left_[taken_ % kSlots] = size_of(taken_ + kSlots);
    ++taken_;
    changed_.notify_all();
  }

  void make_one(std::unique_lock<std::mutex>& lock) {
    const size_t i = next_++;
    if (!unlocked(lock, [&] { make_(i); })) return;
    if (--left_[i / chunk_ % kSlots] == 0) changed_.notify_all();
  }

  /// False if body threw.
  template <class Body>
  bool unlocked(std::unique_lock<std::mutex>& lock, const Body& body) {
    lock.unlock();
    std::exception_ptr problem;
    try {
      body();
    } catch (...) {
      problem = std::current_exception();
    }
    lock.lock();
    if (!problem) return true;
    if (!problem_) problem_ = problem;
    changed_.notify_all();
    return false;
  }

  const size_t count_, chunk_;
  const Make& make_;
  const Take& take_;
  std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  size_t next_ = 0, taken_ = 0;  // things begun, chunks taken
  size_t left_[kSlots];          // things to be made of the chunk in a slot
  std::exception_ptr problem_;
};

/// `requested`, or every core there is for 0.
inline int thread_count(int requested) {
  return requested > 0 ? requested : int(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace ito
