#pragma once

#include <memory>

#include "apps/training/request.h"
#include "engine/device.h"
#include "model/training/checkpoint.h"

/// --from: the model that a run begins from.
namespace ito::apps {

/// That model, with its weights in the host's memory.
struct Source {
  model::Origin origin;
  engine::Device device{{1, engine::Backend::cpu}};
  model::LoadedModel model;
};

/// The model that --from names; null without it, and where the run goes on, which needs its source no more. Error, in
/// one line: there is no such model, or it is damaged; it is of the run itself; the run has begun, and not from there.
std::unique_ptr<Source> open_source(const TrainingRequest& request);

}  // namespace ito::apps
