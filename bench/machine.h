#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "engine/device.h"

/// What a measurement says about where and when it was made.
namespace ito::bench {

struct MachineInfo {
  std::string processor;  // "AMD EPYC 7B13"
  int threads = 0;
  std::string gpu;                          // empty on the CPU
  std::string driver, runtime;              // CUDA versions, "13.0"; empty on the CPU
  int clock_mhz = 0, memory_clock_mhz = 0;  // the GPU's highest
  /// What nvidia-smi prints of the GPU at work: "580.65.06", clocks in MHz; empty and 0 where there is none.
  struct Observed {
    std::string driver;
    int clock_mhz = 0, memory_clock_mhz = 0;
  } observed;

  /// "NVIDIA H100 80GB HBM3 (driver for CUDA 13.0, runtime 13.0; driver 580.65.06; at work 1755 MHz, memory
  /// 2619 MHz)" or "AMD EPYC 7B13, 2 threads"
  std::string text() const;
};

MachineInfo machine_of(engine::Device&);
/// Asks nvidia-smi, and runs `work` until it has answered. The GPU is the first of CUDA_VISIBLE_DEVICES, or
/// number 0.
MachineInfo::Observed observe_gpu(const std::function<void()>& work);
/// "2026-11-24 17:38", local time.
std::string now_text();

/// Bytes of the largest cache, 0 where the system does not say.
size_t last_level_cache_bytes();

}  // namespace ito::bench
