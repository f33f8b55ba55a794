#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "data/drawn_faces.h"
#include "kernels/error.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// A line on a terminal that is written over, ten times a second; silent into a file.
class ProgressLine {
 public:
  void show(uint64_t done, uint64_t total) {
    if (first_ == kNone) first_ = done - 1;
    if (!terminal_ || (done < total && seconds_since(shown_) < 0.1)) return;
    shown_ = Clock::now();
    const double elapsed = seconds_since(start_), rate = double(done - first_) / std::max(elapsed, 1e-9);
    std::fprintf(stderr, "\r\033[K%llu of %llu faces, %.0f a second, %.0f s left", (unsigned long long)done,
                 (unsigned long long)total, rate, double(total - done) / rate);
    if (done == total) std::fprintf(stderr, "\r\033[K");
    std::fflush(stderr);
  }

 private:
  static constexpr uint64_t kNone = ~uint64_t(0);
  const bool terminal_ = isatty(STDERR_FILENO);
  const Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
  uint64_t first_ = kNone;
};

int make_faces(const std::string& folder, int64_t count, int64_t seed, int threads) {
  if (count < 1) ito::fail(ito::cat("--count ", count, ": give the number of faces, 1 or more"));
  if (seed < 0) ito::fail(ito::cat("--seed ", seed, ": give a number of 0 or more"));
  if (threads < 0) ito::fail(ito::cat("--threads ", threads, ": give 1 or more, or 0 for all cores"));
  ProgressLine line;
  const Clock::time_point start = Clock::now();
  ito::data::FaceSetOptions options;
  options.count = uint64_t(count);
  options.seed = uint64_t(seed);
  options.threads = threads;
  options.progress = [&](uint64_t done, uint64_t total) { line.show(done, total); };
  const ito::data::FaceSetResult result = ito::data::write_face_set(folder, options);
  const double elapsed = seconds_since(start);
  std::printf("%s: %lld faces of seed %lld", folder.c_str(), (long long)count, (long long)seed);
  if (result.kept > 0) std::printf(", %llu stood there already", (unsigned long long)result.kept);
  if (result.drawn > 0)
    std::printf(", %llu drawn in %.1f s (%.0f a second)", (unsigned long long)result.drawn, elapsed,
                double(result.drawn) / std::max(elapsed, 1e-9));
  std::printf("\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Draws a set of faces in CelebA's format: pictures, attributes and splits.");
  std::string folder;
  int64_t count = 10000;
  int64_t seed = 0;
  int threads = 0;
  app.add_option("DIR", folder, "where the set goes: a new or empty folder, or a set to extend")->required();
  app.add_option("--count", count, "how many faces")->capture_default_str();
  app.add_option("--seed", seed, "which faces: the same seed draws the same bytes")->capture_default_str();
  app.add_option("--threads", threads, "0: one for each core")->capture_default_str();
  try {
    app.parse(argc, argv);
    return make_faces(folder, count, seed, threads);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "make_faces: %s (usage: make_faces DIR [--count N] [--seed S] [--threads N])\n",
                 error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_faces: %s\n", error.what());
  }
  return 1;
}
