#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "engine/io/append_file.h"
#include "model/training/event_file.h"
#include "model/training/options.h"
#include "model/training/run_folder.h"
#include "model/training/run_page.h"
#include "model/training/session.h"

namespace ito::model {

/// What a run writes for display: log.jsonl, the page (index.html, run_data.js) and TensorBoard's events. Nothing that
/// is learned depends on it; if something cannot be written, that is noted once (`note`), and the run goes on.
class RunJournal {
 public:
  using Note = std::function<void(const std::string&)>;

  /// Goes on after `step`: what an interrupted run logged beyond it is cut off, the rest is shown again. -1: the run
  /// begins, and nothing is kept.
  RunJournal(const RunFolder& folder, const TrainingOptions& options, int64_t step, Note note);

  /// Adds a line to the log and a point to the curves; called every few steps.
  void step(const Progress& progress, const StepReport& report);
  /// Updates the progress on the page alone; called every step.
  void progress(const Progress& progress);
  void validation(int64_t step, double loss);
  void fid(int64_t step, double value);
  void grid(int64_t step, const std::filesystem::path& png);
  void saved(int64_t step);
  /// Something that the user should know, e.g. a step that was skipped.
  void message(const std::string& text);
  /// Finished, if the last step is done; else stopped because of `reason`.
  void ended(const std::string& reason);

 private:
  /// One of the files that are written; its failure is noted once.
  struct Output {
    const char* name;
    bool warned = false;
  };
  void attempt(Output& output, const std::function<void()>& write);
  void resume_log();
  void rewrite_log();
  void resume_grids();
  void append_log(const std::string& line);
  void append_event(const std::function<void(EventFile&)>& append);
  void show_page(bool at_once);

  std::filesystem::path folder_;
  int64_t first_step_;
  Note note_;
  RunPage page_;
  std::optional<std::string> kept_log_;  // the beginning of the log, until it is written
  std::optional<io::AppendFile> log_;
  std::optional<EventFile> events_;
  Output log_output_{"log.jsonl"}, page_output_{"the run's page"}, event_output_{"TensorBoard's events"};
  double last_page_ = 0, next_page_ = 0;  // when it was last written, when it may be written again
};

}  // namespace ito::model
