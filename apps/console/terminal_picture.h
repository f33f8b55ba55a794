#pragma once

#include <cstdint>
#include <functional>
#include <string>

/// Pictures as text that a terminal shows, two rows of pixels a line.
namespace ito::apps {

/// Colours that a terminal has: the 256 of xterm's palette, or any of 24 bits.
enum class TerminalColors : uint8_t { palette, all };

/// Pixels u8 [height,width,3] as lines of upper half blocks (U+2580): of each character the foreground is the upper
/// pixel, the background the lower one, which the last line of an odd height leaves to the terminal. Colours are set
/// where they change, and reset at each line's end.
std::string terminal_picture(const uint8_t* pixels, int height, int width, TerminalColors colors);

/// The entry of the palette that is nearest to a colour, 16..255: a cube of six levels a channel, or a grey.
int palette_color(const uint8_t rgb[3]);

/// What there is to know about a terminal before drawing in it.
struct Terminal {
  bool shows_pictures = false;  // it is one, and says that it has colours
  TerminalColors colors = TerminalColors::all;
  int columns = 80, lines = 40;
};

/// A terminal of so many columns and lines (0: unknown), by the environment: TERM, COLORTERM and NO_COLOR
/// (no-color.org), and COLUMNS where the width is unknown.
Terminal describe_terminal(bool is_terminal, int columns, int lines,
                           const std::function<const char*(const char* variable)>& environment);
/// That of standard output.
Terminal output_terminal();

}  // namespace ito::apps
