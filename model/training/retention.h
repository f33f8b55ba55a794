#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/training/run_folder.h"

/// Which of a run's checkpoints stay, and which of them `last` and `best` are. Found from the checkpoints
/// alone: so it comes out the same however often the run was interrupted, and doing it again changes nothing.
namespace ito::model {

struct KnownCheckpoint {
  int64_t step = 0;
  bool scheduled = true;                  // false: made because the run was interrupted there
  std::optional<double> validation_loss;  // of its EMA weights, where it was measured
};

struct Retention {
  std::optional<int64_t> last, best;  // best: of the scheduled ones the lowest loss, the earlier of equals
  std::vector<int64_t> superfluous;   // ascending
};

/// `checkpoints` ascending. The newest `keep` stay, and the best; one from an interruption stays only while
/// it is the newest, so that an interrupted run ends with what an uninterrupted one has.
Retention choose_checkpoints(const std::vector<KnownCheckpoint>& checkpoints, int keep);

/// Points `last` and `best` where they belong, durably, then removes what is superfluous. Returns what is wrong
/// with the links, on which nothing depends; empty where nothing is.
std::string settle_checkpoints(const RunFolder& folder, int keep);

}  // namespace ito::model
