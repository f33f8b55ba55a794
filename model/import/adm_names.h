#pragma once

#include "model/import/foreign_model.h"

namespace ito::model {

/// Where one of our parameters is in a file of ADM's family. Its blocks are counted through all levels, the resampling
/// ones, too: input_blocks.k with k = 0 the first convolution, output_blocks.k from the deepest level on. An
/// attention's q, k and v are rows of one tensor [3C,C,1]: of channel c of head h, w channels wide, part j (q, k, v)
/// is row j C + h w + c where the parts are split first, else h 3w + j w + c. Of the last convolution the rows of the
/// image are taken, without those of a learned variance.
ForeignPart adm_part(const std::string& name, const NetworkConfig& network, bool split_first);

}  // namespace ito::model
