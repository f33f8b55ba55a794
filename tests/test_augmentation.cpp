#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "kernels/make_batch.h"
#include "model/training/augmentation.h"
#include "model/training/fine_tuning.h"
#include "model/training/trainer.h"
#include "model/training/validation.h"
#include "tests/batch_reference.h"
#include "tests/helpers.h"
#include "tests/small_run.h"

/// EDM's augmentation: each operation against a direct computation, how often there is one, and the labels.
namespace ito::model {
namespace {

using std::numbers::pi;
using tests::contains, tests::error_of;

constexpr int kHeight = 9, kWidth = 14;

struct Place {
  double x, y;  // from the centre, to the right and down
};

/// Where each operation takes the pixel of a place from.
using From = std::function<Place(const Place&)>;

/// The image that an augmentation makes, against one that reads from(place) for each place, in f64.
void check_operation(const Augmentation& a, const From& from) {
  const uint32_t step = 0;
  test::BatchReference p{{1, kHeight, kWidth, 3, 0, Purpose::test, &step},
                         test::random_pixels(size_t(kHeight * kWidth * 3)),
                         {{0, 0, a.x_flip, 1, 0, 0, 1}},
                         {map_of(a, kHeight, kWidth)}};
  std::vector<double> input(size_t(p.size()), NAN), target(input);
  kernels::CpuStream stream(1);
  kernels::make_batch(stream, p.d, p.images(), {}, {input.data(), engine::DType::f64},
                      {target.data(), engine::DType::f64});
  const double middle_x = (kWidth - 1) / 2.0, middle_y = (kHeight - 1) / 2.0;
  double worst = 0;
  for (int e = 0; e < p.size(); ++e) {
    const Place place = from({e / 3 % kWidth - middle_x, e / 3 / kWidth - middle_y});
    const double want = p.at(0, place.y + middle_y, place.x + middle_x, e % 3);
    worst = std::max(worst, std::abs(input[size_t(e)] - want));
  }
  // The map's six numbers are f32: positions of up to 4 widths, and two units of x0 a pixel each way.
  CHECK(worst < 4 * kWidth * 4 * 4 * 0x1p-24);
}

TEST_CASE("each operation alone moves pixels as it says, about the image's centre") {
  check_operation({}, [](const Place& p) { return p; });
  check_operation({.x_flip = true}, [](const Place& p) { return p; });  // the recipe's, not the map's
  check_operation({.y_flip = true}, [](const Place& p) { return Place{p.x, -p.y}; });
  for (const double w : {1.0, -2.5}) {
    const double s = std::pow(2, 0.2 * w);
    check_operation({.scale = w}, [=](const Place& p) { return Place{p.x / s, p.y / s}; });
    for (const double r : {0.0, 0.7, -2.9}) {
      // What is longer lies along (cos r, -sin r): up is -y.
      check_operation({.stretch = w, .direction = r}, [=](const Place& p) {
        const double along = (p.x * std::cos(r) - p.y * std::sin(r)) / s;
        const double across = (p.x * std::sin(r) + p.y * std::cos(r)) * s;
        return Place{along * std::cos(r) + across * std::sin(r), -along * std::sin(r) + across * std::cos(r)};
      });
    }
  }
  // Anticlockwise by a right angle: what is seen on the left was above.
  check_operation({.angle = pi / 2}, [](const Place& p) { return Place{-p.y, p.x}; });
  check_operation({.angle = -1.1}, [](const Place& p) {
    const double c = std::cos(-1.1), s = std::sin(-1.1);
    return Place{p.x * c - p.y * s, p.x * s + p.y * c};
  });
  check_operation({.shift_x = 1.5, .shift_y = -0.5}, [](const Place& p) {
    return Place{p.x - 0.125 * 1.5 * kWidth, p.y + 0.125 * 0.5 * kHeight};
  });
}

TEST_CASE("together they are done in their order: the first one's pixels are read last") {
  const double s = std::pow(2, 0.2 * 0.8), t = std::pow(2, 0.2 * -1.2);
  const Augmentation a{.x_flip = true,
                       .y_flip = true,
                       .scale = 0.8,
                       .angle = 0.6,
                       .stretch = -1.2,
                       .shift_x = -0.4,
                       .shift_y = 0.9};
  check_operation(a, [=](const Place& p) {
    const Place moved{p.x + 0.125 * 0.4 * kWidth, p.y - 0.125 * 0.9 * kHeight};
    const Place long_{moved.x / t, moved.y * t};
    const double c = std::cos(0.6), q = std::sin(0.6);
    const Place turned{long_.x * c - long_.y * q, long_.x * q + long_.y * c};
    return Place{turned.x / s, -turned.y / s};
  });
}

TEST_CASE("the nine labels say what was done, and nothing is zeros and the identity") {
  const auto none = labels_of({});
  CHECK(std::all_of(none.begin(), none.end(), [](float label) { return label == 0; }));
  CHECK(map_of({}, 7, 12).is_identity());
  CHECK(map_of({.x_flip = true}, 7, 12).is_identity());
  const auto labels = labels_of({.x_flip = true,
                                 .y_flip = true,
                                 .scale = 0.5,
                                 .angle = pi / 3,
                                 .stretch = -2,
                                 .direction = pi / 6,
                                 .shift_x = 0.25,
                                 .shift_y = -1});
  const double want[] = {1, 1, 0.5, -0.5, std::sqrt(0.75), -2 * std::sqrt(0.75), -1, 0.25, -1};
  for (size_t i = 0; i < labels.size(); ++i)
    CHECK(std::abs(double(labels[i]) - want[i]) < 4 * 0x1p-24 * std::abs(want[i]));
}

/// The mean of f over many draws.
template <class F>
double mean(double probability, F&& f) {
  constexpr int kDraws = 40000;
  double sum = 0;
  for (uint32_t i = 0; i < kDraws; ++i)
    sum += f(draw_augmentation({3, Purpose::augmentation, i / 100, i % 100}, probability));
  return sum / kDraws;
}

TEST_CASE("each operation is done with its probability, of the numbers that it should have") {
  constexpr double kDeviation = 4 / 200.0;  // four deviations of a mean of 40,000 numbers of variance 1
  for (const double p : {0.15, 0.6}) {
    CHECK(std::abs(mean(p, [](const Augmentation& a) { return a.y_flip; }) - p / 2) < kDeviation / 2);
    CHECK(std::abs(mean(p, [](const Augmentation& a) { return a.scale != 0; }) - p) < kDeviation / 2);
    CHECK(std::abs(mean(p, [](const Augmentation& a) { return a.angle != 0; }) - p) < kDeviation / 2);
    CHECK(std::abs(mean(p, [](const Augmentation& a) { return a.stretch != 0; }) - p) < kDeviation / 2);
    CHECK(std::abs(mean(p, [](const Augmentation& a) { return a.direction != 0; }) - p / 2) < kDeviation / 2);
    CHECK(std::abs(mean(p, [](const Augmentation& a) { return a.shift_x != 0 && a.shift_y != 0; }) - p) <
          kDeviation / 2);
    const double untouched = (1 - p / 2) * std::pow(1 - p, 4);
    CHECK(std::abs(mean(p, [](const Augmentation& a) { return map_of(a, 8, 8).is_identity(); }) - untouched) <
          kDeviation / 2);
    CHECK(mean(p, [](const Augmentation& a) { return a.x_flip; }) == 0);
  }
  CHECK(mean(0, [](const Augmentation& a) { return map_of(a, 8, 8).is_identity(); }) == 1);
  using Number = double Augmentation::*;
  for (const Number number :
       {&Augmentation::scale, &Augmentation::stretch, &Augmentation::shift_x, &Augmentation::shift_y}) {
    CHECK(std::abs(mean(1, [=](const Augmentation& a) { return a.*number; })) < kDeviation);
    CHECK(std::abs(mean(1, [=](const Augmentation& a) { return a.*number * a.*number; }) - 1) <
          std::sqrt(2.0) * kDeviation);
  }
  CHECK(std::abs(mean(1, [](const Augmentation& a) { return a.scale * a.stretch; })) < kDeviation);
  CHECK(std::abs(mean(1, [](const Augmentation& a) { return a.shift_x * a.shift_y; })) < kDeviation);
  CHECK(std::abs(mean(1, [](const Augmentation& a) { return a.angle / pi; })) < kDeviation);
  CHECK(std::abs(mean(1, [](const Augmentation& a) { return a.angle * a.angle; }) - pi * pi / 3) <
        0.3 * pi * pi * kDeviation);
  CHECK(std::abs(mean(1, [](const Augmentation& a) { return a.direction * a.direction; }) - pi * pi / 6) <
        0.3 * pi * pi * kDeviation);
}

std::vector<float> parameter(Trainer& trainer, const char* name) {
  engine::ParamStore& store = trainer.store();
  const int index = store.find(name);
  return index < 0 ? std::vector<float>() : store.read(index, engine::Track::master);
}

TEST_CASE("with --augment a network has one layer more, which learns") {
  tests::SmallRun run;
  engine::Device device({1, engine::Backend::cpu});
  Trainer plain(device, run.options, run.images());
  run.options.augment = 0.5, run.options.network.augment = true;
  Trainer augmented(device, run.options, run.images());
  CHECK(parameter(plain, "augment_embedding.weight").empty());
  const auto before = parameter(augmented, "augment_embedding.weight");
  CHECK(before.size() == 4 * 16 * kAugmentationLabels);
  CHECK(parameter(augmented, "augment_embedding.bias").empty());
  CHECK(augmented.step().loss != plain.step().loss);
  for (int i = 0; i < 3; ++i) augmented.step();
  CHECK(parameter(augmented, "augment_embedding.weight") != before);
}

TEST_CASE("validation has its own noise, plain images and no labels, whatever training has") {
  tests::SmallRun run;
  engine::Device device({1, engine::Backend::cpu});
  run.options.network.augment = true;
  run.options.augment = 0.01;
  Trainer plain(device, run.options, run.images());
  run.options.augment = 1, run.options.noise_candidates = 4, run.options.input_noise = 0.5;
  Trainer varied(device, run.options, run.images());
  std::vector<double> losses;
  for (Trainer* trainer : {&plain, &varied}) losses.push_back(trainer->step().loss);
  CHECK(losses[0] != losses[1]);
  for (int i = 0; i < 3; ++i) varied.step();
  for (int i = 0; i < int(plain.store().specs().size()); ++i)
    if (plain.store().specs()[size_t(i)].trainable)
      plain.store().write(i, engine::Track::ema, varied.store().read(i, engine::Track::ema));
  const double loss = Validation(device, varied, run.held_out()).loss();
  CHECK(loss == Validation(device, plain, run.held_out()).loss());
}

TEST_CASE("labels go to the unet alone, and to a network that was made with them") {
  TrainingOptions o = default_options("document");
  o.augment = 0.1;
  CHECK(error_of([&] { check(o); }) ==
        "augment is 0.1, and the network was made without labels of augmented images");
  for (const char* other : {"document", "tutorial"}) {
    o.network = default_options(other).network;
    o.network.augment = true;
    CHECK(contains(error_of([&] { check(o); }), cat("are for the network unet, not for ", other)));
    CHECK(tests::advice_of([&] { check(o); }) == "no {augment}");
  }
  o = default_options("tiny");
  o.network.augment = true;
  CHECK(contains(error_of([&] { check(o); }), "augment is 0, and the network was made with labels"));
}

}  // namespace
}  // namespace ito::model
