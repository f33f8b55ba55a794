#include "data/celeba_files/list_table.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <numeric>
#include <optional>
#include <set>

#include "data/pictures/file_kind.h"
#include "engine/io/web_page.h"
#include "kernels/base/error.h"

namespace ito::data {
namespace {

constexpr std::string_view kBlanks = " \t\v\f";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr const char* kPictureColumn = "image_id";
constexpr size_t kMostColumns = 1000;  // they are searched one by one, and stored for every picture

bool is_blank(char c) {
  for (const char blank : kBlanks)
    if (c == blank) return true;
  return false;
}

/// A list's lines, cut into cells. Empty lines are skipped.
class Lines {
 public:
  Lines(std::string_view text, const std::string& place) : place_(place), rest_(text) {
    if (rest_.substr(0, kByteOrderMark.size()) == kByteOrderMark) rest_.remove_prefix(kByteOrderMark.size());
  }

  bool next() {
    do {
      if (rest_.empty()) return false;
      size_t end = 0;
      while (end < rest_.size() && rest_[end] != '\r' && rest_[end] != '\n') ++end;
      const std::string_view line = rest_.substr(0, end);
      rest_.remove_prefix(end);
      rest_.remove_prefix(rest_.substr(0, 2) == "\r\n" ? 2 : rest_.empty() ? 0 : 1);
      ++number_;
      cells.clear();
      unquoted_.clear();
      if (std::all_of(line.begin(), line.end(), is_blank)) continue;
      if (separator_ == 0) {
        separator_ = line.find(',') != std::string_view::npos   ? ','
                     : line.find(';') != std::string_view::npos ? ';'
                                                                : ' ';
      }
      if (has_separators())
        cut_at_separators(line);
      else
        cut_at_blanks(line);
    } while (cells.empty());
    return true;
  }

  size_t number() const { return number_; }
  [[noreturn]] void fail_here(const std::string& what) const {
    fail(cat(place_, ": line ", number_, ": ", what));
  }
  /// Whether commas or semicolons separate the cells, not blanks.
  bool has_separators() const { return separator_ != ' '; }

  std::vector<std::string_view> cells;  // valid until the next line

 private:
  void cut_at_blanks(std::string_view line) {
    for (size_t at = 0; at < line.size();) {
      const size_t begin = at;
      while (at < line.size() && !is_blank(line[at])) ++at;
      if (at > begin) cells.push_back(line.substr(begin, at - begin));
      while (at < line.size() && is_blank(line[at])) ++at;
    }
  }

  void cut_at_separators(std::string_view line) {
    for (bool more = true; more;) {
      line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
      const bool quoted = !line.empty() && line[0] == '"';
      if (quoted) unquoted_.push_back(take_quoted(line));
      const size_t end = std::min(line.find(separator_), line.size());
      std::string_view cell = line.substr(0, end);
      if (quoted) cell = unquoted_.back() += cell;
      cells.push_back(cell.substr(0, cell.find_last_not_of(kBlanks) + 1));
      more = end < line.size();
      line.remove_prefix(more ? end + 1 : end);
    }
  }

  /// A quote within quotes is written twice.
  std::string take_quoted(std::string_view& line) const {
    std::string cell;
    for (size_t at = 1; at < line.size(); ++at) {
      if (line[at] == '"') {
        if (line.substr(at, 2) != "\"\"") {
          line.remove_prefix(at + 1);
          return cell;
        }
        ++at;
      }
      cell += line[at];
    }
    fail_here("a quote that is not closed");
  }

  const std::string& place_;
  std::string_view rest_;
  size_t number_ = 0;
  char separator_ = 0;
  std::deque<std::string> unquoted_;  // the contents of cells that were in quotes
};

bool parse_number(std::string_view text, int32_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

template <class Text>
std::string joined(const std::vector<Text>& texts) {
  std::string all;
  for (const Text& text : texts) (all += all.empty() ? "" : ", ") += text;
  return all;
}

/// Which cell of a line holds the picture's name, and which hold the columns.
struct CellPositions {
  size_t cells = 0, picture = 0;
  std::vector<size_t> at;
};

size_t index_of(const std::vector<std::string_view>& cells, std::string_view name) {
  return size_t(std::find(cells.begin(), cells.end(), name) - cells.begin());
}

/// From the header. A column without a name is the row's number, as pandas writes it.
CellPositions read_header(const Lines& lines, const ListRules& rules, std::vector<std::string>& columns) {
  const std::vector<std::string_view>& header = lines.cells;
  if (header.size() > kMostColumns)
    lines.fail_here(cat("it names ", header.size(), " columns, at most ", kMostColumns,
                        " are read; download the list again"));
  CellPositions positions;
  positions.picture = index_of(header, kPictureColumn);
  const bool named = positions.picture < header.size();
  if (!named && lines.has_separators())
    lines.fail_here(
        cat("no column is called ", kPictureColumn, "; they are ", joined(header).substr(0, 200)));
  if (!named) positions.picture = 0;
  positions.cells = header.size() + !named;
  columns = rules.columns;
  std::set<std::string_view> seen;
  for (const std::string_view name : header) {
    if (!name.empty() && !seen.insert(name).second) lines.fail_here(cat("two columns are called ", name));
    if (rules.columns.empty() && !name.empty() && name != kPictureColumn) columns.emplace_back(name);
  }
  std::vector<std::string> missing;
  for (const std::string& name : columns) {
    const size_t at = index_of(header, name);
    if (at == header.size()) missing.push_back(name);
    positions.at.push_back(at + !named);
  }
  if (!missing.empty())
    lines.fail_here(
        cat("no column is called ", joined(missing), "; they are ", joined(header).substr(0, 200)));
  if (columns.empty()) lines.fail_here(cat("there is no column of ", rules.noun));
  return positions;
}

CellPositions without_header(const Lines& lines, const ListRules& rules, std::vector<std::string>& columns) {
  if (rules.columns.size() != 1) lines.fail_here(cat("no line before it names the ", rules.noun));
  columns = rules.columns;
  return {2, 0, {1}};
}

void add_row(const Lines& lines, const CellPositions& positions, const ListRules& rules, ListTable& table) {
  if (lines.cells.size() != positions.cells)
    lines.fail_here(cat(lines.cells.size() - 1, " values for ", positions.cells - 1, " ", rules.noun));
  table.pictures.emplace_back(picture_stem(lines.cells[positions.picture]));
  for (size_t c = 0; c < positions.at.size(); ++c) {
    const std::string_view cell = lines.cells[positions.at[c]];
    int32_t value = 0;
    if (!parse_number(cell, value) || value < rules.lowest || value > rules.highest)
      lines.fail_here(cat("'", cell.substr(0, 40), "' for ", table.columns[c], ", where ", rules.expected,
                          " is expected"));
    table.values.push_back(value);
  }
}

/// Sorts the rows by their pictures; most lists are in that order already. Returns a row whose picture has an earlier
/// row, or nothing.
std::optional<size_t> sort_rows(ListTable& table) {
  const std::vector<std::string>& pictures = table.pictures;
  std::vector<size_t>& order = table.by_picture;
  order.resize(pictures.size());
  std::iota(order.begin(), order.end(), size_t(0));
  if (!std::is_sorted(pictures.begin(), pictures.end()))
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return pictures[a] < pictures[b]; });
  const auto twice = std::adjacent_find(order.begin(), order.end(),
                                        [&](size_t a, size_t b) { return pictures[a] == pictures[b]; });
  return twice == order.end() ? std::nullopt : std::optional(twice[1]);
}

[[noreturn]] void fail_second(Lines lines, size_t number, size_t picture) {
  while (lines.number() < number) lines.next();
  lines.fail_here(cat("a second line for ", lines.cells[picture]));
}

}  // namespace

ListTable parse_list(std::string_view text, const std::string& place, const ListRules& rules) {
  if (io::is_web_page(text))
    fail(cat(place, ": an HTML page, as a failed download leaves; download the list again"));
  if (text.find('\0') != std::string_view::npos)
    fail(cat(place, ": not plain text, it has zero bytes; download the list again or save it as UTF-8"));
  ListTable table;
  Lines lines(text, place);
  bool more = lines.next();
  int32_t count = 0;
  if (more && lines.cells.size() == 1 && parse_number(lines.cells[0], count)) more = lines.next();
  if (!more) fail(cat(place, ": holds no ", rules.noun, "; download the list again"));
  const bool headed = !has_picture_ending(lines.cells[0]);
  const CellPositions positions =
      headed ? read_header(lines, rules, table.columns) : without_header(lines, rules, table.columns);
  if (headed) more = lines.next();
  std::vector<size_t> numbers;
  for (; more; more = lines.next()) {
    add_row(lines, positions, rules, table);
    numbers.push_back(lines.number());
  }
  const std::optional<size_t> second = sort_rows(table);
  if (second) fail_second(Lines(text, place), numbers[*second], positions.picture);
  return table;
}

std::string_view picture_stem(std::string_view name) {
  return has_picture_ending(name) ? name.substr(0, name.rfind('.')) : name;
}

PictureRows rows_for(const ListTable& table, const std::vector<std::string>& pictures, int32_t absent) {
  const size_t columns = table.columns.size();
  PictureRows rows;
  rows.values.assign(pictures.size() * columns, absent);
  std::vector<char> used(table.pictures.size(), 0);
  auto row = table.by_picture.begin();  // the one after the last that was found, as pictures are sorted
  for (size_t i = 0; i < pictures.size(); ++i) {
    const std::string_view picture = picture_stem(pictures[i]);
    if (row == table.by_picture.end() || table.pictures[*row] != picture) {
      row = std::lower_bound(table.by_picture.begin(), table.by_picture.end(), picture,
                             [&](size_t a, std::string_view b) { return table.pictures[a] < b; });
      if (row == table.by_picture.end() || table.pictures[*row] != picture) continue;
    }
    used[*row] = 1;
    std::copy_n(table.values.begin() + std::ptrdiff_t(*row * columns), columns,
                rows.values.begin() + std::ptrdiff_t(i * columns));
    ++row;
  }
  rows.unused = size_t(std::count(used.begin(), used.end(), 0));
  return rows;
}

}  // namespace ito::data
