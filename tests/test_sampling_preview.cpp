#include <doctest/doctest.h>

#include <map>

#include "apps/console/terminal_picture.h"
#include "apps/sampling/preview.h"
#include "tests/helpers.h"

/// What --preview prints: pictures as characters, and which of them fit into a terminal.
namespace ito::apps {
namespace {

using namespace tests;
using Pixels = std::vector<uint8_t>;

const std::string kBlock = "\xe2\x96\x80";  // U+2580 in UTF-8

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

TEST_CASE("two rows of pixels are one line of half blocks, colours where they change") {
  const Pixels square = {255, 0, 0,   0, 255, 0,   // red, green
                         0,   0, 255, 9, 8,   7};  // blue, nearly black
  CHECK(terminal_picture(square.data(), 2, 2, TerminalColors::all) ==
        "\x1b[38;2;255;0;0;48;2;0;0;255m" + kBlock + "\x1b[38;2;0;255;0;48;2;9;8;7m" + kBlock + "\x1b[0m\n");
  CHECK(terminal_picture(square.data(), 2, 2, TerminalColors::palette) ==
        "\x1b[38;5;196;48;5;21m" + kBlock + "\x1b[38;5;46;48;5;232m" + kBlock + "\x1b[0m\n");
  const Pixels flat(12, 7);  // one colour: set once
  CHECK(terminal_picture(flat.data(), 2, 2, TerminalColors::all) ==
        "\x1b[38;2;7;7;7;48;2;7;7;7m" + kBlock + kBlock + "\x1b[0m\n");
}

TEST_CASE("the last line of an odd height has no background; widths and heights are kept") {
  const Pixels one = {1, 2, 3};
  CHECK(terminal_picture(one.data(), 1, 1, TerminalColors::all) == "\x1b[38;2;1;2;3m" + kBlock + "\x1b[0m\n");
  const Pixels many(3 * 5 * 7, 100);
  const std::string text = terminal_picture(many.data(), 5, 7, TerminalColors::all);
  CHECK(count_of(text, "\n") == 3);
  CHECK(count_of(text, kBlock) == 21);
  CHECK(count_of(text, "48;2;") == 2);
  CHECK(terminal_picture(nullptr, 0, 0, TerminalColors::all).empty());
}

TEST_CASE("of 256 colours the nearest one is taken, of the cube or a grey") {
  const auto color = [](int r, int g, int b) {
    const uint8_t rgb[] = {uint8_t(r), uint8_t(g), uint8_t(b)};
    return palette_color(rgb);
  };
  CHECK(color(0, 0, 0) == 16);
  CHECK(color(255, 255, 255) == 231);
  CHECK(color(95, 135, 175) == 16 + 36 + 12 + 3);
  CHECK(color(8, 8, 8) == 232);
  CHECK(color(128, 128, 128) == 244);
  CHECK(color(238, 238, 238) == 255);
  CHECK(color(250, 250, 250) == 231);
  CHECK(color(100, 130, 180) == 16 + 36 + 12 + 3);
}

using Variables = std::map<std::string, std::string>;

Terminal terminal(bool is_terminal, const Variables& variables, int columns = 0, int lines = 0) {
  return describe_terminal(is_terminal, columns, lines, [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST_CASE("pictures show by themselves in a terminal with colours, and nowhere else") {
  const Variables full = {{"TERM", "xterm-256color"}, {"COLORTERM", "truecolor"}};
  CHECK(terminal(true, full).shows_pictures);
  CHECK(terminal(true, {{"TERM", "xterm"}, {"COLORTERM", "24bit"}}).shows_pictures);
  CHECK(terminal(true, full).colors == TerminalColors::all);
  CHECK(terminal(true, {{"TERM", "xterm-256color"}}).shows_pictures);
  CHECK(terminal(true, {{"TERM", "xterm-256color"}}).colors == TerminalColors::palette);
  CHECK_FALSE(terminal(false, full).shows_pictures);
  CHECK_FALSE(terminal(true, {}).shows_pictures);
  CHECK_FALSE(terminal(true, {{"TERM", "linux"}}).shows_pictures);
  CHECK_FALSE(terminal(true, {{"TERM", "dumb"}, {"COLORTERM", "truecolor"}}).shows_pictures);
  Variables without = full;
  without["NO_COLOR"] = "1";
  CHECK_FALSE(terminal(true, without).shows_pictures);
  CHECK(terminal(false, {}).colors == TerminalColors::all);  // where it is forced into a file
}

TEST_CASE("the width is the terminal's, else COLUMNS, else 80; a line is left for the prompt") {
  CHECK(terminal(true, {{"COLUMNS", "120"}}, 100).columns == 100);
  CHECK(terminal(true, {{"COLUMNS", "120"}}).columns == 120);
  for (const char* bad : {"", "-3", "many", "80x", "0"}) {
    CAPTURE(bad);
    CHECK(terminal(true, {{"COLUMNS", bad}}).columns == 80);
  }
  CHECK(terminal(true, {}).lines == 40);
  CHECK(terminal(true, {}, 80, 24).lines == 23);
  CHECK(terminal(true, {}, 80, 200).lines == 40);
}

/// Width and height of the preview of so many square pictures.
std::pair<int, int> preview_size(size_t count, int side, int columns, int lines) {
  const Pixels pixels(count * size_t(side) * size_t(side) * 3, 50);
  const data::Image grid = preview_grid(pixels.data(), count, {side, side, 3}, columns, lines);
  return {grid.width, grid.height};
}

TEST_CASE("a preview is as many faces as fit, no smaller than needed and 16 pixels for others' sake") {
  using Size = std::pair<int, int>;
  CHECK(preview_size(1, 64, 80, 40) == Size{66, 66});                   // as it is
  CHECK(preview_size(4, 32, 80, 40) == Size{2 * 33 + 1, 2 * 33 + 1});   // all of four
  CHECK(preview_size(64, 64, 80, 40) == Size{4 * 17 + 1, 4 * 17 + 1});  // a quarter of a side: 16 fit
  CHECK(preview_size(8, 64, 200, 40) == Size{4 * 33 + 1, 2 * 33 + 1});  // rows of one length
  CHECK(preview_size(64, 8, 80, 40) == Size{8 * 9 + 1, 8 * 9 + 1});     // small ones are not enlarged
  CHECK(preview_size(3, 256, 80, 40) == Size{2 * 37 + 1, 2 * 37 + 1});
  // One too large for the terminal is scaled until it fits, however small it gets.
  CHECK(preview_size(2, 64, 12, 40) == Size{12, 23});
  CHECK(preview_size(1, 64, 1, 1).first <= 3);
}

TEST_CASE("a preview's pixels are the means of whole pixels") {
  Pixels pixels(size_t(64) * 64 * 3, 10);
  std::fill(pixels.begin() + 32 * 64 * 3, pixels.end(), uint8_t(210));  // the lower half
  const data::Image grid = preview_grid(pixels.data(), 1, {64, 64, 3}, 34, 40);
  REQUIRE(grid.width == 34);
  const auto at = [&](int x, int y) { return int(grid.rgb[size_t(y * grid.width + x) * 3]); };
  CHECK(at(5, 5) == 10);
  CHECK(at(5, 30) == 210);
}

}  // namespace
}  // namespace ito::apps
