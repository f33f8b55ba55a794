#pragma once

#include <filesystem>
#include <memory>

#include "model/diffusion/denoiser.h"
#include "model/training/options.h"
#include "model/training/trainer.h"

/// A checkpoint is a folder that appears complete or not at all:
///   unet/config.json, unet/diffusion_pytorch_model.safetensors   EMA weights, as UNet2DModel.from_pretrained
///   reads them options.json                                                 the run's options: how to
///   sample, how to go on state.safetensors                                            masters, EMA, moments,
///   step and updates
/// Nothing in it depends on the time or the machine's folders.
namespace ito::model {

void save_checkpoint(const std::filesystem::path& folder, Trainer& trainer);
/// Restores numbers and position. Error if it was written under other options (said which) or is damaged.
void resume_from(const std::filesystem::path& folder, Trainer& trainer);

/// A checkpoint's model, ready to sample: the EMA weights and how to turn them into a denoiser.
struct LoadedModel {
  TrainingOptions options;
  std::unique_ptr<engine::ParamStore> store;
  std::unique_ptr<Network> network;
  int64_t step = 0;
  Sde sde;
  engine::DType compute() const;
  Denoiser denoiser() const;
};
/// Error: not a checkpoint, truncated, of another model, or with NaN.
LoadedModel load_model(engine::Device& device, const std::filesystem::path& folder);

}  // namespace ito::model
