#include "apps/serving/http_request.h"
#include "apps/studio/face_query.h"
#include "fuzz_target.h"

namespace {

/// The text up to the next end of line, which is taken off it.
std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

}  // namespace

/// What any program may send to ./studio, of what is read here: a first line with the query, then the fields Host,
/// Origin and Sec-Fetch-Site, a line each as far as there are any.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  using namespace ito::apps;
  std::string_view text = fuzz::text_of(bytes, size);
  HttpRequest request;
  request.path = "/grid", request.query = take_line(text);
  for (const char* name : {"host", "origin", "sec-fetch-site"})
    if (!text.empty()) request.fields.emplace_back(name, take_line(text));
  fuzz::only_errors([&] { check_origin(request, "studio.lan", false); });
  for (const bool one : {false, true})
    fuzz::only_errors([&] {
      const FaceQuery query = parse_face_query(request.query, one);
      fuzz::expect(query.pictures >= 1 && query.pictures <= size_t(kMostFaces), "pictures are bounded");
      fuzz::expect(query.request.sampler.steps.value_or(1) <= kMostStepsAsked, "steps are bounded");
      const SampleRequest& asked = query.request;
      fuzz::expect(asked.run.empty() && asked.checkpoint.empty() && asked.guidance.guide.empty() &&
                       asked.noise.empty() && asked.npy.empty() && asked.out.empty(),
                   "no path comes from a request");
    });
  return 0;
}
