#include <iostream>

#include "apps/console/live_line.h"
#include "apps/console/number_text.h"
#include "apps/console/program.h"
#include "apps/console/stopping.h"
#include "data/faces/drawn_faces.h"
#include "kernels/base/clock.h"

namespace ito::apps {
namespace {

/// What is asked of ./make_faces.
struct Request {
  std::string folder;
  int64_t count = 10000;
  uint64_t seed = 0;
  data::FaceLayout layout = data::FaceLayout::official;
  int threads = 0;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(
      o.folder,
      Field("folder", "where the set goes: a new or empty folder, or a set to extend").as("DIR").required());
  visit(o.count, Field("count", "how many faces", from(1).to(data::kMostFaces)));
  visit(o.seed, Field("seed", "which faces: the same seed draws the same bytes", kAnySeed));
  visit(o.layout, Field("layout", "how CelebA's files lie"));
  visit(o.threads, Field("threads", "0: one for each core", kThreads));
}

int make_faces(const Request& f) {
  data::FaceSetOptions options;
  options.count = uint64_t(f.count);
  options.seed = f.seed;
  options.layout = f.layout;
  options.threads = f.threads;
  LiveLine line;
  const double start = now();
  uint64_t first = 0;
  options.progress = [&](uint64_t done, uint64_t total) {
    stop_if_interrupted("the same command goes on with the drawing");
    if (!first) first = done;
    const double each = (now() - start) / double(done - first + 1);
    line.show(cat(done, " of ", total, " faces   ", duration(each * double(total - done)), " left"));
  };
  const data::FaceSetResult result = data::write_face_set(f.folder, options);
  line.end();
  const double elapsed = now() - start;
  std::cout << f.folder << ": " << thousands(f.count) << " faces of seed " << f.seed;
  if (result.kept) std::cout << ", " << thousands(int64_t(result.kept)) << " were there already";
  if (result.drawn)
    std::cout << ", " << thousands(int64_t(result.drawn)) << " drawn in " << duration(elapsed) << " ("
              << int64_t(double(result.drawn) / std::max(elapsed, 1e-9)) << " a second)";
  std::cout << "\n";
  return 0;
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  ito::apps::catch_interrupts();
  return ito::apps::run_program<ito::apps::Request>(
      "Draws a set of faces in CelebA's format: pictures and lists.", argc, argv, ito::apps::make_faces,
      ito::apps::kExitCodes);
}
