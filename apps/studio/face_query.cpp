#include "apps/studio/face_query.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>

#include "kernels/base/path_text.h"

namespace ito::apps {

namespace {

/// The options of ./sample that a query may set. None is a path.
constexpr std::string_view kOptions[] = {"fast",        "best",
                                         "sampler",     "steps",
                                         "evaluations", "grid",
                                         "rho",         "eta",
                                         "offset",      "order",
                                         "variance",    "churn",
                                         "clip",        "churn_min",
                                         "churn_max",   "tolerance",
                                         "churn_noise", "lower_order_final",
                                         "final",       "snr",
                                         "corrector",   "snr_norm",
                                         "attr",        "class",
                                         "guidance",    "guidance_interval",
                                         "variations",  "spread",
                                         "interpolate", "chunk",
                                         "levels"};
/// What a query has besides.
constexpr std::string_view kOwn[] = {"seed", "count", "number", "states", "client", "slot"};

bool is_option(std::string_view name) {
  return std::find(std::begin(kOptions), std::end(kOptions), name) != std::end(kOptions);
}

using Parameters = std::map<std::string, std::string>;

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = char(c | 32);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// Text whose bytes may be written as %41. Error: a % without two digits behind it, not UTF-8, a control character.
std::string decoded(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      bytes += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? digit_of(text[i + 1]) : -1,
              low = high < 0 ? -1 : digit_of(text[i + 2]);
    if (low < 0) fail("the query has a % without two hexadecimal digits behind it");
    bytes += char(high * 16 + low), i += 2;
  }
  if (as_utf8(bytes) != bytes) fail("the query is not UTF-8");
  if (std::any_of(bytes.begin(), bytes.end(), [](unsigned char c) { return c < 32 || c == 127; }))
    fail("the query has a control character");
  return bytes;
}

void check_known(const std::string& name) {
  std::vector<std::string> names(std::begin(kOptions), std::end(kOptions));
  names.insert(names.end(), std::begin(kOwn), std::end(kOwn));
  if (std::find(names.begin(), names.end(), name) == names.end()) fail_unknown_name("parameter", name, names);
}

Parameters split(std::string_view query) {
  Parameters parameters;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) fail(cat("\"", decoded(part), "\" is no parameter: it has no ="));
    const std::string name = decoded(part.substr(0, equals)), value = decoded(part.substr(equals + 1));
    check_known(name);
    if (value.empty()) fail(cat(name, " has no value; leave it out"));
    const auto [place, is_new] = parameters.emplace(name, value);
    if (!is_new && name != "attr") fail(cat("the query has ", name, " twice"));
    if (!is_new) place->second += "," + value;
  }
  return parameters;
}

/// A visitor that reads the options of ./sample among the parameters.
struct Taking {
  const Parameters& parameters;

  template <class T>
  void operator()(T& value, const Field& field) const {
    const auto found = parameters.find(field.name);
    if (found == parameters.end() || !is_option(field.name)) return;
    Range range = field.range;
    if (field.name == "steps") range = from(1).to(kMostStepsAsked);
    if constexpr (is_optional<T>)
      value = parsed<typename T::value_type>(field.name, found->second, range);
    else
      value = parsed<T>(field.name, found->second, range);
  }

 private:
  template <class T>
  static T parsed(const std::string& name, const std::string& text, const Range& range) {
    if constexpr (std::is_same_v<T, bool>)
      return parse_option<int>(name, text, from(0).to(1)) != 0;
    else
      return parse_option<T>(name, text, range);
  }
};

template <class T>
T take(const Parameters& parameters, const char* name, const Range& range, T otherwise) {
  const auto found = parameters.find(name);
  return found == parameters.end() ? otherwise : parse_option<T>(name, found->second, range);
}

std::string take_name(const Parameters& parameters, const char* name) {
  const auto found = parameters.find(name);
  if (found == parameters.end()) return "";
  const std::string& text = found->second;
  const auto plain = [](unsigned char c) { return (c < 128 && std::isalnum(c)) || c == '-' || c == '_'; };
  if (text.empty() || text.size() > kMostNameBytes || !std::all_of(text.begin(), text.end(), plain))
    fail_value(name, cat("1 to ", kMostNameBytes, " letters, digits, - or _"), text);
  return text;
}

/// "5" or "5-20", as --seeds has it.
std::string seeds_text(uint64_t first, int count) {
  if (uint64_t(count - 1) > UINT64_MAX - first)
    fail(cat("there are no ", count, " seeds from ", first, " on: the last one is ", UINT64_MAX));
  return count == 1 ? cat(first) : cat(first, "-", first + uint64_t(count - 1));
}

/// Pictures near a face or between two are numbered 0 .. count - 1.
void choose_numbered(const Parameters& parameters, bool one, FaceQuery& asked) {
  if (parameters.count("seed"))
    fail("seed excludes variations and interpolate, which have seeds of their own");
  const int count = take<int>(parameters, "count", from(1).to(kMostFaces), kUsualPictures);
  asked.request.count = count, asked.pictures = size_t(count);
  if (!one) return;
  asked.first = size_t(take<int>(parameters, "number", from(0).to(count - 1), 0)), asked.pictures = 1;
}

void choose_seeds(const Parameters& parameters, bool one, FaceQuery& asked) {
  if (parameters.count("number"))
    fail("number is for variations and interpolate; seed chooses another picture");
  const uint64_t seed = take<uint64_t>(parameters, "seed", kAnySeed, 0);
  const int count = take<int>(parameters, "count", from(1).to(one ? 1 : kMostFaces), 1);
  asked.request.seeds = seeds_text(seed, count), asked.pictures = size_t(count);
}

}  // namespace

FaceQuery parse_face_query(std::string_view query, bool one) {
  const Parameters parameters = split(query);
  FaceQuery asked;
  fields(asked.request, Taking{parameters});
  const bool numbered = asked.request.variations || parameters.count("interpolate");
  numbered ? choose_numbered(parameters, one, asked) : choose_seeds(parameters, one, asked);
  if (one && parameters.count("states")) fail("states are for /grid, which shows pictures on their way");
  if (!one && parameters.count("number")) fail("number is for /image.png, which is one picture");
  asked.states = take<int>(parameters, "states", from(0).to(kMostStates), 0);
  asked.client = take_name(parameters, "client"), asked.slot = take_name(parameters, "slot");
  return asked;
}

}  // namespace ito::apps
