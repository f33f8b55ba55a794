#include "model/training/run_page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "engine/io/json_text.h"
#include "kernels/base/math.h"

namespace ito::model {

using nlohmann::json;

namespace {

constexpr size_t kMostGrids = 1000, kMostMessages = 100;

/// Rounded to five digits, which are more than a screen shows.
double rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value);
  return std::strtod(text, nullptr);
}

json to_json(const Curve& curve) {
  json steps = json::array(), mean = json::array(), low = json::array(), high = json::array();
  for (const Curve::Point& p : curve.points()) {
    steps.push_back(p.step), mean.push_back(rounded(p.sum / double(p.count)));
    low.push_back(rounded(p.low)), high.push_back(rounded(p.high));
  }
  return {{"steps", steps}, {"mean", mean}, {"low", low}, {"high", high}};
}

/// An even selection that includes the newest.
json spread(const std::vector<int64_t>& steps, size_t most) {
  const size_t stride = div_up(steps.size(), most);
  std::vector<int64_t> kept;
  for (size_t i = steps.size(); i > 0; i = i > stride ? i - stride : 0) kept.push_back(steps[i - 1]);
  std::reverse(kept.begin(), kept.end());
  return kept;
}

json newest(const std::vector<RunPage::Message>& messages, size_t most) {
  json kept = json::array();
  for (size_t i = messages.size() - std::min(messages.size(), most); i < messages.size(); ++i)
    kept.push_back({{"step", messages[i].step}, {"text", messages[i].text}});
  return kept;
}

}  // namespace

void Curve::add(int64_t step, double value) {
  if (!std::isfinite(value)) return;
  if (points_.empty() || points_.back().count == values_a_point_) {
    if (points_.size() == kMostPoints) {
      for (size_t i = 0; i < kMostPoints / 2; ++i) {
        const Point &a = points_[2 * i], &b = points_[2 * i + 1];
        points_[i] = {b.step, a.count + b.count, a.sum + b.sum, std::min(a.low, b.low),
                      std::max(a.high, b.high)};
      }
      points_.resize(kMostPoints / 2);
      values_a_point_ *= 2;
    }
    points_.push_back({step, 0, 0, value, value});
  }
  Point& p = points_.back();
  p.step = step, p.sum += value, ++p.count;
  p.low = std::min(p.low, value), p.high = std::max(p.high, value);
}

std::string run_page_data(const RunPage& page, double now) {
  const json data = {{"folder", page.folder},
                     {"options", json::parse(page.options)},
                     {"state", page.state},
                     {"reason", page.reason},
                     {"updated", std::floor(now * 1000) / 1000},
                     {"step", page.step},
                     {"steps", page.steps},
                     {"skipped", page.skipped},
                     {"saved", page.saved},
                     {"images_per_second", rounded(page.images_per_second)},
                     {"seconds_left", rounded(page.seconds_left)},
                     {"longest_pause", rounded(page.longest_pause)},
                     {"curves",
                      {{"loss", to_json(page.loss)},
                       {"validation_loss", to_json(page.validation_loss)},
                       {"fid", to_json(page.fid)},
                       {"grad_norm", to_json(page.grad_norm)},
                       {"learning_rate", to_json(page.learning_rate)},
                       {"speed", to_json(page.speed)}}},
                     {"grids", spread(page.grids, kMostGrids)},
                     {"messages", newest(page.messages, kMostMessages)}};
  // Paths may be any bytes; those that are not UTF-8 are replaced.
  return "showRun(" + io::json_text(data) + ");\n";
}

}  // namespace ito::model
