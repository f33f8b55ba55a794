#pragma once

#include <cstddef>

#include "kernels/carver.h"

namespace ito::kernels::cuda_library {

/// What libraries want a workspace's pieces to start at multiples of.
inline constexpr size_t kWorkspaceAlign = 256;

}  // namespace ito::kernels::cuda_library
