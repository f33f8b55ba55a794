#pragma once

#include <dnnl.hpp>

#include "kernels/conv2d.h"

/// The one difference between oneDNN 2.x and 3.x that matters here: 3.x dropped the operation descriptors
/// between the arguments and the primitive descriptor.
namespace ito::kernels::conv2d::api {

using dnnl::memory;

struct Geometry {
  dnnl::algorithm algorithm;
  memory::dims strides, padding_l, padding_r;
};

using ForwardPd = dnnl::convolution_forward::primitive_desc;
using DataPd = dnnl::convolution_backward_data::primitive_desc;
using WeightsPd = dnnl::convolution_backward_weights::primitive_desc;

constexpr auto kForward = dnnl::prop_kind::forward_training;

#if DNNL_VERSION_MAJOR >= 3

inline memory::dims dims_of(const memory::desc& desc) { return desc.get_dims(); }

inline ForwardPd forward(const dnnl::engine& engine, const Geometry& g, const memory::desc& x,
                         const memory::desc& w, const memory::desc& bias, const memory::desc& y,
                         const dnnl::primitive_attr& attr) {
  return {engine, kForward, g.algorithm, x, w, bias, y, g.strides, g.padding_l, g.padding_r, attr};
}
inline DataPd backward_data(const dnnl::engine& engine, const Geometry& g, const memory::desc& dx,
                            const memory::desc& w, const memory::desc& dy, const ForwardPd& hint,
                            const dnnl::primitive_attr& attr) {
  return {engine, g.algorithm, dx, w, dy, g.strides, g.padding_l, g.padding_r, hint, attr};
}
inline WeightsPd backward_weights(const dnnl::engine& engine, const Geometry& g, const memory::desc& x,
                                  const memory::desc& dw, const memory::desc& dbias, const memory::desc& dy,
                                  const ForwardPd& hint, const dnnl::primitive_attr& attr) {
  return {engine, g.algorithm, x, dw, dbias, dy, g.strides, g.padding_l, g.padding_r, hint, attr};
}

#else

inline memory::dims dims_of(const memory::desc& desc) { return desc.dims(); }

inline ForwardPd forward(const dnnl::engine& engine, const Geometry& g, const memory::desc& x,
                         const memory::desc& w, const memory::desc& bias, const memory::desc& y,
                         const dnnl::primitive_attr& attr) {
  return {{kForward, g.algorithm, x, w, bias, y, g.strides, g.padding_l, g.padding_r}, attr, engine};
}
inline DataPd backward_data(const dnnl::engine& engine, const Geometry& g, const memory::desc& dx,
                            const memory::desc& w, const memory::desc& dy, const ForwardPd& hint,
                            const dnnl::primitive_attr& attr) {
  return {{g.algorithm, dx, w, dy, g.strides, g.padding_l, g.padding_r}, attr, engine, hint};
}
inline WeightsPd backward_weights(const dnnl::engine& engine, const Geometry& g, const memory::desc& x,
                                  const memory::desc& dw, const memory::desc& dbias, const memory::desc& dy,
                                  const ForwardPd& hint, const dnnl::primitive_attr& attr) {
  return {{g.algorithm, x, dw, dbias, dy, g.strides, g.padding_l, g.padding_r}, attr, engine, hint};
}

#endif

}  // namespace ito::kernels::conv2d::api
