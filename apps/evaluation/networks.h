#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/evaluation/evaluation.h"
#include "engine/device.h"
#include "model/metrics/inception_input.h"

namespace ito::apps {

/// The files of weights that the user has, and how images enter the FID network.
struct NetworkFiles {
  std::string inception, alexnet, lpips;
  model::ResizeMode resize = model::ResizeMode::pytorch_fid;
};

/// Error, with the flag, unless every file that is named can be opened, and LPIPS has both of its files or none.
void check_network_files(const NetworkFiles& files);

/// The networks, with the facts that identify them.
struct OpenedNetworks {
  MetricNetworks networks;
  std::vector<std::pair<std::string, std::string>> facts;  // file, SHA-256, resize mode
  std::vector<std::string> notes;  // what is missing and where to download it; unknown hashes
};

/// "--inception: download pt_inception-... from ..."
std::string where_to_get_inception();

/// Opens the FID network if its file is named; else notes which file to download.
void open_inception(OpenedNetworks& opened, const NetworkFiles& files, engine::Device& device);

/// Opens the networks whose files are named; notes which files to download for the others. Error: a file is missing or
/// holds other weights; --alexnet without --lpips, or the reverse.
OpenedNetworks open_networks(const NetworkFiles& files, engine::Device& device);

}  // namespace ito::apps
