#include "model/training/retention.h"

#include "model/training/checkpoint.h"

namespace ito::model {

Retention choose_checkpoints(const std::vector<KnownCheckpoint>& checkpoints, int keep) {
  Retention result;
  if (checkpoints.empty()) return result;
  result.last = checkpoints.back().step;
  double lowest = 0;
  for (const KnownCheckpoint& c : checkpoints) {
    if (c.scheduled && c.validation_loss && (!result.best || *c.validation_loss < lowest))
      result.best = c.step, lowest = *c.validation_loss;
    if (c.guide) result.guide = c.step;
  }
  int kept = 0;
  for (size_t i = checkpoints.size(); i-- > 0;) {
    const KnownCheckpoint& c = checkpoints[i];
    const bool counts = c.scheduled || c.step == result.last;
    if (c.step == result.guide && c.step != result.last) continue;
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
    known.push_back({step, record.scheduled, record.validation_loss, record.guide});
  }
  const Retention retention = choose_checkpoints(known, keep);
  const std::string last = retention.last ? folder.point("last", *retention.last) : "";
  const std::string best = retention.best ? folder.point("best", *retention.best) : "";
  std::string guide = retention.guide ? folder.point("guide", *retention.guide) : "";
  for (const int64_t step : retention.superfluous) folder.remove_checkpoint(step);
  for (const std::string& problem : {last, best})
    if (!problem.empty()) return problem;
  return guide;
}

}  // namespace ito::model
