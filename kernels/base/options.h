#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/base/names.h"

/// Options as data. A struct of options lists its fields once, next to its definition:
///
///   template <FieldsOf<SdeOptions> Options, class Visit>
///   void fields(Options& o, Visit&& visit) {
///     visit(o.sigma_min, Field("sigma_min", "least noise of ve", above(0).to(1e6)));
///   }
///
/// and everything that is done with options is a visitor over that list: flags (apps/console/flags.h), JSON files
/// (model/option_json.h), checks (below). A visitor takes (value, Field), and object(name, options) for a struct of
/// options that files nest under a name of its own.
namespace ito {

/// The numbers that an option may be. Every number of every program has one.
struct Range {
  long double least = 1, most = 0;               // empty, unless given
  bool above_least = false, below_most = false;  // the bound itself is not allowed

  constexpr bool holds(long double x) const {
    return (above_least ? x > least : x >= least) && (below_most ? x < most : x <= most);  // never NaN
  }
  constexpr Range to(long double bound) const { return {least, bound, above_least, false}; }
  constexpr Range below(long double bound) const { return {least, bound, above_least, true}; }
};
constexpr Range from(long double bound) {
  return {bound, std::numeric_limits<long double>::max(), false, false};
}
constexpr Range above(long double bound) {
  return {bound, std::numeric_limits<long double>::max(), true, false};
}

inline constexpr Range kAnySeed = from(0).to(18446744073709551615.0L);
inline constexpr Range kThreads = from(0).to(4096);

/// What there is to know about an option besides its value. An option without help has no flag, and is set in files
/// alone. Every number has a range.
struct Field {
  std::string name;  // in files and errors: "sample_steps"
  std::string help;
  Range range;
  std::string flag;  // "--sample-steps"; "" if it has none; without dashes for an argument by its position
  std::string fallback;   // what --help calls the default where the value does not show it: "the preset's"
  bool changes = false;   // a run that goes on may have another value
  bool is_newer = false;  // older files lack it, and mean the default
  std::optional<double>
      absent_value;  // files leave it out where it is this, a bool's or an enum's number, too
  bool is_required = false;
  bool is_repeated = false;        // the flag may be given again: its texts are joined by commas
  bool is_bare = false;            // the flag is given alone, or with its value behind an equals sign
  std::string bare_value;          // of a flag that may be bare: what --help shows, "[=NAME,...]"
  std::vector<std::string> names;  // those that are allowed of a text or an enum; empty: any

  explicit Field(std::string name, std::string help = "", Range range = {});
  /// Another flag than the name with dashes: "--no-flip" sets a bool to false; "DIR" is an argument by its position.
  Field&& as(const char* other) && { return flag = other, std::move(*this); }
  Field&& otherwise(const char* text) && { return fallback = text, std::move(*this); }
  Field&& may_change() && { return changes = true, std::move(*this); }
  Field&& newer() && { return is_newer = true, std::move(*this); }
  /// Newer, and a file has it only where it is not `value`, its default: older programs read the others.
  Field&& absent_at(double value) && { return absent_value = value, std::move(*this).newer(); }
  Field&& one_of(std::vector<std::string> allowed) && { return names = std::move(allowed), std::move(*this); }
  Field&& repeated() && { return is_repeated = true, std::move(*this); }
  Field&& required() && { return is_required = true, std::move(*this); }
  /// "--attributes" alone sets an optional text to "", "--attributes=A,B" to "A,B". What follows it after a blank is
  /// never its value. `shown` is how --help writes the value.
  Field&& may_be_bare(const char* shown) && { return is_bare = true, bare_value = shown, std::move(*this); }
};

/// Options of one struct, constant or not: what fields() of that struct takes.
template <class Options, class Struct>
concept FieldsOf = std::same_as<std::remove_const_t<Options>, Struct>;

template <class T>
inline constexpr bool is_whole = std::is_integral_v<T> && !std::is_same_v<T, bool>;
template <class T>
inline constexpr bool is_number = is_whole<T> || std::is_floating_point_v<T>;

/// "1 to 100", "above 0 and below 1", for errors and --help.
std::string text_of(const Range& range);

/// "ve, vp, sub-vp or simple".
std::string list_of(const std::vector<std::string>& names);

/// Throws: <who> must be <what is allowed>, is "<value>".
[[noreturn]] void fail_value(const std::string& who, const std::string& allowed, std::string_view value);
/// Throws: <who> must be <one of the names>, is "<value>"; did you mean "<nearest>"?
[[noreturn]] void fail_name(const std::string& who, const std::vector<std::string>& names,
                            std::string_view value);

/// Decimal numbers within the range. Error, with what is allowed: anything else.
int64_t parse_signed(const std::string& who, std::string_view text, const Range& range);
uint64_t parse_unsigned(const std::string& who, std::string_view text, const Range& range);
double parse_real(const std::string& who, std::string_view text, const Range& range);

template <Nameable Enum>
std::vector<std::string> names_of() {
  std::vector<std::string> names;
  for (const Named<Enum>& row : Names<Enum>::kTable) names.emplace_back(row.name);
  return names;
}

/// What a value of the field may be, in words.
template <class T>
std::string allowed_text(const Range& range) {
  if constexpr (Nameable<T>) return list_of(names_of<T>());
  const bool closed = !range.above_least && !range.below_most;
  return cat(is_whole<T> ? "a whole number " : "a number ", closed ? "from " : "", text_of(range));
}

/// A value as a user types it. A number is decimal, takes up the whole text and is within the range; anything else is
/// an error that lists what is allowed, and for a name suggests the nearest. `who` is the option's name in errors.
template <class T>
T parse_option(const std::string& who, std::string_view text, const Range& range) {
  if constexpr (std::is_same_v<T, std::string>) {
    return std::string(text);
  } else if constexpr (Nameable<T>) {
    for (const Named<T>& row : Names<T>::kTable)
      if (row.name == text) return row.value;
    fail_name(who, names_of<T>(), text);
  } else if constexpr (std::is_floating_point_v<T>) {
    const T value = T(parse_real(who, text, range));
    if (!range.holds(value))
      fail_value(who, allowed_text<T>(range), text);  // rounded to a bound that is not allowed
    return value;
  } else {
    static_assert(is_whole<T>);
    Range fitting = range;
    constexpr long double kLeast = std::numeric_limits<T>::min(), kMost = std::numeric_limits<T>::max();
    if (fitting.least < kLeast) fitting.least = kLeast, fitting.above_least = false;
    if (fitting.most > kMost) fitting.most = kMost, fitting.below_most = false;
    if constexpr (std::is_unsigned_v<T>) return T(parse_unsigned(who, text, fitting));
    return T(parse_signed(who, text, fitting));
  }
}

/// The shortest decimal number that is read back as the same value.
std::string shortest_text(double value);
std::string shortest_text(float value);
template <class T>
requires is_whole<T> std::string shortest_text(T value) { return std::to_string(value); }

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

/// Any number of texts or numbers, such as names that are only known with the images. They are in files alone: a list
/// has no flag.
template <class T>
inline constexpr bool is_list =
    std::is_same_v<T, std::vector<std::string>> || std::is_same_v<T, std::vector<double>>;

/// A visitor that fails at the first number outside of its range.
struct CheckRanges {
  template <class T>
  void operator()(const T& value, const Field& field) const {
    if constexpr (is_optional<T>) {
      if (value) (*this)(*value, field);
    } else if constexpr (is_number<T>) {
      if (!field.range.holds(value)) fail_value(field.name, allowed_text<T>(field.range), cat(value));
    }
  }
  template <class Options>
  void object(const char*, const Options& options) const {
    fields(options, *this);
  }
};

}  // namespace ito
