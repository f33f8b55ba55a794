#pragma once

namespace ito::apps {

/// The processor has what an installed program is compiled for, x86-64-v3: AVX2, and what came with it (FMA,
/// BMI, F16C, LZCNT, MOVBE).
bool has_avx2();

}  // namespace ito::apps
