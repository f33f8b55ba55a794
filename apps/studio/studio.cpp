#include "apps/studio/studio.h"

#include <nlohmann/json.hpp>

#include "apps/console/program.h"
#include "engine/io/json_text.h"
#include "kernels/base/base64.h"
#include "kernels/base/clock.h"
#include "model/training/run_page.h"

namespace ito::apps {

namespace {

constexpr const char *kHtml = "text/html; charset=utf-8", *kCss = "text/css; charset=utf-8",
                     *kJs = "text/javascript; charset=utf-8", *kJson = "application/json",
                     *kLines = "application/x-ndjson";
/// Of pictures that a client has not taken: more are drawn when it has.
constexpr size_t kMostUnsent = 4 << 20;

/// What both kinds of answer do in the same way.
class Answer : public Gallery {
 public:
  Answer(std::shared_ptr<Exchange> to, std::string repeats)
      : exchange(std::move(to)), command(std::move(repeats)) {}

  void failed(int status, const std::string& sentence) override { exchange->refuse(status, sentence); }
  void replaced() override { exchange->refuse(409, "a newer request has taken the place of this one"); }
  bool may_go_on() const override { return exchange->unsent() < kMostUnsent; }

 protected:
  const std::shared_ptr<Exchange> exchange;
  const std::string command;
};

/// One picture.
class PngAnswer : public Answer {
 public:
  using Answer::Answer;
  void state(int, int, const std::vector<uint8_t>&) override {}
  void picture(const Picture& p) override {
    const std::string_view bytes(reinterpret_cast<const char*>(p.png.data()), p.png.size());
    exchange->answer(200, "image/png", bytes,
                     {{"Ito-Command", command},
                      {"Content-Disposition", cat("inline; filename=\"", picture_name(p.number), "\"")}});
  }
  void done(const std::vector<std::string>&) override {}
};

/// Lines of JSON. Seeds are texts: a browser's numbers end at 2^53.
class LinesAnswer : public Answer {
 public:
  using Answer::Answer;
  void state(int k, int n, const std::vector<uint8_t>& png) override {
    line({{"state", k}, {"of", n}, {"png", base64(png)}});
  }
  void picture(const Picture& p) override {
    line({{"number", cat(p.number)},
          {"seed", cat(p.seed)},
          {"file", picture_name(p.number)},
          {"png", base64(p.png)}});
  }
  void done(const std::vector<std::string>& notes) override {
    line({{"done", true}, {"seconds", now() - start_}, {"notes", notes}});
    exchange->end();
  }

 private:
  void line(const nlohmann::json& json) {
    if (!exchange->begun()) {
      exchange->begin(200, kLines, {{"Ito-Command", command}});
      exchange->write(io::json_text({{"command", command}}) + "\n");
    }
    exchange->write(io::json_text(json) + "\n");
  }

  double start_ = now();
};

}  // namespace

Studio::Studio(Painter& painter, Easel& easel, std::string host)
    : painter_(painter), easel_(easel), host_(std::move(host)), facts_(model_facts(painter)) {}

void Studio::handle(const std::shared_ptr<Exchange>& exchange) {
  try {
    route(exchange);
  } catch (const Refusal& e) {
    exchange->refuse(e.status(), e.what());
  } catch (const Error& e) {
    exchange->refuse(400, with_flags(e));
  } catch (const std::exception& e) {
    exchange->refuse(500, e.what());
  }
}

void Studio::route(const std::shared_ptr<Exchange>& exchange) {
  const HttpRequest& request = exchange->request();
  check_origin(request, host_, request.path == "/");
  const bool draws = request.path == "/image.png" || request.path == "/grid";
  if (!draws && !request.query.empty()) throw Refusal(400, cat(request.path, " takes no parameters"));
  if (draws) return draw(exchange, request.path == "/image.png");
  if (request.path == "/") return exchange->answer(200, kHtml, page_html());
  if (request.path == "/page.css") return exchange->answer(200, kCss, model::page_style() + page_css());
  if (request.path == "/page.js") return exchange->answer(200, kJs, page_js());
  if (request.path == "/model.json") return exchange->answer(200, kJson, facts_);
  throw Refusal(404, "there is nothing here; / is the page, /image.png?seed=5 a picture");
}

void Studio::draw(const std::shared_ptr<Exchange>& exchange, bool one) {
  FaceQuery query = parse_face_query(exchange->request().query, one);
  const bool alone = one || query.pictures == 1;
  if (!query.request.chunk) query.request.chunk = alone ? 1 : painter_.chunk();
  const SampleRequest request = painter_.complete(query.request);
  if (query.states > 0 && model::evaluations_of(painter_.loaded().settle(request.sampler)) == 0)
    fail(
        "states are those after steps, and this sampler chooses others for each image; ask for another "
        "sampler");
  std::shared_ptr<Gallery> gallery;
  if (one)
    gallery = std::make_shared<PngAnswer>(exchange, command_of(request));
  else
    gallery = std::make_shared<LinesAnswer>(exchange, command_of(request));
  const PictureRange range{query.first, query.first + query.pictures};
  const std::shared_ptr<Painting> painting =
      paint_faces(painter_, request, range, query.states, std::move(gallery));
  exchange->when_gone([this, weak = std::weak_ptr(painting)] {
    if (const auto left = weak.lock()) left->cancel();
    easel_.wake();
  });
  exchange->when_sent([this] { easel_.wake(); });
  easel_.add(query.client, query.slot, painting);
}

}  // namespace ito::apps
