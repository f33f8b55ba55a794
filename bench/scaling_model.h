#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/names.h"

/// How long a training step of several ranks takes, computed from a few measured pieces. R ranks exchange P gradients
/// in f32, L of them to a machine, on m = R / L machines:
///
///   step     = fixed + per_image * images each + (1 - overlap) * exchange
///   exchange = inside / bandwidth + between / network + phases * latency + summed / memory_rate
///
/// A level of the exchange among n ranks that hold N numbers each is two phases: an all-to-all, which brings n shards
/// of N / n numbers to every rank, and, after their sum, an all-gather. So a rank sends 2 (n - 1) / n N numbers, and
/// its sum reads N and writes N / n. One rank exchanges nothing.
namespace ito::bench {

/// What the gradients travel over. Rates are bytes a second that one rank reaches while all of them send; the defaults
/// are an H200's measured copy, and assumptions for the others.
struct Links {
  int per_machine = 8;        // ranks on one machine
  int levels = 1;             // 1: every rank with every other; 2: inside each machine, then between machines
  double bandwidth = 3.6e11;  // inside a machine
  double network = 4.5e10;    // between machines
  double latency = 3e-5;      // seconds a phase
  double memory_rate = 4.25e12;  // bytes that a rank's sum reads and writes a second
};

/// What a prediction is made from. The defaults are celeba64 in bf16 on H200s; `fixed` includes the optimizer, since
/// every rank updates all parameters itself. How many micro-batches a rank makes of its images counts as nothing.
struct ScalingModel {
  double fixed = 2e-3;        // seconds a step of one rank
  double per_image = 369e-6;  // and seconds an image
  double overlap = 0;         // share of the exchange that the computation hides
  double parameters = 0;
  Links links = {};
};

/// What one rank sends and sums in a step, in bytes.
struct Traffic {
  double inside = 0, between = 0;  // to ranks of its machine, and of others
  double summed = 0;               // read and written by its sums
  int phases = 0;
};

/// Two levels with L = min(ranks, per_machine): inside = 2 (L - 1) / L, between = 2 (m - 1) / (m L). One level:
/// inside = 2 (L - 1) / R, between = 2 (R - L) / R. All times 4 P bytes, and together 2 (R - 1) / R in both cases.
/// Error: more ranks than one machine has that do not fill machines.
Traffic traffic_of(int ranks, double parameters, const Links& links);

/// Seconds of the whole exchange, hidden or not. One after the other: nothing inside a machine runs during what is
/// between machines.
double exchange_seconds(const Traffic& traffic, const Links& links);

/// Seconds of a step in which each of the ranks has so many images.
double step_seconds(const ScalingModel& model, int ranks, int64_t images_each);

/// What stays the same while ranks are added.
enum class Scaling { weak, strong };

/// A step of several ranks. `efficiency` is 1 where R ranks make R times the images a second of one rank, which has as
/// many images as each of them (weak) or all images of the update (strong).
struct Prediction {
  int ranks;
  int64_t images_each;
  double exchange, step, images_per_second, efficiency;
};

/// `images`: each rank's (weak), or an update's (strong). Error: an update that the ranks cannot share equally.
Prediction predict(const ScalingModel& model, Scaling scaling, int64_t images, int ranks);

/// A step as a run of several processes took it.
struct MeasuredStep {
  int ranks = 1, batch = 1, accumulate = 1;
  double seconds = 0;
};

/// The steps of a file's text, a line of JSON each: {"ranks": 2, "batch": 4, "accumulate": 8, "seconds_per_step": 0.5};
/// other keys are ignored. Error, with the line's number: something else, or ranks that do not divide accumulate.
std::vector<MeasuredStep> read_measured(const std::string& text);

/// Tables in Markdown, and the sentences with what they assume.
std::string prediction_table(const std::vector<Prediction>& rows);
std::string measured_table(const ScalingModel& model, const std::vector<MeasuredStep>& steps);
std::string assumptions_text(const ScalingModel& model);
std::string efficiency_text(Scaling scaling, int64_t images);

}  // namespace ito::bench

namespace ito {

template <>
struct Names<bench::Scaling> {
  static constexpr std::string_view kKind = "scaling";
  static constexpr Named<bench::Scaling> kTable[] = {{"weak", bench::Scaling::weak},
                                                     {"strong", bench::Scaling::strong}};
};

}  // namespace ito
