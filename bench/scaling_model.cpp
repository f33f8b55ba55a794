#include "bench/scaling_model.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/console/number_text.h"
#include "kernels/base/error.h"
#include "kernels/base/options.h"
#include "model/json_value.h"

namespace ito::bench {
namespace {

constexpr double kBytes = sizeof(float);  // of a gradient's number

std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// With three significant digits: a prediction has no more. "21,100"
std::string rounded(double value) {
  const double unit = std::pow(10, std::floor(std::log10(value)) - 2);
  return value < 100 ? formatted("%.3g", value)
                     : apps::thousands(std::llround(value / unit) * std::llround(unit));
}

/// "0.5", "143.2", "4,250"
std::string grouped(double value) {
  return value < 1000 ? formatted("%.4g", value) : apps::thousands(std::llround(value));
}

/// "4,250 GB/s"
std::string rate_text(double bytes_a_second) { return grouped(1e-9 * bytes_a_second) + " GB/s"; }

/// Bytes that a rank sends to some of the ranks of its level, each of which holds so many bytes, in both phases.
double sent(double receivers, double ranks, double bytes) { return 2 * receivers / ranks * bytes; }

/// The phases and sums of a level.
void add_level(Traffic& traffic, double ranks, double bytes) {
  if (ranks == 1) return;
  traffic.summed += bytes + bytes / ranks;
  traffic.phases += 2;
}

double computation_seconds(const ScalingModel& model, double images) {
  return model.fixed + model.per_image * images;
}

/// Reads a whole number of at least 1.
void take_count(const nlohmann::json& line, const char* name, int& to) {
  model::take(line, name, to);
  if (to < 1) fail(cat(name, " must be at least 1, is ", to));
}

MeasuredStep measured_step(const std::string& text) {
  const auto line = nlohmann::json::parse(text, nullptr, false);
  if (!line.is_object()) fail("it is not an object of JSON");
  MeasuredStep step;
  try {
    take_count(line, "ranks", step.ranks);
    take_count(line, "batch", step.batch);
    take_count(line, "accumulate", step.accumulate);
    model::take(line, "seconds_per_step", step.seconds);
  } catch (const nlohmann::json::exception&) {
    fail("ranks, batch, accumulate and seconds_per_step are needed, and must be numbers");
  }
  if (!(step.seconds > 0)) fail(cat("seconds_per_step must be above 0, is ", step.seconds));
  if (step.accumulate % step.ranks)
    fail(cat(step.ranks, " ranks do not divide accumulate = ", step.accumulate));
  return step;
}

}  // namespace

Traffic traffic_of(int ranks, double parameters, const Links& links) {
  const int local = std::min(ranks, links.per_machine);
  if (ranks % local)
    fail(cat(ranks, " ranks do not fill machines of ", links.per_machine,
             "; choose a multiple of it, or another --per-machine"));
  const int machines = ranks / local;
  const double bytes = kBytes * parameters, shard = bytes / local;
  Traffic traffic;
  if (links.levels == 1) {
    add_level(traffic, ranks, bytes);
    traffic.inside = sent(local - 1, ranks, bytes);
    traffic.between = sent(ranks - local, ranks, bytes);
  } else {
    add_level(traffic, local, bytes);
    add_level(traffic, machines, shard);
    traffic.inside = sent(local - 1, local, bytes);
    traffic.between = sent(machines - 1, machines, shard);
  }
  return traffic;
}

double exchange_seconds(const Traffic& traffic, const Links& links) {
  return traffic.inside / links.bandwidth + traffic.between / links.network + traffic.phases * links.latency +
         traffic.summed / links.memory_rate;
}

double step_seconds(const ScalingModel& model, int ranks, int64_t images_each) {
  const double exchange = exchange_seconds(traffic_of(ranks, model.parameters, model.links), model.links);
  return computation_seconds(model, double(images_each)) + (1 - model.overlap) * exchange;
}

Prediction predict(const ScalingModel& model, Scaling scaling, int64_t images, int ranks) {
  const bool weak = scaling == Scaling::weak;
  if (!weak && images % ranks)
    fail(cat(ranks, " ranks cannot share an update of ", images, " images equally"));
  const int64_t each = weak ? images : images / ranks;
  const double exchange = exchange_seconds(traffic_of(ranks, model.parameters, model.links), model.links);
  const double step = step_seconds(model, ranks, each), rate = double(each * ranks) / step;
  const double alone = double(images) / computation_seconds(model, double(images));
  return {ranks, each, exchange, step, rate, rate / (ranks * alone)};
}

std::vector<MeasuredStep> read_measured(const std::string& text) {
  std::vector<MeasuredStep> steps;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      steps.push_back(measured_step(line));
    } catch (const Error& e) {
      e.rethrow_at(cat("line ", number));
    }
  }
  if (steps.empty()) fail("it holds no measured step");
  return steps;
}

std::string prediction_table(const std::vector<Prediction>& rows) {
  std::string text =
      "| ranks | images each | exchange, ms | step, ms | images/s | efficiency |\n"
      "| --- | --- | --- | --- | --- | --- |\n";
  for (const Prediction& row : rows)
    text += cat("| ", row.ranks, " | ", apps::thousands(row.images_each), " | ",
                formatted("%.2f", 1e3 * row.exchange), " | ", formatted("%.2f", 1e3 * row.step), " | ",
                rounded(row.images_per_second), " | ", formatted("%.1f", 100 * row.efficiency), " % |\n");
  return text;
}

std::string measured_table(const ScalingModel& model, const std::vector<MeasuredStep>& steps) {
  std::string text =
      "| ranks | batch | accumulate | measured, s | predicted, s | measured / predicted |\n"
      "| --- | --- | --- | --- | --- | --- |\n";
  for (const MeasuredStep& step : steps) {
    const int64_t each = int64_t(step.batch) * (step.accumulate / step.ranks);
    const double predicted = step_seconds(model, step.ranks, each);
    text += cat("| ", step.ranks, " | ", step.batch, " | ", step.accumulate, " | ",
                formatted("%.4g", step.seconds), " | ", formatted("%.4g", predicted), " | ",
                formatted("%.2f", step.seconds / predicted), " |\n");
  }
  return text;
}

std::string assumptions_text(const ScalingModel& model) {
  const Links& links = model.links;
  const std::string rate = rate_text(links.bandwidth), network = rate_text(links.network);
  const std::string machine = cat("machine of ", links.per_machine);
  return cat(
      "Predicted, not measured. A rank takes ", formatted("%.4g", 1e3 * model.fixed), " ms a step and ",
      formatted("%.4g", 1e3 * model.per_image), " ms an image. It exchanges ",
      apps::thousands(std::llround(model.parameters)), " gradients in f32 (",
      grouped(1e-6 * kBytes * model.parameters), " MB), ",
      links.levels == 1
          ? cat("in one level: at ", rate, " with ranks of its ", machine, ", at ", network, " with others")
          : cat("first inside its ", machine, " at ", rate, ", then between machines at ", network),
      ". A phase of the exchange adds ", formatted("%.4g", 1e3 * links.latency), " ms; sums read and write ",
      rate_text(links.memory_rate), ". The computation hides ", formatted("%.3g", 100 * model.overlap),
      " % of the exchange.");
}

std::string efficiency_text(Scaling scaling, int64_t images) {
  return cat("Efficiency: images a second, compared with as many times those of one rank with ",
             scaling == Scaling::weak ? "" : "the whole update of ", apps::thousands(images),
             scaling == Scaling::weak ? " images a step." : " images.");
}

}  // namespace ito::bench
