#pragma once

#include <string>
#include <vector>

#include "model/training/checkpoint.h"
#include "model/training/options.h"
#include "model/training/trainer.h"

/// A run that begins from the averaged weights of another model, on other images, in another size, under other
/// attributes. Everything else begins as in any run: step 0, no moments, order and noise by its own seed.
namespace ito::model {

/// The default options of a run that begins from the weights of a run with these options: network and objective are
/// that one's, without its attributes and its dropout. What it began from (`from`) is left to the caller.
TrainingOptions options_from(const TrainingOptions& source);

/// Error, with both values: the options ask for another network than the source's, or for one whose output means
/// something else. Image size, dropout, attributes, and how the loss is weighted and noise levels are drawn may differ.
void check_same_model(const TrainingOptions& source, const TrainingOptions& now);
/// Error: the preset is another network than the source's, in more than that and the embedding.
void check_same_network(const TrainingOptions& source, const std::string& preset);

/// Makes the model's weights the masters and the EMA of a trainer that has made no step. The columns of attributes and
/// classes go by their names; those of new ones begin at zero, so that the trainer at first draws what the model draws.
/// Returns sentences for the user about those that are new, or left out. Error: what check_same_model reports.
std::vector<std::string> begin_from(const LoadedModel& source, Trainer& trainer);

}  // namespace ito::model
