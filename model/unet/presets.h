#pragma once

#include <string>
#include <vector>

#include "model/unet/config.h"

namespace ito::model {

/// A network by name. The sizes that papers and the specification use; `./train_celeba --preset NAME`.
struct Preset {
  std::string name;
  std::string summary;
  NetworkConfig network;
};

const std::vector<Preset>& presets();
std::vector<std::string> preset_names();
/// Error for an unknown name, with the nearest one.
const Preset& preset(const std::string& name);

}  // namespace ito::model
