#pragma once

namespace ito::apps {

/// The processor has what an installed program is compiled for, x86-64-v3: AVX2, and FMA and BMI, which came with it.
bool has_avx2();

}  // namespace ito::apps
