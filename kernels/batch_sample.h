#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/base/philox.h"

/// What make_batch and nearest_noise share: what a training sample is made of, how its image is read, and which streams
/// its noise comes from.
namespace ito::kernels {

/// What one training sample is made of: which image, mirrored or not, and four linear coefficients. Every
/// objective (score, noise, x0, v, EDM's F) is linear in the image and the noise: model/diffusion/objective.h
/// computes these.
struct SampleRecipe {
  uint64_t image;             // index into the image set
  uint32_t noise_sample;      // the sample number of the noise's stream
  uint32_t flip;              // 1: mirrored left to right
  float input_x0, input_z;    // network input  = input_x0 x0 + input_z z
  float target_x0, target_z;  // network target = target_x0 x0 + target_z z
};

struct MakeBatchDims {
  int n, h, w, c;
  uint64_t seed;  // of the noise's stream; its purpose is diffusion_noise (or validation)
  Purpose purpose;
  const uint32_t* step;  // of the noise's stream; read on the device
};

/// An affine map of an image, the inverse way: what is written in column q of row p is read at column
/// xx q + xy p + x0 and row yx q + yy p + y0. Pixels' centres have whole numbers.
struct ImageMap {
  float xx = 1, xy = 0, x0 = 0;
  float yx = 0, yy = 1, y0 = 0;

  ITO_HOST_DEVICE bool is_identity() const {
    return xx == 1 && xy == 0 && x0 == 0 && yx == 0 && yy == 1 && y0 == 0;
  }
};

/// The images of a batch, x0 = pixel / 127.5 - 1: mirrored where the recipe says so, then mapped.
struct BatchImages {
  const uint8_t* pixels;           // u8 [count,H,W,C]
  const SampleRecipe* recipes;     // [N]
  const ImageMap* maps = nullptr;  // [N]; null: no image is mapped
};

/// Those of the samples from `first` on.
inline BatchImages from_sample(const BatchImages& images, int64_t first) {
  return {images.pixels, images.recipes + first, images.maps ? images.maps + first : nullptr};
}

/// One of them.
struct SampleImage {
  const uint8_t* pixels;  // [H,W,C]
  int h, w, c;
  bool flip;
  const ImageMap* map;  // null: the identity, whose pixels need no arithmetic
};

ITO_HOST_DEVICE inline SampleImage sample_image(const MakeBatchDims& d, const BatchImages& images,
                                                int64_t n) {
  const SampleRecipe& r = images.recipes[n];
  const uint64_t size = uint64_t(d.h) * uint64_t(d.w) * uint64_t(d.c);
  const ImageMap* const map = images.maps && !images.maps[n].is_identity() ? images.maps + n : nullptr;
  return {images.pixels + r.image * size, d.h, d.w, d.c, r.flip != 0, map};
}

inline constexpr int kMostNoiseCandidates = 16;

/// The stream of a sample's noise. Candidate 0 is the noise of a batch without candidates; the others have a purpose of
/// their own. noise_sample must be below 2^28.
ITO_HOST_DEVICE inline RandomKey noise_key(const MakeBatchDims& d, uint32_t noise_sample,
                                           uint32_t candidate) {
  if (candidate == 0) return {d.seed, d.purpose, *d.step, noise_sample};
  return {d.seed, Purpose::noise_candidate, *d.step,
          noise_sample * uint32_t(kMostNoiseCandidates) + candidate};
}

/// A place between two neighbours on a line of pixels, and the second one's share.
template <class A>
struct Between {
  int first, second;
  A share;
};

/// x on the line of pixels 0 .. last, which is reflected at its ends without repeating them: ... 2 1 0 1 2 ...
/// Any x gives pixels of the line, NaN and infinity, too.
template <class A>
ITO_HOST_DEVICE inline Between<A> between_pixels(A x, int last) {
  if (last == 0) return {0, 0, A(0)};
  const A end = A(last), period = 2 * end;
  x -= period * std::floor(x / period);
  if (x > end) x = period - x;
  if (!(x > 0)) x = 0;
  const int first = int(x);
  return {first, first < last ? first + 1 : last, x - A(first)};
}

/// Where a pixel of a mapped image is read: between four pixels, bilinearly.
template <class A>
class MappedPixel {
 public:
  ITO_HOST_DEVICE MappedPixel(const SampleImage& s, int row, int column) {
    const ImageMap& m = *s.map;
    const A q = A(column), p = A(row);
    const Between<A> x = between_pixels(A(m.xx) * q + A(m.xy) * p + A(m.x0), s.w - 1);
    const Between<A> y = between_pixels(A(m.yx) * q + A(m.yy) * p + A(m.y0), s.h - 1);
    const int width = s.w * s.c;
    upper_ = s.pixels + int64_t(y.first) * width, lower_ = s.pixels + int64_t(y.second) * width;
    left_ = (s.flip ? s.w - 1 - x.first : x.first) * s.c;
    right_ = (s.flip ? s.w - 1 - x.second : x.second) * s.c;
    across_ = x.share, down_ = y.share;
  }
  /// 255 x0 of a channel: exactly the pixel's where the position is a pixel's, or where the four are equal.
  ITO_HOST_DEVICE A level(int channel) const {
    const A upper = on_line(upper_ + channel), lower = on_line(lower_ + channel);
    return upper + down_ * (lower - upper);
  }

 private:
  ITO_HOST_DEVICE A on_line(const uint8_t* line) const {
    const A left = A(2 * int(line[left_]) - 255), right = A(2 * int(line[right_]) - 255);
    return left + across_ * (right - left);
  }
  const uint8_t *upper_, *lower_;
  int left_, right_;
  A across_, down_;
};

}  // namespace ito::kernels
