#include "apps/evaluation/report.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "apps/console/number_text.h"
#include "engine/io/json_text.h"
#include "kernels/base/error.h"

namespace ito::apps {

using nlohmann::json;

namespace {

std::string significant(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f",
                std::abs(value) >= 1000 ? 1
                : std::abs(value) >= 10 ? 3
                                        : 4,
                value);
  // A number that rounds to 0 has no sign.
  return std::strpbrk(text, "123456789ni") || text[0] != '-' ? text : text + 1;
}

/// Padded to a width in characters, not bytes: names may be UTF-8.
std::string padded(const std::string& text, size_t width) {
  size_t length = 0;
  for (const char c : text) length += (c & 0xC0) != 0x80;
  return text + std::string(length < width ? width - length : 0, ' ');
}

json side_json(const Side& side) {
  const SideIdentity& identity = side.identity;
  json j = {{"place", identity.place},
            {"kind", identity.kind},
            {"images", side.used},
            {"available", side.available}};
  if (side.images) j["height"] = side.images->size().height, j["width"] = side.images->size().width;
  if (identity.crop) j["crop"] = *identity.crop;
  if (identity.split) j["split"] = *identity.split;
  for (const auto& [name, value] : identity.facts) j[name] = value;
  for (const data::SkippedFile& file : side.left_out)
    j["left_out"].push_back({{"name", file.name}, {"reason", file.reason}});
  return j;
}

json figure_json(const Figure& f) {
  json j = json::object();
  const auto put = [&](const char* name, const std::optional<double>& value) {
    if (value) j[name] = *value;
  };
  put("spread", f.spread), put("reference", f.real), put("reference_spread", f.real_spread);
  if (f.value && f.real && *f.real != 0) j["ratio"] = f.shown(*f.value) / f.shown(*f.real);
  if (!f.value) j["missing"] = f.missing;
  if (f.value && !f.note.empty()) j["note"] = f.note;
  return j;
}

}  // namespace

std::string side_text(const Side& side) {
  const SideIdentity& identity = side.identity;
  std::string text = cat(identity.kind, " ", identity.place);
  if (side.used > 0) text += cat(": ", thousands(side.used), side.features ? " rows" : " images");
  if (side.used < side.available) text += cat(" of ", thousands(side.available));
  if (side.images) text += cat(", ", side.images->size().height, "x", side.images->size().width);
  if (identity.split) text += cat(", split ", *identity.split);
  if (identity.crop) text += cat(", crop ", *identity.crop);
  return text;
}

std::string number_text(const Figure& f, double value, const std::optional<double>& spread) {
  std::string text = significant(f.shown(value));
  if (spread) text += cat(" +- ", significant(std::abs(f.factor) * *spread));
  return text;
}

std::string report_text(const EvaluationReport& report) {
  std::string text;
  const auto line = [&](const std::string& name, const std::string& value) {
    text += padded(name, 20) + " " + value;
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  };
  line("generated", side_text(*report.generated));
  for (const auto& [name, value] : report.generated->identity.facts) line("  " + name, value);
  if (report.reference) {
    line("reference", side_text(*report.reference));
    for (const auto& [name, value] : report.reference->identity.facts) line("  " + name, value);
  }
  for (const auto& [name, value] : report.facts) line(name, value);
  text += '\n';
  line("", padded("generated", 20) + padded("reference", 20) + "ratio");
  for (const Figure& f : report.evaluation.figures) {
    if (!f.value) {
      line(f.label, "n/a    " + f.missing);
      continue;
    }
    std::string row = padded(number_text(f, *f.value, f.spread), 20);
    row += padded(f.real ? number_text(f, *f.real, f.real_spread) : "", 20);
    row += padded(f.real && *f.real != 0 ? significant(f.shown(*f.value) / f.shown(*f.real)) : "", 9);
    line(f.label, row + f.note);
  }
  for (const std::string& note : report.notes) line("note", note);
  return text;
}

std::string report_json(const EvaluationReport& report) {
  json j, figures, facts;
  for (const Figure& f : report.evaluation.figures) {
    j[f.key] = f.value ? json(*f.value) : json(nullptr);
    figures[f.key] = figure_json(f);
  }
  for (const auto& [name, value] : report.facts) facts[name] = value;
  json& about = j["about"];
  about["program"] = "ito evaluate";
  about["generated"] = side_json(*report.generated);
  about["reference"] = report.reference ? side_json(*report.reference) : json(nullptr);
  about["figures"] = figures;
  about["measurement"] = facts;
  about["notes"] = report.notes;
  // Paths may be any bytes; those that are not UTF-8 are replaced.
  return io::json_text(j, 2) + "\n";
}

}  // namespace ito::apps
