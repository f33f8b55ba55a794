#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/base/names.h"
#include "model/training/options.h"

namespace ito::model {

/// The programs that share ADM's network (arXiv:2105.05233), and how their defaults differ.
enum class AdmCode : uint8_t {
  improved,     // openai/improved-diffusion: rescale_timesteps is true
  guided,       // openai/guided-diffusion, DDPM-IP: rescale_timesteps is false
  consistency,  // openai/consistency_models: EDM's objective, or a consistency model
};

/// What the flags of one of their models say. Files of these programs hold tensors alone: heads, noise levels and the
/// rest are in the flags that its authors give with it.
struct AdmFlags {
  AdmCode code = AdmCode::guided;
  NetworkConfig network;  // without classes, whose number the file has
  bool class_cond = false;
  bool split_first = false;  // q, k, v are split before the heads (use_new_attention_order), else after them
  DiffusionOptions diffusion;
  bool learned_variance = false;
  SamplerOptions sampler;
  std::vector<std::string> notes;
};

/// Reads "--image_size 64 --num_channels 192 ...", as it is in their READMEs (MODEL_FLAGS, DIFFUSION_FLAGS,
/// SAMPLE_FLAGS, one after the other). A flag that is missing has the program's own default. `code`: which program;
/// without it, the one that the flags are of. Flags that are about training or speed mean nothing here. Error: flags of
/// no program, or of two that differ; an unknown flag; a value that Ito does not have.
AdmFlags adm_flags(const std::string& text, std::optional<AdmCode> code = {});

}  // namespace ito::model

template <>
struct ito::Names<ito::model::AdmCode> {
  using AdmCode = model::AdmCode;
  static constexpr std::string_view kKind = "program";
  static constexpr Named<AdmCode> kTable[] = {{"improved-diffusion", AdmCode::improved},
                                              {"guided-diffusion", AdmCode::guided},
                                              {"consistency-models", AdmCode::consistency}};
};
