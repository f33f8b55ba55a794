#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// y[n,2h+i,2w+j,c] = scale * x[n,h,w,c] for i,j in {0,1}: nearest neighbour, twice the size. x [N,H,W,C], y
/// [N,2H,2W,C]. scale = 1 upsamples; with 1/4 it is the gradient of box_down.
void nearest_up(CpuStream&, int n, int h, int w, int c, float scale, In x, Out y);
void nearest_up(CudaStream&, int n, int h, int w, int c, float scale, In x, Out y);

/// y[n,h,w,c] = scale * sum_{i,j in {0,1}} x[n,2h+i,2w+j,c]; h, w are y's. scale = 1/4 is the box mean; 1 the
/// gradient of nearest_up.
void box_down(CpuStream&, int n, int h, int w, int c, float scale, In x, Out y);
void box_down(CudaStream&, int n, int h, int w, int c, float scale, In x, Out y);

/// Error: a size that is not positive.
void check_resample(const char* op, int n, int h, int w, int c);

}  // namespace ito::kernels
