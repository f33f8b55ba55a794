#include "bench/line_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/error.h"
#include "kernels/base/options.h"

namespace ito::bench {
namespace {

constexpr double kLeft = 70, kTop = 40, kWidth = 560, kHeight = 400, kLegend = 170;
constexpr const char* kColours[] = {"#1b6ca8", "#d1495b", "#2e933c", "#edae49", "#6a4c93",
                                    "#00798c", "#8d5524", "#e07a9e", "#5c5c5c", "#7cb518",
                                    "#3d348b", "#f35b04", "#111111"};

/// One logarithmic axis: from the values that it has to hold to pixels.
struct Axis {
  double low = std::numeric_limits<double>::infinity(), high = 0, begin, end;

  void hold(double v) { low = std::min(low, v), high = std::max(high, v); }
  double at(double v) const { return begin + (end - begin) * std::log(v / low) / std::log(high / low); }
  std::vector<double> ticks() const {
    std::vector<double> ticks;
    // A short axis would have one label of 1, 2 and 5, or none.
    const std::vector<double> digits =
        high / low < 10 ? std::vector<double>{1, 2, 3, 4, 5, 6, 8} : std::vector<double>{1, 2, 5};
    for (int power = int(std::floor(std::log10(low))); power <= int(std::ceil(std::log10(high))); ++power)
      for (const double digit : digits)
        if (const double v = std::pow(10, power) * digit; v >= low * 0.999 && v <= high * 1.001)
          ticks.push_back(v);
    return ticks;
  }
};

std::string text(double x, double y, const char* anchor, const std::string& words) {
  return cat("<text x=\"", x, "\" y=\"", y, "\" text-anchor=\"", anchor, "\">", words, "</text>\n");
}

std::string rule(double x1, double y1, double x2, double y2) {
  return cat("<line x1=\"", x1, "\" y1=\"", y1, "\" x2=\"", x2, "\" y2=\"", y2, "\" stroke=\"#ddd\"/>\n");
}

std::string stroke(size_t i, const Line& line) {
  return cat(" fill=\"none\" stroke-width=\"2\" stroke=\"", kColours[i % std::size(kColours)], "\"",
             line.dashed ? " stroke-dasharray=\"5 4\"" : "");
}

}  // namespace

std::string line_chart(const std::string& title, const std::string& x, const std::string& y,
                       const std::vector<Line>& lines) {
  Axis across, up;
  across.begin = kLeft, across.end = kLeft + kWidth, up.begin = kTop + kHeight, up.end = kTop;
  for (const Line& line : lines)
    for (const auto& [a, b] : line.points) across.hold(a), up.hold(b);
  if (!(across.high > across.low && up.high > up.low)) fail("a chart needs lines of more than one point");
  std::string svg = cat("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", kLeft + kWidth + kLegend,
                        " ", kTop + kHeight + 50, "\" font-family=\"sans-serif\" font-size=\"12\">\n",
                        "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
  for (const double v : across.ticks())
    svg += rule(across.at(v), kTop, across.at(v), kTop + kHeight) +
           text(across.at(v), kTop + kHeight + 16, "middle", shortest_text(float(v)));
  for (const double v : up.ticks())
    svg += rule(kLeft, up.at(v), kLeft + kWidth, up.at(v)) +
           text(kLeft - 6, up.at(v) + 4, "end", shortest_text(float(v)));
  svg += text(kLeft + kWidth / 2, 24, "middle", title) +
         text(kLeft + kWidth / 2, kTop + kHeight + 38, "middle", x) + text(8, kTop - 10, "start", y);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string points;
    for (const auto& [a, b] : lines[i].points) points += cat(across.at(a), ",", up.at(b), " ");
    svg += cat("<polyline points=\"", points, "\"", stroke(i, lines[i]), "/>\n");
    const double row = kTop + 8 + double(i) * 18, left = kLeft + kWidth + 12;
    svg += cat("<polyline points=\"", left, ",", row, " ", left + 24, ",", row, "\"", stroke(i, lines[i]),
               "/>\n") +
           text(left + 30, row + 4, "start", lines[i].name);
  }
  return svg + "</svg>\n";
}

}  // namespace ito::bench
