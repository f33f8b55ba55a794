#pragma once

#include <cstdint>

#include "kernels/base/names.h"

namespace ito::model {

/// How an image becomes Inception's input; each program that measures FID has its own way.
///   pytorch_fid  bilinear between pixel centres, no antialiasing; v / 127.5 - 1
///                (github.com/mseitzer/pytorch-fid)
///   tf1          bilinear between corners, src = dst * in / out; (v - 128) / 128 (the TensorFlow original)
///   clean        PIL's bicubic, antialiased, in f32; (v - 128) / 128 (arXiv:2104.11222)
enum class ResizeMode : uint8_t { pytorch_fid, tf1, clean };

inline constexpr int kInceptionSize = 299;

/// image u8 [h,w,3] -> out [299,299,3] in about [-1,1].
void inception_input(ResizeMode, const uint8_t* image, int h, int w, float* out);

}  // namespace ito::model

template <>
struct ito::Names<ito::model::ResizeMode> {
  using ResizeMode = model::ResizeMode;
  static constexpr std::string_view kKind = "resize mode";
  static constexpr Named<ResizeMode> kTable[] = {
      {"pytorch-fid", ResizeMode::pytorch_fid}, {"tf1", ResizeMode::tf1}, {"clean", ResizeMode::clean}};
};
