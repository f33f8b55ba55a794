#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ito::data {

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

/// `requested`, or every core there is for 0.
inline int thread_count(int requested) {
  return requested > 0 ? requested : int(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace ito::data
