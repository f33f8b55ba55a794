#include <sstream>

#include "apps/console/program.h"
#include "data/pictures/image.h"
#include "data/pictures/label.h"

/// Strips of images, such as ./bench_samplers --strip writes, under each other as one labelled picture.
namespace ito::bench {
namespace {

/// What is asked of ./bench_strips.
struct Request {
  std::string strips, rows, columns, png;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.strips,
        Field("strips", "PNGs of one size, separated by commas; those joined by | make one row together"));
  visit(o.rows, Field("rows", "a label for each row, separated by commas"));
  visit(o.columns, Field("columns", "labels above parts of equal width; | begins a new line of a label"));
  visit(o.png, Field("png", "the picture"));
}

/// The parts between vertical bars.
std::vector<std::string> at_bars(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, '|');) parts.push_back(part);
  return parts;
}

/// The strips of one row, one after the other.
data::Image joined(const std::vector<std::string>& files) {
  std::vector<data::Image> parts;
  int width = 0;
  for (const std::string& file : files) {
    parts.push_back(data::decode_image(file));
    if (parts.back().height != parts[0].height)
      fail(cat(file, " is ", parts.back().height, " pixels high, the strip before it ", parts[0].height));
    width += parts.back().width;
  }
  data::Image row(width, parts[0].height);
  for (int y = 0; y < row.height; ++y) {
    auto to = row.rgb.begin() + std::ptrdiff_t(y) * width * 3;
    for (const data::Image& part : parts)
      to = std::copy_n(part.rgb.begin() + std::ptrdiff_t(y) * part.width * 3, part.width * 3, to);
  }
  return row;
}

/// Appends the row's parts, one for each column.
void add_cells(std::vector<data::Image>& cells, const data::Image& row, int columns) {
  if (row.width % columns != 0) fail(cat(row.width, " pixels do not divide into ", columns, " columns"));
  const int width = row.width / columns;
  for (int c = 0; c < columns; ++c) {
    data::Image cell(width, row.height);
    for (int y = 0; y < row.height; ++y) std::copy_n(row.pixel(c * width, y), width * 3, cell.pixel(0, y));
    cells.push_back(std::move(cell));
  }
}

int run(const Request& f) {
  if (f.strips.empty() || f.columns.empty() || f.png.empty())
    fail("--strips, --rows, --columns and --png are needed");
  std::vector<std::vector<std::string>> columns;
  for (const std::string& label : split_list(f.columns)) columns.push_back(at_bars(label));
  std::vector<data::Image> cells;
  for (const std::string& files : split_list(f.strips))
    add_cells(cells, joined(at_bars(files)), int(columns.size()));
  data::write_png(f.png, data::labelled_grid(cells, columns, split_list(f.rows)));
  return 0;
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  return ito::apps::run_program<ito::bench::Request>("Puts strips of images under each other, labelled.",
                                                     argc, argv, ito::bench::run);
}
