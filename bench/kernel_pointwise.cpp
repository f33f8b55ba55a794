#include "bench/kernel_maps.h"
#include "kernels/copy_channels.h"
#include "kernels/dropout.h"
#include "kernels/embedding.h"
#include "kernels/pointwise.h"
#include "kernels/pool.h"
#include "kernels/resample.h"

namespace ito::bench {

namespace {

using kernels::Activation;
using List = std::vector<Tensor>;

/// The activations of the network's first level, and rows of their tensors.
struct Level {
  int n, hw, c;
  Shape shape;
  DType dtype;
  Activation activation;

  explicit Level(const Setting& s)
      : n(s.batch),
        hw(s.network.height * s.network.width),
        c(s.network.block_channels[0]),
        shape{n, s.network.height, s.network.width, c},
        dtype(s.dtype),
        activation(s.network.activation) {}
  /// A row whose kernel moves `tensors` tensors of this size.
  Case head(const std::string& kind, const std::string& name, double tensors) const {
    const std::string text = cat(shape[0], "x", shape[1], "x", shape[2], "x", c);
    return {kind,
            name,
            text,
            std::string(name_of(dtype)),
            0,
            0,
            tensors * double(shape.count()) * double(size_of(dtype)),
            {}};
  }
  /// `inputs` full of numbers, then one result.
  auto tensors(int inputs) const {
    return [shape = shape, dtype = dtype, inputs](Operands& operands) {
      List list;
      for (int i = 0; i < inputs; ++i) list.push_back(operands.normal(shape, dtype));
      list.push_back(operands.zeros(shape, dtype));
      return list;
    };
  }
};

Case activation_case(const Level& l, bool forward) {
  if (forward)
    return map_case(l.head("pointwise", "activation_forward", 2), l.tensors(1), [l](auto& s, List& t) {
      kernels::activation_forward(s, t[0].count(), l.activation, t[0].in(), t[1].out());
    });
  return map_case(l.head("pointwise", "activation_backward", 3), l.tensors(2), [l](auto& s, List& t) {
    kernels::activation_backward(s, t[0].count(), l.activation, t[0].in(), t[1].in(), t[2].out());
  });
}

Case add_channels_case(const Level& l, bool forward) {
  const auto tensors = [l](Operands& operands) -> List {
    return {operands.normal(l.shape, l.dtype), operands.normal({l.n, l.c}, l.dtype),
            operands.zeros(l.shape, l.dtype)};
  };
  if (forward)
    return map_case(l.head("pointwise", "add_channels_forward", 2), tensors, [l](auto& s, List& t) {
      kernels::add_channels_forward(s, l.n, l.hw, l.c, t[0].in(), t[1].in(), t[2].out());
    });
  return map_case(l.head("pointwise", "add_channels_backward", 1), tensors, [l](auto& s, List& t) {
    kernels::add_channels_backward(s, l.n, l.hw, l.c, t[0].in(), t[1].out());
  });
}

Case add_case(const Level& l) {
  return map_case(l.head("pointwise", "add_scaled", 3), l.tensors(2), [](auto& s, List& t) {
    kernels::add_scaled(s, t[0].count(), 1, t[0].in(), 1, t[1].in(), t[2].out());
  });
}

Case cast_case(const Level& l) {
  Case head = l.head("pointwise", "add_scaled (cast)", 0);
  const DType other = l.dtype == DType::f32 ? DType::bf16 : DType::f32;
  head.dtype = cat(name_of(l.dtype), "->", name_of(other));
  head.bytes = 6.0 * double(l.shape.count());
  const auto tensors = [l, other](Operands& operands) -> List {
    return {operands.normal(l.shape, l.dtype), operands.zeros(l.shape, other)};
  };
  return map_case(head, tensors, [](auto& s, List& t) {
    kernels::add_scaled(s, t[0].count(), 1, t[0].in(), 0, {}, t[1].out());
  });
}

Case scale_case(const Level& l) {
  const auto tensors = [l](Operands& operands) -> List {
    return {operands.normal(l.shape, l.dtype), operands.normal({l.n}, DType::f32),
            operands.zeros(l.shape, l.dtype)};
  };
  return map_case(l.head("pointwise", "scale_samples", 2), tensors, [l](auto& s, List& t) {
    kernels::scale_samples(s, l.n, int64_t(l.hw) * l.c, t[0].in(), t[1].in(), t[2].out());
  });
}

Case fill_case(const Level& l) {
  return map_case(l.head("pointwise", "fill", 1), l.tensors(0),
                  [](auto& s, List& t) { kernels::fill(s, t[0].count(), 0.5, t[0].out()); });
}

Case dropout_case(const Level& l) {
  const auto tensors = [l](Operands& operands) -> List {
    return {operands.normal(l.shape, l.dtype), operands.zeros(l.shape, l.dtype),
            operands.zeros({1}, DType::f32)};  // the step number, 0
  };
  return map_case(l.head("pointwise", "dropout", 2), tensors, [l](auto& s, List& t) {
    const kernels::DropoutKey key{0, 0, 0, static_cast<const uint32_t*>(t[2].data())};
    kernels::dropout(s, l.n, int64_t(l.hw) * l.c, 0.1f, key, t[0].in(), t[1].out());
  });
}

/// 3x3, of the same size: what Inception's blocks do most.
Case pool_case(const Level& l, kernels::Pooling kind, bool forward) {
  const kernels::PoolDims d{l.n, int(l.shape[1]), int(l.shape[2]), l.c, 3, 3, 1, 1, 1, 1, 1};
  const bool is_max = kind == kernels::Pooling::max;
  const std::string name =
      cat("pool_", forward ? "forward" : "backward", is_max ? " (max 3x3)" : " (mean 3x3)");
  if (forward)
    return map_case(l.head("pointwise", name, 2), l.tensors(1),
                    [=](auto& s, List& t) { kernels::pool_forward(s, kind, d, t[0].in(), t[1].out()); });
  return map_case(l.head("pointwise", name, is_max ? 3 : 2), l.tensors(2), [=](auto& s, List& t) {
    kernels::pool_backward(s, kind, d, t[0].in(), is_max ? t[1].in() : kernels::In{}, t[2].out());
  });
}

/// Into the second half of images with twice the channels, or out of it.
Case copy_channels_case(const Level& l, bool scatter) {
  const auto tensors = [l](Operands& operands) -> List {
    const Shape both{l.shape[0], l.shape[1], l.shape[2], 2 * l.c};
    return {operands.normal(l.shape, l.dtype), operands.normal(both, l.dtype)};
  };
  const kernels::ChannelRange all{l.c, 0}, half{2 * l.c, l.c};
  return map_case(l.head("pointwise", scatter ? "copy_channels (scatter)" : "copy_channels (gather)", 2),
                  tensors, [=](auto& s, List& t) {
                    if (scatter)
                      kernels::copy_channels(s, l.n, l.hw, l.c, all, t[0].in(), half, t[1].out());
                    else
                      kernels::copy_channels(s, l.n, l.hw, l.c, half, t[1].in(), all, t[0].out());
                  });
}

}  // namespace

Cases pointwise_cases(const Setting& setting) {
  const Level l(setting);
  return {activation_case(l, true),
          activation_case(l, false),
          add_case(l),
          cast_case(l),
          add_channels_case(l, true),
          add_channels_case(l, false),
          scale_case(l),
          fill_case(l),
          dropout_case(l),
          pool_case(l, kernels::Pooling::max, true),
          pool_case(l, kernels::Pooling::max, false),
          pool_case(l, kernels::Pooling::mean, true),
          pool_case(l, kernels::Pooling::mean, false),
          copy_channels_case(l, true),
          copy_channels_case(l, false)};
}

Cases resampling_cases(const Setting& setting, const std::vector<Used<ImageShape>>& upsamplings) {
  Cases cases;
  const int n = setting.batch;
  const DType dtype = setting.dtype;
  for (bool forward : {true, false})
    for (const auto& used : upsamplings) {
      const ImageShape d = used.dims;
      const Shape small{n, d.h, d.w, d.c}, large{n, 2 * d.h, 2 * d.w, d.c};
      const Case head{"resampling",
                      forward ? "nearest_up" : "box_down",
                      cat(n, "x", d.h, "x", d.w, "x", d.c),
                      std::string(name_of(dtype)),
                      used.uses,
                      0,
                      5.0 * double(small.count()) * double(size_of(dtype)),
                      {}};
      const auto tensors = [=](Operands& operands) -> List {
        return {operands.normal(small, dtype), operands.normal(large, dtype)};
      };
      cases.push_back(map_case(head, tensors, [n, d, forward](auto& s, List& t) {
        if (forward)
          kernels::nearest_up(s, n, d.h, d.w, d.c, 1, t[0].in(), t[1].out());
        else
          kernels::box_down(s, n, d.h, d.w, d.c, 1, t[1].in(), t[0].out());
      }));
    }
  return cases;
}

Cases embedding_cases(const Setting& setting) {
  const int n = setting.batch, half = setting.network.block_channels[0];
  const DType dtype = setting.dtype;
  const auto head = [&](const char* name, int inputs) -> Case {
    return {"embedding",
            name,
            cat(n, " -> ", n, "x", 2 * half),
            std::string(name_of(dtype)),
            0,
            0,
            4.0 * inputs + 2.0 * n * half * double(size_of(dtype)),
            {}};
  };
  const auto tensors = [=](Operands& operands) -> List {
    return {operands.normal({n}, DType::f32), operands.normal({half}, DType::f32),
            operands.zeros({n, 2 * half}, dtype)};
  };
  return {map_case(head("gaussian_fourier", n + half), tensors,
                   [=](auto& s, List& t) {
                     kernels::gaussian_fourier(s, n, half, true, t[0].in(), t[1].in(), t[2].out());
                   }),
          map_case(head("sinusoidal", n), tensors,
                   [=](auto& s, List& t) { kernels::sinusoidal(s, n, half, {}, t[0].in(), t[2].out()); })};
}

}  // namespace ito::bench
