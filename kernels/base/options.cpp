#include "kernels/base/options.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace ito {

namespace {

/// A bound as people write it: 4294967295, 0.5, 1e+38.
std::string bound_text(long double bound) {
  char text[64];
  if (bound == std::floor(bound) && std::abs(bound) < 1.9e19L)
    std::snprintf(text, sizeof text, "%.0Lf", bound);
  else
    std::snprintf(text, sizeof text, "%Lg", bound);
  return text;
}

template <class T>
std::string shortest(T value) {
  char text[40];
  std::string six = cat(value);  // 0.0002, where to_chars prefers 2e-04
  T back{};
  std::from_chars(six.data(), six.data() + six.size(), back);
  return back == value ? six : std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

template <class T>
T parse_number(const std::string& who, std::string_view text, const Range& range) {
  T value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || !range.holds(value))
    fail_value(who, allowed_text<T>(range), text);
  return value;
}

}  // namespace

Field::Field(std::string its_name, std::string its_help, Range its_range)
    : name(std::move(its_name)), help(std::move(its_help)), range(its_range) {
  if (help.empty()) return;
  flag = "--" + name;
  std::replace(flag.begin(), flag.end(), '_', '-');
}

std::string text_of(const Range& range) {
  const std::string least = bound_text(range.least), most = bound_text(range.most);
  if (!range.above_least && !range.below_most) return cat(least, " to ", most);
  return cat(range.above_least ? "above " : "at least ", least,
             range.below_most ? " and below " : " and at most ", most);
}

std::string list_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

void fail_value(const std::string& who, const std::string& allowed, std::string_view value) {
  fail(cat(who, " must be ", allowed, ", is \"", value.substr(0, 100), '"'));
}

void fail_name(const std::string& who, const std::vector<std::string>& names, std::string_view value) {
  fail(cat(who, " must be ", list_of(names), ", is \"", value.substr(0, 100), "\"; did you mean \"",
           nearest_name(value.substr(0, 100), names), "\"?"));
}

std::string shortest_text(double value) { return shortest(value); }
std::string shortest_text(float value) { return shortest(value); }

int64_t parse_signed(const std::string& who, std::string_view text, const Range& range) {
  return parse_number<int64_t>(who, text, range);
}

uint64_t parse_unsigned(const std::string& who, std::string_view text, const Range& range) {
  return parse_number<uint64_t>(who, text, range);
}

double parse_real(const std::string& who, std::string_view text, const Range& range) {
  return parse_number<double>(who, text, range);
}

}  // namespace ito
