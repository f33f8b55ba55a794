#include "apps/console/terminal_picture.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "kernels/base/error.h"

namespace ito::apps {
namespace {

constexpr int kMostLines = 40, kMostColumns = 1000;

/// What sets a colour, without its beginning and its end; `layer` is 38 for the foreground, 48 for the background.
std::string color_text(int layer, const uint8_t rgb[3], TerminalColors colors) {
  if (colors == TerminalColors::palette) return cat(layer, ";5;", palette_color(rgb));
  return cat(layer, ";2;", int(rgb[0]), ";", int(rgb[1]), ";", int(rgb[2]));
}

int square(int x) { return x * x; }

/// A whole number above 0; 0 for anything else.
int number_of(const char* text) {
  if (!text) return 0;
  const std::string_view digits = text;
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() && end == digits.data() + digits.size() && number > 0 ? number : 0;
}

}  // namespace

int palette_color(const uint8_t rgb[3]) {
  constexpr int kLevels[] = {0, 95, 135, 175, 215, 255};  // of the cube, from entry 16 on
  constexpr int kFirstGrey = 232, kGreys = 24;            // 8, 18, ... 238
  int cube = 0, cube_error = 0;
  for (int c = 0; c < 3; ++c) {
    int nearest = 0;
    for (int i = 1; i < 6; ++i)
      if (square(kLevels[i] - rgb[c]) < square(kLevels[nearest] - rgb[c])) nearest = i;
    cube = cube * 6 + nearest, cube_error += square(kLevels[nearest] - rgb[c]);
  }
  const int mean = (rgb[0] + rgb[1] + rgb[2]) / 3, step = std::clamp((mean - 3) / 10, 0, kGreys - 1);
  int grey_error = 0;
  for (int c = 0; c < 3; ++c) grey_error += square(8 + 10 * step - rgb[c]);
  return grey_error < cube_error ? kFirstGrey + step : 16 + cube;
}

std::string terminal_picture(const uint8_t* pixels, int height, int width, TerminalColors colors) {
  std::string text;
  for (int y = 0; y < height; y += 2) {
    std::string upper, lower;  // as they are set
    for (int x = 0; x < width; ++x) {
      const uint8_t* const pixel = pixels + 3 * (int64_t(y) * width + x);
      const std::string above = color_text(38, pixel, colors);
      const std::string below = y + 1 < height ? color_text(48, pixel + 3 * int64_t(width), colors) : "";
      std::string change = above != upper ? above : "";
      if (below != lower) change += (change.empty() ? "" : ";") + below;
      if (!change.empty()) text += "\x1b[" + change + "m";
      text += "\u2580";
      upper = above, lower = below;
    }
    text += "\x1b[0m\n";
  }
  return text;
}

Terminal describe_terminal(bool is_terminal, int columns, int lines,
                           const std::function<const char*(const char*)>& environment) {
  const auto text = [&](const char* variable) {
    const char* const value = environment(variable);
    return std::string(value ? value : "");
  };
  const std::string term = text("TERM"), colors = text("COLORTERM");
  const bool all = colors == "truecolor" || colors == "24bit";
  const bool palette = term.find("256color") != std::string::npos;
  Terminal terminal;
  terminal.shows_pictures =
      is_terminal && !term.empty() && term != "dumb" && text("NO_COLOR").empty() && (all || palette);
  terminal.colors = palette && !all ? TerminalColors::palette : TerminalColors::all;
  if (columns <= 0) columns = number_of(environment("COLUMNS"));
  if (columns > 0) terminal.columns = std::min(columns, kMostColumns);
  if (lines > 1) terminal.lines = std::min(lines - 1, kMostLines);  // one is the prompt's
  return terminal;
}

Terminal output_terminal() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) size = {};
  return describe_terminal(isatty(STDOUT_FILENO) == 1, size.ws_col, size.ws_row,
                           [](const char* variable) { return std::getenv(variable); });
}

}  // namespace ito::apps
