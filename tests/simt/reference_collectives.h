#pragma once

#include <string>

/// What tests may do to the emulator's NCCL in their process (reference_collectives.cu).
namespace simt {

struct CollectivesSettings {
  std::string problem;       // why it cannot be used; empty: it can
  int version = 22809;       // 2.28.9
  std::string asynchronous;  // an error that comes up in what is queued; empty: none
};
CollectivesSettings& collectives_settings();

}  // namespace simt
