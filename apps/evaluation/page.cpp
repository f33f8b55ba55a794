#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/console/number_text.h"
#include "apps/evaluation/report.h"
#include "data/pictures/contact_sheet.h"
#include "data/pictures/image.h"
#include "kernels/base/base64.h"
#include "kernels/base/error.h"
#include "model/training/run_page.h"

namespace ito::apps {

namespace {

constexpr int64_t kGridImages = 64;
constexpr int kBars = 40;

/// Besides the style that all pages share.
constexpr const char* kStyle = R"(
h2 { margin:1.8em 0 .6em; }
p, td.note, dd { color:var(--quiet); }
table { border-collapse:collapse; width:100%; background:var(--raised); }
th, td { padding:.4rem .7rem; border-bottom:1px solid var(--line); text-align:left; vertical-align:top; }
th { font-weight:500; color:var(--quiet); }
td.number { white-space:nowrap; }
dl { display:grid; grid-template-columns:max-content 1fr; gap:.15rem 1rem; margin:0; }
dt { font-weight:500; } dd { margin:0; overflow-wrap:anywhere; }
.sides { display:grid; grid-template-columns:repeat(auto-fit,minmax(18rem,1fr)); gap:1.5rem; }
figure { margin:0; } figcaption { color:var(--quiet); font-size:.85rem; margin-top:.3rem; }
img { width:100%; image-rendering:pixelated; border-radius:4px; }
.pairs { display:grid; grid-template-columns:repeat(auto-fill,minmax(11rem,1fr)); gap:1rem; }
.pair { display:grid; grid-template-columns:1fr 1fr; gap:2px; } .pair + figcaption { overflow-wrap:anywhere; }
svg { width:100%; height:auto; background:var(--raised); } rect { fill:var(--color); }
b { font-weight:500; color:var(--color); }
)";

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '&')
      safe += "&amp;";
    else if (c == '"')
      safe += "&quot;";
    else
      safe += c;
  }
  return safe;
}

std::string picture(const data::Image& image, const std::string& text) {
  return cat("<img alt=\"", escaped(text), "\" src=\"data:image/png;base64,", base64(data::encode_png(image)),
             "\">");
}

std::string grid(const Side& side, const std::string& title, int threads) {
  if (!side.images) return "";
  const auto [width, height] = side.images->size();
  const size_t count = data::room_in_grid(size_t(std::min(kGridImages, side.used)), height, width);
  const std::vector<uint8_t> pixels = some_images(side, int64_t(count), threads);
  const data::Image image = data::make_grid(pixels.data(), count, height, width, data::grid_columns(count));
  return cat("<figure>", picture(image, title), "<figcaption>", title, ": ", count, " of ",
             thousands(side.used), " images, evenly spread</figcaption></figure>\n");
}

std::string table(const EvaluationReport& report) {
  std::string rows;
  for (const Figure& f : report.evaluation.figures) {
    const std::string value = f.value ? number_text(f, *f.value, f.spread) : "n/a";
    const std::string real = f.value && f.real ? number_text(f, *f.real, f.real_spread) : "";
    rows +=
        cat("<tr><td>", escaped(f.label), "</td><td class=\"number\">", value, "</td><td class=\"number\">",
            real, "</td><td class=\"note\">", escaped(f.value ? f.note : f.missing), "</td></tr>\n");
  }
  return cat("<table><tr><th>Metric</th><th>Generated</th><th>Reference</th><th></th></tr>\n", rows,
             "</table>\n");
}

std::string list_of_facts(const EvaluationReport& report) {
  std::string text = "<dl>\n";
  const auto add = [&](const std::string& name, const std::string& value) {
    text += cat("<dt>", escaped(name), "</dt><dd>", escaped(value), "</dd>\n");
  };
  const auto add_side = [&](const char* role, const Side& side) {
    std::string value = side_text(side);
    for (const auto& [name, fact] : side.identity.facts) value += cat("; ", name, " ", fact);
    add(role, value);
  };
  add_side("generated", *report.generated);
  if (report.reference) add_side("reference", *report.reference);
  for (const auto& [name, value] : report.facts) add(name, value);
  for (const std::string& note : report.notes) add("note", note);
  return text + "</dl>\n";
}

/// Shares of the values in kBars equal steps of [0, most].
std::vector<double> shares(const std::vector<double>& values, double most) {
  std::vector<double> bars(kBars);
  for (const double v : values)
    bars[size_t(std::clamp(int(v / most * kBars), 0, kBars - 1))] += 1 / double(values.size());
  return bars;
}

std::string coordinate(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", v);
  return text;
}

/// A histogram: bars for generated images, a line for reference images.
std::string histogram(const Evaluation& e) {
  constexpr double kWidth = 720, kHeight = 220, kFoot = 24;
  const auto largest = [](const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); };
  const double most =
      std::max({largest(e.generated_distances), largest(e.reference_distances), 1e-9}) * 1.001;
  const std::vector<double> bars = shares(e.generated_distances, most),
                            line = shares(e.reference_distances, most);
  const double highest = std::max(largest(bars), largest(line)), step = kWidth / kBars;
  std::string svg = cat("<svg viewBox=\"0 0 ", kWidth, " ", kHeight + kFoot, "\" role=\"img\">\n"), path;
  for (int i = 0; i < kBars; ++i) {
    const double height = kHeight * 0.95 * bars[size_t(i)] / highest;
    const double edge = kHeight - kHeight * 0.95 * line[size_t(i)] / highest;
    svg +=
        cat("<rect class=\"first\" x=\"", coordinate(i * step + 1), "\" y=\"", coordinate(kHeight - height),
            "\" width=\"", coordinate(step - 2), "\" height=\"", coordinate(height), "\"/>\n");
    path += cat(i == 0 ? "M" : "L", coordinate(i * step), " ", coordinate(edge), "L",
                coordinate((i + 1) * step), " ", coordinate(edge));
  }
  svg += cat("<path class=\"second line\" d=\"", path, "\"/>\n");
  for (int tick = 0; tick <= 4; ++tick)
    svg += cat("<text x=\"", coordinate(tick * kWidth / 4), "\" y=\"", kHeight + 16, "\" text-anchor=\"",
               tick == 0   ? "start"
               : tick == 4 ? "end"
                           : "middle",
               "\">", coordinate(most * tick / 4), "</text>\n");
  return svg + "</svg>\n";
}

data::Image image_of(const SideImages& images, int64_t i) {
  data::Image image(images.size().width, images.size().height);
  images.read(i, image.rgb.data());
  return image;
}

std::string neighbours(const EvaluationReport& report) {
  const Evaluation& e = report.evaluation;
  if (e.generated_distances.empty() || e.reference_distances.empty()) return "";
  std::string text =
      cat("<h2>Distance to the nearest reference image</h2>\n<p>Between pool3 features. <b "
          "class=\"first\">Bars:</b> generated images. <b class=\"second\">Line:</b> reference images, each "
          "to another "
          "one. Bars far to the left of the line are copies; far to the right, unlike anything real.</p>\n",
          histogram(e));
  const auto &generated = report.generated->images, &reference = report.reference->images;
  if (!generated || !reference) return text;
  text +=
      "<h2>The closest</h2>\n<p>Each generated image next to the reference image nearest to it, the "
      "closest pairs first. A copy would show here.</p>\n<div class=\"pairs\">\n";
  for (const NearestPair& pair : e.closest) {
    const std::string a = generated->name(pair.generated), b = reference->name(pair.reference);
    text += cat("<figure><div class=\"pair\">", picture(image_of(*generated, pair.generated), a),
                picture(image_of(*reference, pair.reference), b), "</div><figcaption>", escaped(a), " | ",
                escaped(b), "<br>distance ", coordinate(pair.distance), "</figcaption></figure>\n");
  }
  return text + "</div>\n";
}

}  // namespace

std::string report_page(const EvaluationReport& report, int threads) {
  std::string page =
      cat("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Evaluation</title>\n<style>\n",
          model::page_style(), kStyle,
          "</style>\n</head>\n<body>\n"
          "<h1>Evaluation</h1>\n",
          table(report), "<h2>What was measured</h2>\n", list_of_facts(report),
          "<h2>Images</h2>\n<div class=\"sides\">\n", grid(*report.generated, "generated", threads));
  if (report.reference) page += grid(*report.reference, "reference", threads);
  return page + "</div>\n" + neighbours(report) + "</body>\n</html>\n";
}

}  // namespace ito::apps
