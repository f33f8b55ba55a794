#pragma once

#include "apps/console/stopping.h"
#include "engine/agreement.h"

namespace ito::apps {

/// Throws engine::Interrupted if a signal asked to stop: for work that ranks share (engine::together).
inline void give_way() {
  if (interrupted()) throw engine::Interrupted{};
}

}  // namespace ito::apps
