#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/device.h"
#include "kernels/base/options.h"
#include "model/training/checkpoint.h"

/// What the programs that use a trained model share: finding it, seeds, and the device.
namespace ito::apps {

inline constexpr int kMostSeeds = 1000000;  // at most, in one call

/// The model that comes with Ito, learned from drawn faces (scripts/train_drawn_model); none where it is not there.
std::optional<std::filesystem::path> included_model();

/// The checkpoint that flags name: --checkpoint DIR as it is; --run DIR's newest; else the newest run's below runs/,
/// and where there is none the included model. Error: there is none, and how to get one.
std::filesystem::path find_checkpoint(const std::string& checkpoint, const std::string& run);

/// The checkpoint that a flag's value names: its folder as it is, or a run's newest. Error, with the flag: there is
/// none.
std::filesystem::path run_or_checkpoint(const std::string& flag, const std::string& value);

/// "5", "0-63", "0-15,100,7": seeds in that order. Error: not such a list, or more than a million.
std::vector<uint64_t> parse_seeds(const std::string& text);

/// The device on which a trained model runs, and whose convolutions it uses there: without auto, since images must not
/// depend on what is faster today.
struct DeviceRequest {
  engine::DeviceChoice device = engine::DeviceChoice::automatic;
  kernels::Provider conv = kernels::Provider::own;
  int threads = 0;
};

template <FieldsOf<DeviceRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.device, Field("device", "where to run"));
  visit(o.conv,
        Field("conv",
              "convolutions on a GPU (auto is for training: images must not depend on what is faster today)")
            .one_of({"ours", "cudnn"}));
  visit(o.threads, Field("threads", "CPU threads; 0: all", kThreads));
}

/// Error, with the reason: a GPU is asked for, and cannot be used.
engine::DeviceOptions device_options(const DeviceRequest& request);

/// "AMD EPYC 7B13, 2 threads" or "NVIDIA H100 80GB HBM3 (CUDA)".
std::string where(engine::Device& device);

}  // namespace ito::apps
