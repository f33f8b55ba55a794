#include <doctest/doctest.h>

#include <limits>
#include <sstream>

#include "bench/scaling_model.h"
#include "tests/helpers.h"
#include "tests/program.h"

/// The predicted step of several ranks: closed forms, texts, and the tables of docs/distributed.md.
namespace ito::bench {
namespace {

using doctest::Approx;
using tests::contains;
using tests::error_of;

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNumbers = 35811843;

ScalingModel model_with(const Links& links = {}) {
  ScalingModel model;
  model.parameters = kNumbers, model.links = links;
  return model;
}

TEST_CASE("one rank exchanges nothing") {
  for (const int levels : {1, 2}) {
    const Traffic t = traffic_of(1, kNumbers, {.levels = levels});
    CHECK(t.inside == 0);
    CHECK(t.between == 0);
    CHECK(t.summed == 0);
    CHECK(t.phases == 0);
    const ScalingModel model = model_with({.levels = levels});
    CHECK(step_seconds(model, 1, 256) == model.fixed + 256 * model.per_image);
    CHECK(predict(model, Scaling::strong, 2048, 1).efficiency == Approx(1));
  }
}

TEST_CASE("inside a machine a rank sends 2 (R - 1) / R of its gradients, and sums R shards") {
  for (const int levels : {1, 2})
    for (const int ranks : {2, 3, 5, 8}) {
      CAPTURE(ranks);
      const Traffic t = traffic_of(ranks, 1000, {.levels = levels});
      CHECK(t.inside == Approx(2.0 * (ranks - 1) / ranks * 4000));
      CHECK(t.between == 0);
      CHECK(t.summed == Approx(4000 + 4000.0 / ranks));  // reads R shards of P / R, writes one
      CHECK(t.phases == 2);
    }
}

TEST_CASE("two levels: what goes between machines is an eighth's exchange among machines") {
  const Traffic t = traffic_of(64, 1000, {.levels = 2});  // 8 machines of 8
  CHECK(t.inside == Approx(2 * 7.0 / 8 * 4000));
  CHECK(t.between == Approx(2 * 7.0 / 8 * 500));
  CHECK(t.summed == Approx(4000 + 500 + 500 + 62.5));
  CHECK(t.phases == 4);
}

TEST_CASE("one level: a rank sends its shards to 7 ranks nearby and to 56 others") {
  const Traffic t = traffic_of(64, 1000, {.levels = 1});
  CHECK(t.inside == Approx(2 * 7.0 / 64 * 4000));
  CHECK(t.between == Approx(2 * 56.0 / 64 * 4000));
  CHECK(t.summed == Approx(4000 + 62.5));
  CHECK(t.phases == 2);
}

TEST_CASE("both ways send 2 (R - 1) / R of the gradients in all, and a machine of one rank has no inside") {
  for (const int levels : {1, 2})
    for (const int per_machine : {1, 4, 8})
      for (const int ranks : {8, 16, 24, 512}) {
        CAPTURE(levels);
        CAPTURE(per_machine);
        CAPTURE(ranks);
        const Traffic t = traffic_of(ranks, 1000, {.per_machine = per_machine, .levels = levels});
        CHECK(t.inside + t.between == Approx(2.0 * (ranks - 1) / ranks * 4000));
        CHECK((t.inside == 0) == (per_machine == 1));
      }
}

TEST_CASE("the exchange's seconds are its parts, one after the other") {
  const Traffic t{.inside = 6, .between = 10, .summed = 28, .phases = 4};
  const Links links{.bandwidth = 2, .network = 5, .latency = 0.5, .memory_rate = 7};
  CHECK(exchange_seconds(t, links) == Approx(3 + 2 + 2 + 4));
}

TEST_CASE("links that cost nothing give as many times one rank's speed") {
  const ScalingModel model =
      model_with({.bandwidth = kInfinity, .network = kInfinity, .latency = 0, .memory_rate = kInfinity});
  for (const int ranks : {2, 8, 64, 512}) {
    const Prediction p = predict(model, Scaling::weak, 256, ranks);
    CHECK(p.exchange == 0);
    CHECK(p.efficiency == Approx(1));
    CHECK(p.images_per_second == Approx(ranks * 256 / (2e-3 + 256 * 369e-6)));
  }
  // An update that is divided keeps the seconds that do not depend on images.
  CHECK(predict(model, Scaling::strong, 2048, 64).efficiency ==
        Approx((2e-3 + 2048 * 369e-6) / (64 * (2e-3 + 32 * 369e-6))));
}

TEST_CASE("an exchange that is hidden costs as much less") {
  ScalingModel model = model_with();
  const double alone = step_seconds(model, 1, 256), whole = step_seconds(model, 64, 256) - alone;
  CHECK(whole == Approx(exchange_seconds(traffic_of(64, kNumbers, {}), {})));
  model.overlap = 0.6;
  CHECK(step_seconds(model, 64, 256) == Approx(alone + 0.4 * whole));
  model.overlap = 1;
  CHECK(step_seconds(model, 64, 256) == alone);
}

TEST_CASE("more ranks are never more efficient, and slower links never faster") {
  for (const int levels : {1, 2})
    for (const Scaling scaling : {Scaling::weak, Scaling::strong}) {
      double efficiency = 1 + 1e-12;
      for (const int ranks : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}) {
        const Prediction p = predict(model_with({.levels = levels}), scaling, 2048, ranks);
        CHECK(p.efficiency <= efficiency);
        efficiency = p.efficiency;
      }
    }
  const double step = step_seconds(model_with({.levels = 2}), 64, 256);
  for (const Links& slower :
       {Links{.levels = 2, .bandwidth = 1e11}, Links{.levels = 2, .network = 1e10},
        Links{.levels = 2, .latency = 1e-4}, Links{.levels = 2, .memory_rate = 1e12}, Links{.levels = 1}})
    CHECK(step_seconds(model_with(slower), 64, 256) > step);
}

TEST_CASE("what cannot be divided equally is refused") {
  CHECK(error_of([] { (void)traffic_of(12, 1000, {}); }) ==
        "12 ranks do not fill machines of 8; choose a multiple of it, or another --per-machine");
  CHECK(error_of([] { (void)predict(model_with(), Scaling::strong, 100, 8); }) ==
        "8 ranks cannot share an update of 100 images equally");
}

TEST_CASE("the table and its sentences") {
  ScalingModel model{.fixed = 0.1, .per_image = 0.01, .overlap = 0.5, .parameters = 1e9};
  model.links = {
      .per_machine = 4, .levels = 2, .bandwidth = 1e10, .network = 1e9, .latency = 0, .memory_rate = 1e12};
  // 4 ranks: 6 GB at 10 GB/s, sums of 5 GB; 16: 1.5 GB at 1 GB/s more, and 1.25 GB.
  std::vector<Prediction> rows;
  for (const int ranks : {1, 4, 16}) rows.push_back(predict(model, Scaling::weak, 90, ranks));
  CHECK(prediction_table(rows) ==
        "| ranks | images each | exchange, ms | step, ms | images/s | efficiency |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| 1 | 90 | 0.00 | 1000.00 | 90 | 100.0 % |\n"
        "| 4 | 90 | 605.00 | 1302.50 | 276 | 76.8 % |\n"
        "| 16 | 90 | 2106.25 | 2053.12 | 701 | 48.7 % |\n");
  CHECK(
      assumptions_text(model) ==
      "Predicted, not measured. A rank takes 100 ms a step and 10 ms an image. It exchanges 1,000,000,000 "
      "gradients in f32 (4,000 MB), first inside its machine of 4 at 10 GB/s, then between machines at 1 "
      "GB/s. "
      "A phase of the exchange adds 0 ms; sums read and write 1,000 GB/s. The computation hides 50 % of the "
      "exchange.");
  model.links.levels = 1;
  CHECK(contains(assumptions_text(model),
                 "in one level: at 10 GB/s with ranks of its machine of 4, at 1 GB/s with others."));
  CHECK(
      efficiency_text(Scaling::weak, 2048) ==
      "Efficiency: images a second, compared with as many times those of one rank with 2,048 images a step.");
  CHECK(efficiency_text(Scaling::strong, 2048) ==
        "Efficiency: images a second, compared with as many times those of one rank with the whole update of "
        "2,048 "
        "images.");
}

TEST_CASE("measured steps: a line each, compared with predictions") {
  const std::vector<MeasuredStep> steps = read_measured(
      "{\"ranks\": 1, \"batch\": 4, \"accumulate\": 8, \"seconds_per_step\": 0.5}\n\n"
      "{\"seconds_per_step\": 0.4, \"date\": \"x\", \"ranks\": 2, \"batch\": 4, \"accumulate\": 8}\r\n");
  REQUIRE(steps.size() == 2);
  ScalingModel model{.fixed = 0.08, .per_image = 0.01, .parameters = 1e7};
  model.links = {.bandwidth = 1e9, .latency = 0, .memory_rate = 1e9};
  CHECK(measured_table(model, steps) ==
        "| ranks | batch | accumulate | measured, s | predicted, s | measured / predicted |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| 1 | 4 | 8 | 0.5 | 0.4 | 1.25 |\n"
        "| 2 | 4 | 8 | 0.4 | 0.34 | 1.18 |\n");  // .08 + 16 * .01 + 40 MB + 60 MB
  const auto refusal = [](const std::string& text) { return error_of([&] { (void)read_measured(text); }); };
  CHECK(refusal(" \n") == "it holds no measured step");
  CHECK(refusal("\n[1]") == "line 2: it is not an object of JSON");
  CHECK(refusal("{\"ranks\": 3, \"batch\": 4, \"accumulate\": 8, \"seconds_per_step\": 1}") ==
        "line 1: 3 ranks do not divide accumulate = 8");
  CHECK(refusal("{\"ranks\": 0, \"batch\": 4, \"accumulate\": 8, \"seconds_per_step\": 1}") ==
        "line 1: ranks must be at least 1, is 0");
  CHECK(refusal("{\"ranks\": 1, \"batch\": 4, \"accumulate\": 8, \"seconds_per_step\": 0}") ==
        "line 1: seconds_per_step must be above 0, is 0");
  CHECK(refusal("{\"ranks\": 1, \"batch\": 4, \"accumulate\": 8}") ==
        "line 1: ranks, batch, accumulate and seconds_per_step are needed, and must be numbers");
}

TEST_CASE("./bench_scaling: measured steps, and flags that exclude each other") {
  const tests::TempFolder folder;
  tests::put(folder / "steps", "{\"ranks\": 2, \"batch\": 1, \"accumulate\": 2, \"seconds_per_step\": 1}\n");
  tests::put(folder / "none", "");
  const auto run = [&](const std::string& flags) {
    return tests::run_program(folder.path(), "bench_scaling " + flags);
  };
  const tests::Ended compared = run("--measured steps --fixed 0.5 --parameters 1");
  CHECK(compared.code == 0);
  CHECK(contains(compared.out, "| 2 | 1 | 2 | 1 | 0.5004 | 2.00 |\n"));
  CHECK(contains(run("--measured none").err, "none: it holds no measured step"));
  CHECK(contains(run("--measured steps --ranks 2").err, "leave out --ranks, --batch and --scaling"));
  CHECK(contains(run("--preset tiny --parameters 5").err, "choose one"));
  CHECK(contains(run("--ranks 8,,16").err, "each number of --ranks must be a whole number from 1"));
}

/// A command of the page, and the table below it.
struct Example {
  std::string command, table;
};

std::string table_of(const std::string& text) {
  const size_t begin = text.find("| ranks"), end = text.find("\n\n", begin);
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + (end != std::string::npos));
}

std::vector<Example> examples(const std::string& page) {
  const std::string start = "\n    ./";
  std::vector<Example> all;
  for (size_t at = page.find(start + "bench_scaling"); at != std::string::npos;
       at = page.find(start + "bench_scaling", at + 1)) {
    const size_t begin = at + start.size(), end = page.find('\n', begin);
    const size_t next = page.find(start, end);
    all.push_back({page.substr(begin, end - begin), table_of(page.substr(end, next - end))});
  }
  return all;
}

/// With one blank instead of blanks and line ends.
std::string on_one_line(const std::string& text) {
  std::istringstream words(text);
  std::string line;
  for (std::string word; words >> word;) line += (line.empty() ? "" : " ") + word;
  return line;
}

TEST_CASE("docs/distributed.md has the tables that its commands print, and what they assume") {
  const tests::TempFolder folder;
  const std::string page = io::read_file(ITO_SOURCE_DIR "/docs/distributed.md");
  const std::vector<Example> all = examples(page);
  CHECK(all.size() >= 3);
  for (const Example& example : all) {
    CAPTURE(example.command);
    const tests::Ended ended = tests::run_program(folder.path(), example.command);
    CHECK(ended.code == 0);
    CHECK(ended.err.empty());
    CHECK(table_of(ended.out) == example.table);
    if (&example == &all.front())
      CHECK(contains(on_one_line(page), ended.out.substr(0, ended.out.find('\n'))));
  }
}

}  // namespace
}  // namespace ito::bench
