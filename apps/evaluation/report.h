#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/evaluation/evaluation.h"

/// What ./evaluate has measured, for readers and for programs.
namespace ito::apps {

/// A measurement with everything that identifies it.
struct EvaluationReport {
  const Side* generated = nullptr;
  const Side* reference = nullptr;  // may be null
  Evaluation evaluation;
  std::vector<std::pair<std::string, std::string>> facts;  // networks, resize mode, seed
  std::vector<std::string> notes;                          // sentences
};

/// "folder runs/x/images: 64 images, 64x64, crop ddim128".
std::string side_text(const Side& side);

/// A number of a figure as the table shows it, with its spread: "12.34 +- 0.05".
std::string number_text(const Figure& f, double value, const std::optional<double>& spread);

/// The table, lines of at most 110 columns.
std::string report_text(const EvaluationReport& report);

/// Every figure's key at top level, a plain number, or null if there is none; `about` holds the rest: the
/// two sides, the networks, spreads, values on the reference, reasons.
std::string report_json(const EvaluationReport& report);

/// A page that needs no server and no network: the table, both sides' images, a histogram of the distances to
/// the nearest reference image, and the closest pairs.
std::string report_page(const EvaluationReport& report, int threads);

}  // namespace ito::apps
