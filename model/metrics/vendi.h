#pragma once

#include "model/metrics/features.h"

namespace ito::model {

/// The Vendi score (Friedman and Dieng, 2023, arXiv:2210.02410) with cosine similarity: exp(-sum l ln l) over
/// the eigenvalues l of K / n, K = X X^T with rows of unit length. From 1 (all equal) to n (all orthogonal).
/// In f64. Error: no rows, or one of length 0.
double vendi_score(const FeatureRows& x);

}  // namespace ito::model
