#include "apps/serving/http_request.h"
#include "apps/studio/face_query.h"
#include "fuzz_target.h"

/// What any program may send to ./studio: a request of HTTP, and the query of its address.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace ito;
  using namespace ito::apps;
  return fuzz::only_errors([&] {
    const std::string_view text = fuzz::text_of(bytes, size);
    const size_t head = head_bytes(text);
    fuzz::expect(head <= size && head <= kMostHeadBytes, "a head is within what came");
    if (head == 0) return;
    const HttpRequest request = parse_head(text.substr(0, head));
    fuzz::expect(request.path.substr(0, 1) == "/" && request.fields.size() <= kMostFields,
                 "a request is bounded");
    fuzz::expect(request.field("host") != nullptr, "a request has a Host");
    check_origin(request, "studio.lan", false);
    const FaceQuery query = parse_face_query(request.query, request.path == "/image.png");
    fuzz::expect(query.pictures >= 1 && query.pictures <= size_t(kMostFaces), "pictures are bounded");
    fuzz::expect(query.request.sampler.steps.value_or(1) <= kMostStepsAsked, "steps are bounded");
    const SampleRequest& asked = query.request;
    fuzz::expect(asked.run.empty() && asked.checkpoint.empty() && asked.guidance.guide.empty() &&
                     asked.noise.empty() && asked.npy.empty() && asked.out.empty(),
                 "no path comes from a request");
  });
}
