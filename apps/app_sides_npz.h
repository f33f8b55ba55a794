#pragma once

#include "apps/app_sides.h"

namespace ito::apps {

/// Fills `side` from an .npz: `mu` and `sigma` (pytorch-fid, EDM), `pool_3` (score_sde's raw features),
/// `arr_0` (guided-diffusion's images u8 [N,H,W,3]), or several of them. Error: none of them, other shapes or
/// types, fewer than two images.
void open_npz(Side& side, const SideOptions& options);

/// `mu` f64 [D] and `sigma` f64 [D,D], as pytorch-fid reads them.
void write_statistics(const std::filesystem::path& file, const model::FeatureStatistics& statistics);

}  // namespace ito::apps
