#pragma once

#include <string>
#include <vector>

#include "apps/training/run_data.h"
#include "engine/device.h"
#include "engine/gradient_tree.h"
#include "model/training/run_folder.h"

/// A training that several ranks share.
namespace ito::apps {

/// Error: the ranks would not train the same run; with the first difference, of version, options, images or device.
void check_ranks(engine::Device&, const model::TrainingOptions&, const RunData&);

/// What the number of ranks changes in a run's results; nothing for most numbers.
std::vector<std::string> notes_about(const kernels::Wire& ranks, engine::Reduction);

/// The run's folder, which rank 0 locks.
model::RunFolder open_run(kernels::Wire& ranks, const std::string& out, const RunData&);

/// "at step 5; the last checkpoint is DIR; ...": the end of a line about another rank that ended; `step`: the last one
/// that was made, 0 if the run goes on and none was made since.
std::string where_training_is(const std::string& out, int64_t step);

}  // namespace ito::apps
