#pragma once

#include <string>

#include "data/dataset.h"

namespace ito::apps {

/// Opens pictures for a person who waits: says what decoding will take before it starts, how far it is, and
/// whether another process is at it; then the data set's notes. Ctrl-C, where it is caught, ends the
/// decoding.
data::Dataset open_pictures(const std::string& folder, data::DatasetOptions options);

}  // namespace ito::apps
