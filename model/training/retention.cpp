#include "model/training/retention.h"

#include "model/training/checkpoint.h"

namespace ito::model {

Retention choose_checkpoints(const std::vector<KnownCheckpoint>& checkpoints, int keep) {
  Retention result;
  if (checkpoints.empty()) return result;
  result.last = checkpoints.back().step;
  double lowest = 0;
  for (const KnownCheckpoint& c : checkpoints)
    if (c.scheduled && c.validation_loss && (!result.best || *c.validation_loss < lowest))
      result.best = c.step, lowest = *c.validation_loss;
  int kept = 0;
  for (size_t i = checkpoints.size(); i-- > 0;) {
    const KnownCheckpoint& c = checkpoints[i];
    const bool counts = c.scheduled || c.step == result.last;
    if (counts && kept < keep)
      ++kept;
    else if (c.step != result.best)
      result.superfluous.insert(result.superfluous.begin(), c.step);
  }
  return result;
}

std::string settle_checkpoints(const RunFolder& folder, int keep) {
  std::vector<KnownCheckpoint> known;
  for (const int64_t step : checkpoint_steps(folder.path())) {
    const CheckpointRecord record = read_record(folder.checkpoint(step));
    known.push_back({step, record.scheduled, record.validation_loss});
  }
  const Retention retention = choose_checkpoints(known, keep);
  const std::string last = retention.last ? folder.point("last", *retention.last) : "";
  const std::string best = retention.best ? folder.point("best", *retention.best) : "";
  for (const int64_t step : retention.superfluous) folder.remove_checkpoint(step);
  return last.empty() ? best : last;
}

}  // namespace ito::model
