#pragma once

#include "apps/evaluation/sides.h"

namespace ito::apps {

/// Fills `side` from a file of arrays, recognised by its first bytes: an .npz with `mu` and `sigma` (pytorch-fid, EDM),
/// `pool_3` (score_sde's raw features), `arr_0` or `samples` (images u8 [N,H,W,3] of guided-diffusion, of score_sde),
/// or several of them. False: it is another kind of file. Error, with a command that converts it if one is known: none
/// of these arrays; other shapes or types; numbers that are not finite; no covariance; one .npy, or a pickle, which is
/// never executed.
bool open_arrays(Side& side, const SideOptions& options);

/// `mu` f64 [D] and `sigma` f64 [D,D], as pytorch-fid reads them.
void write_statistics(const std::filesystem::path& file, const model::FeatureStatistics& statistics);

}  // namespace ito::apps
