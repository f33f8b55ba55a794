#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "engine/io/element_type.h"
#include "model/diffusion/denoiser.h"
#include "model/training/attribute_request.h"
#include "model/training/options.h"
#include "model/training/trainer.h"

/// A checkpoint is a folder that appears complete or not at all:
///   unet/config.json, unet/diffusion_pytorch_model.safetensors
///                       EMA weights, as UNet2DModel.from_pretrained reads them
///   options.json        the run's options: how to sample, how to go on
///   scheduler/, model_index.json   where diffusers can draw with the model, its files for that (import/scheduler.h)
///   state.safetensors   masters, EMA, moments, step, updates, bad steps in a row
///   record.json         whether it was due, its validation loss, and what is still to be made
///   attributes.safetensors   those of the images that it learned from, in a run with attributes (AttributeRows)
/// Nothing in it depends on the time or on paths.
namespace ito::model {

/// What was due at a checkpoint's step, and is left to the next start because a signal stopped the run there.
struct Owed {
  bool grid = false, fid = false, validation = false;
  bool any() const { return grid || fid || validation; }
};

/// What is known about a checkpoint besides its numbers.
struct CheckpointRecord {
  bool scheduled = true;  // false: made because the run was interrupted there
  std::optional<double> validation_loss;
  Owed owed;
  bool guide = false;  // kept for autoguidance
};
/// Error: a number is not finite (the run has diverged), disk full, not writable; an older folder of that
/// name stays as it is, and nothing is left behind.
void save_checkpoint(const std::filesystem::path& folder, Trainer& trainer, const CheckpointRecord& = {});
/// Updates that a checkpoint's run had made. Error: it holds no state.
int64_t updates_of(const std::filesystem::path& folder);
/// Whether its run summed the gradients of a step's batches as engine::GradientTree does. Older programs added them
/// from left to right, which is the same for two batches and any odd number.
bool sums_by_tree(const std::filesystem::path& folder);
/// SHA-256 of a checkpoint's file of weights.
std::string hash_of_weights(const std::filesystem::path& folder);
/// The checkpoint's record; the default if it has none, as in older runs.
CheckpointRecord read_record(const std::filesystem::path& folder);
/// Replaces the record of a checkpoint.
void write_record(const std::filesystem::path& folder, const CheckpointRecord&);

/// Restores numbers and position; returns the options it was written with. Error: they differ from the trainer's (with
/// the differences), or the checkpoint is damaged.
TrainingOptions resume_from(const std::filesystem::path& folder, Trainer& trainer);

/// A checkpoint's model, ready to sample: the EMA weights and how to turn them into a denoiser.
struct LoadedModel {
  TrainingOptions options;
  std::unique_ptr<engine::ParamStore> store;
  std::unique_ptr<Network> network;
  int64_t step = 0;
  Sde sde;
  AttributeRows attributes;  // empty: it has none, or is from before checkpoints held them
  engine::DType compute() const;
  /// The sampler that is asked for, or else the model's own (with_own).
  SamplerSettings settle(const SamplerOptions& asked) const;
  /// Without a condition.
  Denoiser denoiser() const;
  /// Under attributes as varied as those that it was trained with, or under all its classes; without a condition where
  /// it has neither.
  Denoiser varied_denoiser() const;
  /// Of a class (ClassRequest). Error: it has none, or not that one.
  Denoiser class_denoiser(std::optional<int> asked, const Guidance& guidance) const;
  /// Under the attributes that are asked for.
  Denoiser attribute_denoiser(const AttributeRequest& request, const Guidance& guidance) const;
  /// What these texts ask of the model ("Smiling,-Eyeglasses"; parse_wanted). Error: it was trained without attributes,
  /// or is from before checkpoints held them, and what AttributeRequest reports.
  AttributeRequest ask(const std::vector<std::string>& texts) const;
};
/// Writes a model that can be sampled, as a checkpoint without the state that a run goes on from; its weights rounded
/// to f16, bf16 or f32.
void save_model(const std::filesystem::path& folder, const LoadedModel& model,
                io::ElementType weights = io::ElementType::f32);
/// Error: not a checkpoint, truncated, of another model, or with NaN; options.json and unet/config.json describe
/// different networks; attributes are missing or damaged. `precision`: what it computes in, instead of what it was
/// trained in.
LoadedModel load_model(engine::Device& device, const std::filesystem::path& folder,
                       std::optional<Precision> precision = {});

}  // namespace ito::model
