#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/training/run_folder.h"

/// Which of a run's checkpoints are kept, and which of them `last` and `best` are. It depends on the checkpoints alone,
/// so that interruptions make no difference, and doing it again changes nothing.
namespace ito::model {

struct KnownCheckpoint {
  int64_t step = 0;
  bool scheduled = true;                  // false: made because the run was interrupted there
  std::optional<double> validation_loss;  // of its EMA weights, if it was measured
  bool guide = false;                     // kept for autoguidance
};

struct Retention {
  std::optional<int64_t> last, best;  // best: the scheduled one of lowest loss; of equals the earliest
  std::optional<int64_t> guide;       // the newest of them
  std::vector<int64_t> superfluous;   // ascending
};

/// `checkpoints` ascending. The newest `keep` are kept, the best, and the newest guide besides; one from an
/// interruption is kept only while it is the newest, so that an interrupted run ends with the same checkpoints as an
/// uninterrupted one.
Retention choose_checkpoints(const std::vector<KnownCheckpoint>& checkpoints, int keep);

/// Points `last`, `best` and `guide` where they belong, durably, then removes what is superfluous. Returns what is
/// wrong with the links, on which nothing depends; empty where nothing is.
std::string settle_checkpoints(const RunFolder& folder, int keep);

}  // namespace ito::model
