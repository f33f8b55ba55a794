#pragma once

#include <string>

#include "data/dataset.h"

namespace ito::apps {

/// Opens pictures, and prints what decoding will take before it starts, its progress, whether another process is
/// decoding the same pictures, and the data set's notes. Ctrl-C, if it is caught, ends the decoding.
data::Dataset open_pictures(const std::string& folder, data::DatasetOptions options);

}  // namespace ito::apps
