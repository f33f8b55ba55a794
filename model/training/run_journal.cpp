#include "model/training/run_journal.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"
#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "kernels/base/file.h"
#include "model/training/attribute_rows.h"

namespace ito::model {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* kLog = "log.jsonl";
// The page is written so seldom that it takes less than a hundredth of the time, and hardly uses the disk.
constexpr double kSecondsBetweenPages = 3, kRestPerPage = 100;

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double number(const json& line, const char* name) {
  const auto found = line.find(name);
  return found != line.end() && found->is_number() ? found->get<double>() : NAN;  // NaN is null in JSON
}

/// The options as the page shows them: forty names would be longer than all the rest.
std::string shown_options(const TrainingOptions& options) {
  json shown = json::parse(to_json(options));
  if (!options.attributes.empty()) shown["attributes"] = short_list(options.attributes);
  if (!options.classes.empty()) shown["classes"] = short_list(options.classes);
  return io::json_text(shown);
}

/// Adds to the page what it shows of a line of the log, whether the line is written or read back.
void show_line(RunPage& page, const json& line) {
  const int64_t step = line.value("step", int64_t(0));
  page.loss.add(step, number(line, "loss"));
  page.validation_loss.add(step, number(line, "validation_loss"));
  page.fid.add(step, number(line, "fid"));
  page.grad_norm.add(step, number(line, "grad_norm"));
  page.learning_rate.add(step, number(line, "lr"));
  // 0: not known yet
  if (const double speed = number(line, "images_per_second"); speed > 0) page.speed.add(step, speed);
  if (line.contains("message")) page.messages.push_back({step, line.value("message", "")});
}

}  // namespace

RunJournal::RunJournal(const RunFolder& folder, const TrainingOptions& options, int64_t step, Note note)
    : folder_(folder.path()), first_step_(step), note_(std::move(note)) {
  page_.folder = fs::absolute(folder_).lexically_normal().string();
  page_.options = shown_options(options);
  page_.step = page_.saved = std::max<int64_t>(step, 0), page_.steps = options.steps;
  attempt(log_output_, [&] { resume_log(); });
  attempt(page_output_, [&] {
    resume_grids();
    io::write_file_atomic(folder_ / "index.html", run_page_html());
  });
  show_page(true);
}

void RunJournal::step(const Progress& p, const StepReport& r) {
  const json line = {{"step", r.step + 1},
                     {"loss", p.loss},
                     {"grad_norm", r.grad_norm},
                     {"lr", r.learning_rate},
                     {"images_per_second", p.images_per_second},
                     {"skipped", p.skipped}};
  append_log(io::json_text(line));
  append_event([&](EventFile& events) {
    events.scalars(r.step + 1, {{"loss/train", p.loss},
                                {"grad_norm", r.grad_norm},
                                {"learning_rate", r.learning_rate},
                                {"images_per_second", p.images_per_second}});
  });
}

void RunJournal::progress(const Progress& p) {
  page_.step = p.step, page_.steps = p.steps, page_.skipped = p.skipped;
  page_.images_per_second = p.images_per_second, page_.seconds_left = p.seconds_left;
  show_page(false);
}

void RunJournal::validation(int64_t step, double loss) {
  append_log(io::json_text(json({{"step", step}, {"validation_loss", loss}})));
  append_event([&](EventFile& events) { events.scalars(step, {{"loss/validation", loss}}); });
}

void RunJournal::fid(int64_t step, double value) {
  append_log(io::json_text(json({{"step", step}, {"fid", value}})));
  append_event([&](EventFile& events) { events.scalars(step, {{"fid", value}}); });
}

void RunJournal::grid(int64_t step, const fs::path& png) {
  page_.grids.push_back(step);
  append_event([&](EventFile& events) { events.image(step, "samples", io::read_file(png)); });
}

void RunJournal::saved(int64_t step) { page_.saved = step; }

void RunJournal::message(const std::string& text) {
  append_log(io::json_text(json({{"step", page_.step}, {"message", text}})));
}

void RunJournal::ended(const std::string& reason) {
  page_.state = page_.step >= page_.steps ? "finished" : "stopped";
  page_.reason = reason;
  show_page(true);
}

void RunJournal::attempt(Output& output, const std::function<void()>& write) {
  try {
    write();
  } catch (const std::exception& e) {
    if (!output.warned)
      note_(cat(output.name, " cannot be written, training goes on without: ", message_of(e)));
    output.warned = true;
  }
}

/// Cuts off lines of steps that will be repeated, and a line that a kill cut short, which is not JSON.
void RunJournal::resume_log() {
  std::ifstream log(folder_ / kLog);
  std::string kept, line;
  while (std::getline(log, line)) {
    const json parsed = json::parse(line, nullptr, false);
    if (!parsed.is_object() || parsed.value("step", int64_t(0)) > first_step_) continue;
    kept += line + "\n";
    show_line(page_, parsed);
  }
  log.close();
  kept_log_ = std::move(kept);
  rewrite_log();
}

/// Appends nothing until the log has been cut.
void RunJournal::rewrite_log() {
  if (!kept_log_) return;
  io::write_file_atomic(folder_ / kLog, *kept_log_);
  kept_log_.reset();
}

void RunJournal::resume_grids() {
  for (const auto& entry : fs::directory_iterator(folder_ / "samples")) {
    long long step = 0;
    if (std::sscanf(entry.path().filename().c_str(), "step-%lld.png", &step) == 1 && step <= first_step_)
      page_.grids.push_back(step);
  }
  std::sort(page_.grids.begin(), page_.grids.end());
}

void RunJournal::append_log(const std::string& line) {
  show_line(page_, json::parse(line));
  attempt(log_output_, [&] {
    rewrite_log();
    if (!log_) log_.emplace(folder_ / kLog);
    log_->append(line + "\n");
  });
}

void RunJournal::append_event(const std::function<void(EventFile&)>& append) {
  attempt(event_output_, [&] {
    if (!events_) events_.emplace(folder_ / "tensorboard", first_step_, seconds_since_1970);
    append(*events_);
  });
}

void RunJournal::show_page(bool at_once) {
  const double begun = now();
  if (!at_once && begun < next_page_) return;
  if (last_page_ > 0) page_.longest_pause = std::max(page_.longest_pause, begun - last_page_);
  last_page_ = begun;
  attempt(page_output_, [&] {
    const std::string data = run_page_data(page_, seconds_since_1970());
    io::AtomicFile file(folder_ / "run_data.js");
    file.write(data.data(), data.size());
    file.commit(false);
  });
  const double took = now() - begun;
  next_page_ = begun + took + std::max(kSecondsBetweenPages, kRestPerPage * took);
}

}  // namespace ito::model
