#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda_library.h"
#include "model/training/checkpoint.h"

/// What the programs that use a trained model share: finding it, seeds, and the device.
namespace ito::apps {

/// The checkpoint that flags name: --checkpoint DIR as it is; --run DIR's newest; else the newest run's below
/// runs/. Error: there is none, and how to get one.
std::filesystem::path find_checkpoint(const std::string& checkpoint, const std::string& run);

/// "5", "0-63", "0-15,100,7": seeds in that order. Error: not such a list, or more than a million.
std::vector<uint64_t> parse_seeds(const std::string& text);

/// --conv of a program that samples: ours or cudnn. Error: auto, since images must not depend on what is
/// timed faster today.
kernels::ConvChoice parse_sampling_conv(const std::string& text);

/// "AMD EPYC 7B13, 2 threads" or "NVIDIA H100 80GB HBM3 (CUDA)".
std::string where(engine::Device& device);

}  // namespace ito::apps
