#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/io/atomic_file.h"
#include "io_helpers.h"
#include "model/training/run_journal.h"
#include "model/unet/presets.h"

/// What a run writes for people: the log and where it is cut, curves of bounded size, the page's data, and
/// that a disk that refuses all of it stops nothing.
namespace ito::model {
namespace {

namespace fs = std::filesystem;
using namespace tests;
using nlohmann::json;

TrainingOptions tiny(int64_t steps) {
  TrainingOptions options;
  options.preset = "tiny";
  options.network = preset("tiny").network;
  set_steps(options, steps);
  return options;
}

/// The object that run_data.js hands to the page.
json data_of(const std::string& script) {
  REQUIRE(script.rfind("showRun(", 0) == 0);
  REQUIRE(script.substr(script.size() - 3) == ");\n");
  return json::parse(script.substr(8, script.size() - 11));
}
json page_of(const fs::path& run) { return data_of(io::read_file(run / "run_data.js")); }

struct Notes {
  std::vector<std::string> texts;
  RunJournal::Note take() {
    return [this](const std::string& text) { texts.push_back(text); };
  }
};

Progress progress_at(int64_t step, int64_t steps, double loss = 0.5) {
  Progress p;
  p.step = step, p.steps = steps, p.loss = loss, p.images_per_second = 12.5, p.seconds_left = 60;
  return p;
}

/// Logs steps from + 10, ... , to.
void log_steps(RunJournal& journal, int64_t from, int64_t to, int64_t steps) {
  for (int64_t step = from + 10; step <= to; step += 10) {
    const Progress p = progress_at(step, steps, 1.0 / double(step));
    journal.step(p, {step - 1, p.loss, 2.0, 1e-4, false});
    journal.progress(p);
  }
}

TEST_CASE("a curve of a million steps is a thousand points that hold every value") {
  Curve curve;
  const int64_t values = 100000;
  for (int64_t i = 1; i <= values; ++i) {
    curve.add(10 * i, i == 77777 ? 50.0 : std::sin(double(i)));
    REQUIRE(curve.points().size() <= Curve::kMostPoints);
  }
  curve.add(10 * values + 10, NAN);
  curve.add(10 * values + 10, std::numeric_limits<double>::infinity());
  CHECK(curve.points().size() > Curve::kMostPoints / 2);
  double sum = 0, high = -1, low = 1;
  int64_t count = 0, step = 0, full = curve.points().front().count;
  for (const Curve::Point& p : curve.points()) {
    CHECK(p.step > step);
    CHECK((p.count == full || &p == &curve.points().back()));
    sum += p.sum, count += p.count, step = p.step;
    high = std::max(high, p.high), low = std::min(low, p.low);
  }
  CHECK(count == values);
  CHECK(step == 10 * values);
  CHECK(high == 50.0);
  CHECK(low == doctest::Approx(-1).epsilon(1e-6));
  double want = 50 - std::sin(77777.0);
  for (int64_t i = 1; i <= values; ++i) want += std::sin(double(i));
  CHECK(sum == doctest::Approx(want));
}

TEST_CASE("the page of the longest run stays small") {
  RunPage page;
  for (int64_t step = 1; step <= 1000000; ++step) {
    const double noise = 0.123456789 + 1e-3 * std::sin(double(step));
    if (step % 10 == 0)
      for (Curve* curve : {&page.loss, &page.grad_norm, &page.learning_rate, &page.speed})
        curve->add(step, noise);
    if (step % 100 == 0) page.validation_loss.add(step, noise), page.grids.push_back(step);
    if (step % 100 == 0) page.messages.push_back({step, "step " + std::to_string(step) + " was skipped"});
  }
  const std::string script = run_page_data(page, 1e9);
  CHECK(script.size() < 250000);
  const json data = data_of(script);
  CHECK(data["grids"].size() <= 1000);
  CHECK(data["grids"].back() == 1000000);
  CHECK(data["messages"].size() == 100);
  CHECK(data["messages"].back()["step"] == 1000000);
}

TEST_CASE("the page is made of its files, and reads nothing except what lies next to it") {
  const std::string page = run_page_html(), root = ITO_SOURCE_DIR "/model/training/run_page";
  for (const char* part : {".css", "_charts.js", ".js"}) {
    const std::string text = io::read_file(root + part);
    CHECK_MESSAGE(contains(page, text), part);
    CHECK_MESSAGE(!contains(text, "</script"), part);  // would end the script
  }
  CHECK_FALSE(contains(page, "@run_page"));
  CHECK(contains(page, page_style()));
  for (const char* word :
       {"https://", "fetch(", "XMLHttpRequest", "import ", "innerHTML", "@import", "url(h"})
    CHECK_MESSAGE(!contains(page, word), word);
}

TEST_CASE("a run's page tells of it from the start to the end") {
  const TempFolder folder;
  const RunFolder run(folder / "run");
  Notes notes;
  RunJournal journal(run, tiny(100), 0, notes.take());
  CHECK(io::read_file(run.path() / "index.html") == run_page_html());
  json data = page_of(run.path());
  CHECK(data["state"] == "running");
  CHECK(data["steps"] == 100);
  CHECK(data["options"]["preset"] == "tiny");
  CHECK(data["curves"]["loss"]["steps"].empty());

  log_steps(journal, 0, 50, 100);
  journal.validation(50, 0.75);
  put(run.sample_grid(50), io::read_file(fixture("events.png")));
  journal.grid(50, run.sample_grid(50));
  journal.saved(50);
  journal.message("step 43 was skipped");
  journal.ended("the loss is <NaN>");
  data = page_of(run.path());
  CHECK(data["state"] == "stopped");
  CHECK(data["reason"] == "the loss is <NaN>");
  CHECK(data["step"] == 50);
  CHECK(data["saved"] == 50);
  CHECK(data["grids"] == json({50}));
  CHECK(data["curves"]["loss"]["steps"] == json({10, 20, 30, 40, 50}));
  CHECK(data["curves"]["loss"]["mean"] == json({0.1, 0.05, 0.033333, 0.025, 0.02}));
  CHECK(data["curves"]["validation_loss"]["mean"] == json({0.75}));
  CHECK(data["messages"] == json({{{"step", 50}, {"text", "step 43 was skipped"}}}));
  const double now = double(time(nullptr));
  CHECK(std::abs(data["updated"].get<double>() - now) < 100);

  log_steps(journal, 50, 100, 100);
  journal.ended("it was interrupted");
  CHECK(page_of(run.path())["state"] == "finished");
  CHECK(notes.texts.empty());
}

TEST_CASE("a run that goes on cuts its log there, and its page shows what was before") {
  const TempFolder folder;
  const RunFolder run(folder / "run");
  Notes notes;
  json straight;
  {
    RunJournal journal(run, tiny(100), 0, notes.take());
    log_steps(journal, 0, 60, 100);
    journal.validation(40, 0.5);
    straight = page_of(run.path());
    put(run.sample_grid(20), "");
    put(run.sample_grid(60), "");
  }
  const std::string log = io::read_file(run.path() / "log.jsonl");
  put(run.path() / "log.jsonl", log + "{\"step\":6");  // a kill in the middle of a line
  RunJournal journal(run, tiny(100), 40, notes.take());
  json data = page_of(run.path());
  CHECK(data["step"] == 40);
  CHECK(data["grids"] == json({20}));
  CHECK(data["curves"]["loss"]["steps"] == json({10, 20, 30, 40}));
  CHECK(data["curves"]["validation_loss"]["mean"] == json({0.5}));
  log_steps(journal, 40, 60, 100);
  journal.ended("");
  // The same lines as before, except for the order of those of the cut.
  const std::string again = io::read_file(run.path() / "log.jsonl");
  CHECK(again.size() == log.size());
  std::istringstream lines(again);
  int64_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) CHECK(contains(log, line + "\n"));
  CHECK(count == 7);
  CHECK(page_of(run.path())["curves"]["loss"]["steps"] == json({10, 20, 30, 40, 50, 60}));
  CHECK(fs::exists(run.path() / "tensorboard/events.out.tfevents.0000000002.ito"));
  CHECK(notes.texts.empty());
}

TEST_CASE("losses that are not finite are null in the log and gaps in the curves") {
  const TempFolder folder;
  const RunFolder run(folder / "run");
  Notes notes;
  RunJournal journal(run, tiny(100), 0, notes.take());
  journal.step(progress_at(10, 100, NAN), {9, NAN, INFINITY, 1e-4, true});
  journal.step(progress_at(20, 100, 0.5), {19, 0.5, 1.0, 1e-4, false});
  journal.ended("");
  CHECK(contains(io::read_file(run.path() / "log.jsonl"), "\"loss\":null"));
  CHECK(page_of(run.path())["curves"]["loss"]["steps"] == json({20}));
  CHECK(page_of(run.path())["curves"]["grad_norm"]["steps"] == json({20}));
  CHECK(notes.texts.empty());
}

TEST_CASE(
    "a folder's name with quotes, <, & and umlauts arrives as it is; bytes that are no text do not stop it") {
  const TempFolder folder;
  Notes notes;
  for (const std::string& name :
       {std::string("it's \"<b>Bär & Söhne</b>\" </script> #1 100%?"), std::string("latin1-\xE4")}) {
    const RunFolder run(folder / name);
    RunJournal(run, tiny(100), 0, notes.take()).ended("");
    const std::string shown = fs::path(page_of(run.path())["folder"].get<std::string>()).filename();
    if (name[0] == 'i')
      CHECK(shown == "script> #1 100%?");  // the name holds a slash
    else
      CHECK(shown == "latin1-%E4");
  }
  CHECK(notes.texts.empty());
}

TEST_CASE("where nothing can be written, each failure is reported once and the run goes on") {
  const TempFolder folder;
  const RunFolder run(folder / "run");
  put(run.path() / "log.jsonl", "");
  // As a full disk does: every file of more than 50 bytes is refused.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto ignored = signal(SIGXFSZ, SIG_IGN);
  const rlimit small{50, before.rlim_max};
  Notes notes;
  setrlimit(RLIMIT_FSIZE, &small);
  {
    RunJournal journal(run, tiny(100), 0, notes.take());
    log_steps(journal, 0, 50, 100);
    setrlimit(RLIMIT_FSIZE, &before);
    log_steps(journal, 50, 100, 100);  // there is room again
    journal.ended("");
  }
  signal(SIGXFSZ, ignored);
  REQUIRE(notes.texts.size() == 3);
  CHECK(contains(notes.texts[0], "the run's page cannot be written, training goes on without: "));
  CHECK(contains(notes.texts[0], "index.html"));
  CHECK(contains(notes.texts[1], "log.jsonl cannot be written"));
  CHECK(contains(notes.texts[2], "TensorBoard's events cannot be written"));
  // No half a line stayed: what could be written afterwards can be read.
  std::istringstream lines(io::read_file(run.path() / "log.jsonl"));
  std::vector<int> steps;
  for (std::string line; std::getline(lines, line);) steps.push_back(json::parse(line)["step"]);
  CHECK(steps == std::vector<int>{60, 70, 80, 90, 100});
  CHECK(fs::file_size(run.path() / "tensorboard/events.out.tfevents.0000000001.ito") > 5 * 100);
  CHECK_FALSE(fs::exists(run.path() / "tensorboard/events.out.tfevents.0000000002.ito"));
  CHECK(page_of(run.path())["state"] == "finished");
  CHECK(page_of(run.path())["curves"]["loss"]["steps"].size() == 10);  // the page forgot nothing
}

}  // namespace
}  // namespace ito::model
