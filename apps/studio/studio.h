#pragma once

#include <memory>
#include <string>

#include "apps/serving/easel.h"
#include "apps/serving/exchange.h"
#include "apps/studio/painter.h"

namespace ito::apps {

/// What ./studio answers, by path:
///   /, /page.css, /page.js   the page
///   /model.json              what the model can be asked for
///   /image.png?QUERY         one picture (FaceQuery), with the command that repeats its bytes as Ito-Command
///   /grid?QUERY              pictures as they get ready, a line of JSON each
/// All else is refused with a sentence.
class Studio {
 public:
  /// `host`: a name besides localhost by which browsers may ask. Both others must outlive this.
  Studio(Painter& painter, Easel& easel, std::string host);

  /// Answers, at once or when the easel has drawn. It waits for nothing.
  void handle(const std::shared_ptr<Exchange>& exchange);

 private:
  void route(const std::shared_ptr<Exchange>& exchange);
  void draw(const std::shared_ptr<Exchange>& exchange, bool one);

  Painter& painter_;
  Easel& easel_;
  std::string host_, facts_;
};

/// What the page has to know about a model, as JSON: its name and size, the samplers that it takes with their numbers
/// of steps, its attributes or classes, whether guidance means something to it.
std::string model_facts(const Painter& painter);

/// The page's files.
const char* page_html();
const char* page_css();
const char* page_js();

}  // namespace ito::apps
