#pragma once

#include <initializer_list>
#include <string>

#include "kernels/conv2d/algorithms.h"

/// What every implementation refuses, with the same words.
namespace ito::kernels::conv2d {

inline std::string shape_of(const Conv2dDims& d) {
  return cat("[", d.n, ",", d.h, ",", d.w, ",", d.c1, "+", d.c2, "] with ", d.k, " filters ", d.r, "x", d.s,
             ", stride ", d.stride, ", padding (top ", d.pad_top, ", left ", d.pad_left, ", bottom ",
             d.pad_bottom, ", right ", d.pad_right, ")");
}

inline void check_dims(const Conv2dDims& d) {
  const bool sizes = d.n > 0 && d.h > 0 && d.w > 0 && d.c1 > 0 && d.c2 >= 0 && d.k > 0 && d.r > 0 && d.s > 0;
  const bool padding = d.pad_top >= 0 && d.pad_left >= 0 && d.pad_bottom >= 0 && d.pad_right >= 0;
  if (!sizes || !padding || d.stride < 1) fail(cat("conv2d: sizes must be positive: ", shape_of(d)));
  if (d.h + d.pad_top + d.pad_bottom < d.r || d.w + d.pad_left + d.pad_right < d.s) {
    fail(cat("conv2d: the filter is larger than the padded image: ", shape_of(d)));
  }
}

/// The workspace, if it has to be there and is.
inline std::byte* check_workspace(const Conv2dDims& d, size_t bytes, Out workspace) {
  if (bytes > 0 && !workspace) fail(cat("conv2d: needs a workspace of ", bytes, " bytes for ", shape_of(d)));
  if (reinterpret_cast<uintptr_t>(workspace.data) % kAlign != 0) {
    fail(cat("conv2d: the workspace must start at a multiple of ", kAlign, " bytes"));
  }
  return static_cast<std::byte*>(workspace.data);
}

/// The activations of a call; of one type, except for null ones.
inline void check_dtypes(std::initializer_list<In> activations) {
  const In& first = *activations.begin();
  for (const In& a : activations) {
    if (a && a.dtype != first.dtype) {
      fail(cat("conv2d: activations must be of one dtype, got ", name_of(first.dtype), " and ",
               name_of(a.dtype)));
    }
  }
}

inline void check_sources(const Conv2dDims& d, bool second) {
  if ((d.c2 > 0) != second) {
    fail(cat("conv2d: ", second ? "a second source is given, but c2 = 0: " : "the second source is missing: ",
             shape_of(d)));
  }
}

}  // namespace ito::kernels::conv2d
