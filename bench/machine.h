#pragma once

#include <cstddef>
#include <string>

#include "engine/device.h"

/// What a measurement says about where and when it was made.
namespace ito::bench {

struct Machine {
  std::string processor;  // "AMD EPYC 7B13"
  int threads = 0;
  std::string gpu;              // empty on the CPU
  std::string driver, runtime;  // CUDA versions, "13.0"; empty on the CPU
  int clock_mhz = 0,
      memory_clock_mhz = 0;  // the GPU's highest; what it runs at under load is nvidia-smi's to say

  /// "NVIDIA H100 80GB HBM3 (driver 13.0, runtime 13.0)" or "AMD EPYC 7B13, 2 threads"
  std::string text() const;
};

Machine machine_of(engine::Device&);
/// The commit this program was built from, "-dirty" behind it where files had been changed; or "unknown".
std::string commit();
/// "2026-11-24 17:38", local time.
std::string now_text();

/// Resident memory of this process, in bytes.
double resident_bytes();
/// Bytes of the largest cache, 0 where the system does not say.
size_t last_level_cache_bytes();

}  // namespace ito::bench
