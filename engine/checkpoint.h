#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/io/element_type.h"
#include "engine/parameters.h"
#include "kernels/power_ema.h"

/// A store's numbers in files. Weights are exchanged under diffusers' names and layouts (FileLayout);
/// a training run's state is our own, exact to the bit. Errors name the file: truncated, of another model, or
/// holding NaN.
namespace ito::engine {

using Metadata = std::map<std::string, std::string>;

/// A parameter's shape in files, by its FileLayout.
std::vector<int64_t> file_shape(const ParameterSpec& spec);

/// Writes one track's weights and the fixed numbers as safetensors, one tensor a parameter of the model, in creation
/// order, rounded to `type` (f16, bf16 or f32). Error: a number is not finite, or not in that type.
void save_weights(const std::filesystem::path& file, ParamStore& store, Track track, Metadata metadata = {},
                  io::ElementType type = io::ElementType::f32);
/// Reads them into the store's master track (and its EMA, if it has one); every parameter must be there, in
/// its shape, finite. The store has no auxiliary ones.
void load_weights(const std::filesystem::path& file, ParamStore& store);

/// Master, EMA, both moments and the fixed numbers as flat buffers, with what the caller counts (step, ...)
/// as metadata.
void save_state(const std::filesystem::path& file, ParamStore& store, Metadata counts);
/// Restores them; returns the counts. Error unless it was written for the same parameters in the same order.
Metadata load_state(const std::filesystem::path& file, ParamStore& store);

/// The power averages (kernels/power_ema.h) of the store's model as flat buffers, with what the caller counts.
void save_power_averages(const std::filesystem::path& file, ParamStore& store, Metadata counts);
struct PowerAverages {
  std::array<std::vector<float>, kernels::kPowerAverages> average;
};
/// Error unless they were written for the same parameters in the same order.
PowerAverages read_power_averages(const std::filesystem::path& file, const ParamStore& store);

}  // namespace ito::engine
