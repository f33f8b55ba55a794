#include <iostream>

#include "apps/app_main.h"
#include "data/drawn_faces.h"
#include "kernels/base/clock.h"
#include "kernels/base/error.h"

namespace ito::apps {
namespace {

struct Flags {
  std::string folder, layout = "official";
  int64_t count = 10000, seed = 0;
  int threads = 0;
};

int make_faces(const Flags& f) {
  if (f.count < 1) fail(cat("--count ", f.count, ": give the number of faces, 1 or more"));
  if (f.seed < 0) fail(cat("--seed ", f.seed, ": give a number of 0 or more"));
  if (f.threads < 0) fail(cat("--threads ", f.threads, ": give 1 or more, or 0 for all cores"));
  data::FaceSetOptions options;
  options.count = uint64_t(f.count);
  options.seed = uint64_t(f.seed);
  options.layout = data::parse_face_layout(f.layout);
  options.threads = f.threads;
  LiveLine line;
  const double start = now();
  uint64_t first = 0;
  options.progress = [&](uint64_t done, uint64_t total) {
    if (!first) first = done;
    const double each = (now() - start) / double(done - first + 1);
    line.show(cat(done, " of ", total, " faces   ", duration(each * double(total - done)), " left"));
  };
  const data::FaceSetResult result = data::write_face_set(f.folder, options);
  line.end();
  const double elapsed = now() - start;
  std::cout << f.folder << ": " << thousands(f.count) << " faces of seed " << f.seed;
  if (result.kept) std::cout << ", " << thousands(int64_t(result.kept)) << " stood there already";
  if (result.drawn)
    std::cout << ", " << thousands(int64_t(result.drawn)) << " drawn in " << duration(elapsed) << " ("
              << int64_t(double(result.drawn) / std::max(elapsed, 1e-9)) << " a second)";
  std::cout << "\n";
  return 0;
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  CLI::App app{"Draws a set of faces in CelebA's format: pictures and lists.", "make_faces"};
  ito::apps::Flags f;
  app.add_option("DIR", f.folder, "where the set goes: a new or empty folder, or a set to extend")
      ->required();
  app.add_option("--count", f.count, "how many faces")->capture_default_str();
  app.add_option("--seed", f.seed, "which faces: the same seed draws the same bytes")->capture_default_str();
  app.add_option("--layout", f.layout, "how CelebA's files lie: " + ito::data::face_layout_names())
      ->capture_default_str();
  app.add_option("--threads", f.threads, "0: one for each core")->capture_default_str();
  return ito::apps::run_program(app, argc, argv, [&] { return ito::apps::make_faces(f); });
}
