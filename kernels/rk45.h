#pragma once

#include "kernels/sde_update.h"

namespace ito::kernels {

/// Slopes of a step; the first is the last of the step before it.
inline constexpr int kRk45Slopes = 7;

/// All it takes to ask the networks at a level and to use what they return: SdeNetwork's next_scale and next_c_noise
/// are this level's own.
struct Rk45Level {
  SdeNetwork network, guide;
  float guidance = 1;  // D_0 = D_guide + guidance (D_network - D_guide), where there is a guide
  float sigma = 1;
};

/// Levels evenly spaced in ln sigma, count >= 2 of them in the device's memory; kernels interpolate linearly.
struct Rk45Table {
  const Rk45Level* levels;
  int count;
  double log_least, log_most;  // ln sigma of the first and of the last
};

enum class Rk45Verdict : int32_t {
  rejected,  // the step was too long
  accepted,
  reached,  // accepted, and the last one
  ended,    // was reached by an earlier step: the image stays as it is
  failed,   // a number is NaN; so is the whole image then
};

/// Where an image is on its way.
struct Rk45State {
  double sigma = 1;  // of x
  double step = 0;   // sigma' - sigma < 0 of the step that is being tried; 0 at the end
  Rk45Verdict verdict = Rk45Verdict::accepted;  // on the latest step
  int32_t tries = 0;                            // steps, rejected ones included
};

struct Rk45Dims {
  int n;             // images
  int per_image;     // elements of an image, D = H*W*C
  double tolerance;  // of a step, absolute and relative
  double end;        // sigma at which images are ready, > 0
};

/// All [N,D] f32 unless stated otherwise. The networks are those of SdeUpdateOperands.
struct Rk45Operands {
  Out x;                                   // the state after the latest accepted step
  Out at;                                  // where the networks are asked within a step
  Out slopes;                              // [7,N,D]: k_1 .. k_7
  SdeNetworkOperands network, guide = {};  // guide: only where there is one
  In limit = {};                           // of D_0, as sde_update's; [N], may be null
  Rk45State* states;                       // [N]
  Rk45Level* levels;                       // [N,7]: where k_1 .. k_7 of the step are taken
};

/// The probability flow of xbar = x_t / a, dx/dsigma = (x - D_0) / sigma, by the pair of Dormand and Prince (1980) of
/// orders 5 and 4 (scipy's RK45), with h = sigma' - sigma and an error control of each image's own:
///   k_i = (y_i - D_0(y_i; sigma + c_i h)) / (sigma + c_i h),   y_i = x + h sum_{j<i} a_ij k_j,   x' = y_7
///   error = rms over the image of  h sum_j e_j k_j / (tolerance (1 + |x'|))
/// (scipy takes max(|x|, |x'|); but the flow shrinks x from 80 to 1, and with it what an error may be).
/// A step with error <= 1 is accepted; the next is longer or shorter by .9 error^(-1/5), within .2 .. 10, and no longer
/// after a rejected one. So an image depends on its own noise alone.
///
/// A step is: six times the networks and rk45_slope (slope 2 .. 6) or, for the last, rk45_error and rk45_accept. The
/// very first slope is asked for before the first step, at x.

/// slope 1 .. 6: k_slope from the networks asked at y_slope (x for the first), and y_{slope + 1} and its inputs.
void rk45_slope(CpuStream&, const Rk45Dims&, int slope, const Rk45Operands&);
void rk45_slope(CudaStream&, const Rk45Dims&, int slope, const Rk45Operands&);

/// k_7, the error, summed in f64 in a fixed order, and what follows from it: states, and the next step's levels.
void rk45_error(CpuStream&, const Rk45Dims&, const Rk45Table&, const Rk45Operands&);
void rk45_error(CudaStream&, const Rk45Dims&, const Rk45Table&, const Rk45Operands&);

/// x' and k_1 of the next step; its y_2 and inputs. Where the end is reached x' = D_0 there: x - sigma k_7.
void rk45_accept(CpuStream&, const Rk45Dims&, const Rk45Operands&);
void rk45_accept(CudaStream&, const Rk45Dims&, const Rk45Operands&);

/// Error: dims and operands that do not fit together.
void check_rk45(const Rk45Dims&, const Rk45Operands&);
void check_rk45_slope(const Rk45Dims&, int slope, const Rk45Operands&);
void check_rk45_error(const Rk45Dims&, const Rk45Table&, const Rk45Operands&);

}  // namespace ito::kernels
