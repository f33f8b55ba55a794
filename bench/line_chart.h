#pragma once

#include <string>
#include <utility>
#include <vector>

namespace ito::bench {

struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x ascending; both above 0
  bool dashed = false;
};

/// A chart of lines over two logarithmic axes with a legend, as a whole SVG file; axes are labelled at 1, 2 and 5 times
/// powers of ten, short ones at more.
std::string line_chart(const std::string& title, const std::string& x, const std::string& y,
                       const std::vector<Line>& lines);

}  // namespace ito::bench
