#include "tests/op_cases.h"

namespace ito::tests {

using namespace engine;  // NOLINT: the table reads like the ops

namespace {

using Inputs = std::vector<Tensor>;

OpCase conv(std::string name, Shape x, Shape w, int stride, Padding padding, bool bias = true) {
  std::vector<Shape> shapes = {x, w};
  std::vector<bool> stays_f32 = {false, true};
  if (bias) shapes.push_back({w[0]}), stays_f32.push_back(true);
  return {std::move(name), shapes,
          [=](const Inputs& t) { return conv2d(t[0], t[1], bias ? t[2] : Tensor{}, stride, padding); },
          int(std::max(w.count() / w[0], x.count() / x[3])), stays_f32};
}

OpCase two_source_conv(std::string name, Shape a, Shape b, Shape w) {
  return {
      std::move(name),
      {a, b, w, {w[0]}},
      [=](const Inputs& t) { return conv2d(Concat(t[0], t[1]), t[2], t[3], 1, Padding::same(int(w[1]))); },
      int(std::max(w.count() / w[0], a[0] * a[1] * a[2])),
      {false, false, true, true}};
}

OpCase pooled(std::string name, Shape x, Pooling kind, Window window, int stride, Padding padding) {
  return {std::move(name),
          {x},
          [=](const Inputs& t) { return pool(t[0], kind, window, stride, padding); },
          window.height * window.width};
}

OpCase norm(std::string name, Shape x, int groups, Activation act, double offset = 0) {
  return {std::move(name),
          {x, {x[3]}, {x[3]}},
          [=](const Inputs& t) { return group_norm(t[0], t[1], t[2], groups, 1e-5f, act); },
          int(x[0] * x[1] * x[2]),
          {false, true, true},
          {},
          offset};
}

/// smooth: the inputs with a gradient, of x, gamma, beta and the modulation.
OpCase modulated_norm(std::string name, Shape x, int groups, Activation act, std::vector<bool> smooth = {}) {
  return {std::move(name),
          {x, {x[3]}, {x[3]}, {x[0], 2 * x[3]}},
          [=](const Inputs& t) { return group_norm(t[0], t[1], t[2], groups, 1e-5f, act, t[3]); },
          int(x[0] * x[1] * x[2]),
          {false, true, true, false},
          std::move(smooth)};
}

const std::vector<OpCase> kOpCases = {
    conv("conv2d 3x3", {2, 5, 7, 3}, {4, 3, 3, 3}, 1, Padding::same(3)),
    conv("conv2d 3x3, many channels", {2, 8, 8, 32}, {48, 3, 3, 32}, 1, Padding::same(3)),
    conv("conv2d 3x3 odd sizes", {1, 9, 6, 16}, {24, 3, 3, 16}, 1, Padding::same(3)),
    conv("conv2d 3x3 one pixel", {3, 1, 1, 8}, {8, 3, 3, 8}, 1, Padding::same(3)),
    conv("conv2d 3x3 without bias", {2, 4, 4, 8}, {8, 3, 3, 8}, 1, Padding::same(3), false),
    conv("conv2d 3x3 stride 2", {2, 8, 8, 8}, {16, 3, 3, 8}, 2, Padding::same(3)),
    conv("conv2d 3x3 stride 2, right and bottom", {2, 8, 8, 8}, {8, 3, 3, 8}, 2, {0, 0, 1, 1}),
    conv("conv2d 1x1", {2, 6, 6, 24}, {17, 1, 1, 24}, 1, Padding::same(1)),
    conv("conv2d 5x5", {1, 8, 8, 5}, {6, 5, 5, 5}, 1, Padding::same(5)),
    conv("conv2d 1x7", {1, 7, 9, 3}, {4, 1, 7, 3}, 1, {0, 3, 0, 3}),
    conv("conv2d 2x2 stride 2", {2, 6, 6, 4}, {8, 2, 2, 4}, 2, {}),
    two_source_conv("conv2d 3x3, two sources", {2, 6, 6, 8}, {2, 6, 6, 5}, {7, 3, 3, 13}),
    two_source_conv("conv2d 1x1, two sources", {2, 8, 8, 16}, {2, 8, 8, 8}, {8, 1, 1, 24}),
    {"conv2d 3x3 with shift and residual",
     {{2, 5, 4, 6}, {8, 3, 3, 6}, {8}, {2, 8}, {2, 5, 4, 8}},
     [](const Inputs& t) {
       return conv2d(t[0], t[1], {t[2], t[3], t[4]}, 1, Padding::same(3));
     },
     54,
     {false, true, true}},
    {"conv2d 1x1, two sources, with residual alone",
     {{2, 3, 3, 5}, {2, 3, 3, 3}, {8, 1, 1, 8}, {2, 3, 3, 8}},
     [](const Inputs& t) {
       return conv2d(Concat(t[0], t[1]), t[2], {{}, {}, t[3]}, 1, {});
     },
     18,
     {false, false, true}},
    norm("group_norm", {2, 3, 5, 8}, 4, Activation::none),
    norm("group_norm silu", {3, 4, 4, 12}, 3, Activation::silu),
    norm("group_norm relu", {2, 4, 4, 16}, 16, Activation::relu),
    norm("group_norm, one group", {1, 5, 3, 7}, 1, Activation::silu),
    norm("group_norm, large mean", {2, 8, 8, 8}, 2, Activation::silu, 30),
    {"group_norm, two sources",
     {{2, 3, 3, 5}, {2, 3, 3, 7}, {12}, {12}},
     [](const Inputs& t) { return group_norm(Concat(t[0], t[1]), t[2], t[3], 3, 1e-5f, Activation::silu); },
     18,
     {false, false, true, true}},
    modulated_norm("group_norm modulated", {3, 3, 5, 8}, 4, Activation::none),
    modulated_norm("group_norm modulated, silu", {2, 4, 4, 12}, 3, Activation::silu),
    modulated_norm("group_norm modulated, gradient of x alone", {2, 3, 3, 6}, 2, Activation::silu,
                   {true, false, false, false}),
    modulated_norm("group_norm modulated, of the parameters alone", {2, 3, 3, 6}, 2, Activation::silu,
                   {false, true, true, false}),
    modulated_norm("group_norm modulated, of the modulation alone", {2, 3, 3, 6}, 2, Activation::silu,
                   {false, false, false, true}),
    {"group_norm modulated, two sources",
     {{2, 3, 3, 5}, {2, 3, 3, 7}, {12}, {12}, {2, 24}},
     [](const Inputs& t) {
       return group_norm(Concat(t[0], t[1]), t[2], t[3], 3, 1e-5f, Activation::silu, t[4]);
     },
     18,
     {false, false, true, true, false}},
    {"linear",
     {{5, 7}, {4, 7}, {4}},
     [](const Inputs& t) { return linear(t[0], t[1], t[2]); },
     7,
     {false, true, true}},
    {"linear, tokens",
     {{2, 9, 16}, {33, 16}, {33}},
     [](const Inputs& t) { return linear(t[0], t[1], t[2]); },
     33,
     {false, true, true}},
    {"linear with residual",
     {{2, 9, 16}, {33, 16}, {33}, {2, 9, 33}},
     [](const Inputs& t) { return linear(t[0], t[1], t[2], t[3]); },
     33,
     {false, true, true}},
    {"linear without bias, with residual",
     {{5, 7}, {4, 7}, {5, 4}},
     [](const Inputs& t) { return linear(t[0], t[1], {}, t[2]); },
     7,
     {false, true}},
    {"attention",
     {{2, 9, 8}, {2, 9, 8}, {2, 9, 8}},
     [](const Inputs& t) { return attention(t[0], t[1], t[2], 1); },
     9},
    {"attention, heads",
     {{1, 16, 24}, {1, 16, 24}, {1, 16, 24}},
     [](const Inputs& t) { return attention(t[0], t[1], t[2], 3); },
     16},
    {"silu", {{3, 50}}, [](const Inputs& t) { return activate(t[0], Activation::silu); }},
    {"relu", {{3, 50}}, [](const Inputs& t) { return activate(t[0], Activation::relu); }},
    {"add", {{2, 3, 3, 4}, {2, 3, 3, 4}}, [](const Inputs& t) { return add(t[0], t[1]); }},
    {"add to itself, scaled", {{2, 17}}, [](const Inputs& t) { return add(t[0], t[0], 0.75); }},
    {"add_channels", {{2, 3, 5, 6}, {2, 6}}, [](const Inputs& t) { return add_channels(t[0], t[1]); }, 15},
    {"scale_samples",
     {{3, 4, 4, 2}, {3}},
     [](const Inputs& t) { return scale_samples(t[0], t[1]); },
     1,
     {false, true},
     {true, false}},
    {"nearest_up", {{2, 3, 4, 5}}, [](const Inputs& t) { return nearest_up(t[0]); }, 4},
    pooled("pool max 3x3 stride 2", {2, 7, 9, 5}, Pooling::max, {3, 3}, 2, {}),
    pooled("pool max 3x3, padded", {2, 4, 5, 3}, Pooling::max, {3, 3}, 1, Padding::same(3)),
    pooled("pool max 2x3 stride 3, sides padded", {1, 5, 8, 4}, Pooling::max, {2, 3}, 3, {0, 2, 1, 1}),
    pooled("pool mean 3x3, padded", {2, 4, 5, 3}, Pooling::mean, {3, 3}, 1, Padding::same(3)),
    pooled("pool mean 3x2 stride 2, sides padded", {2, 6, 5, 9}, Pooling::mean, {3, 2}, 2, {2, 1, 1, 0}),
    pooled("pool mean of whole images", {3, 4, 6, 7}, Pooling::mean, {4, 6}, 1, {}),
    {"join",
     {{2, 3, 4, 5}, {2, 3, 4, 1}, {2, 3, 4, 16}},
     [](const Inputs& t) { return join({t[0], t[1], t[2]}); }},
    {"join one tensor twice", {{1, 2, 3, 8}}, [](const Inputs& t) { return join({t[0], t[0]}); }, 2},
    {"box_down", {{2, 4, 6, 5}}, [](const Inputs& t) { return box_down(t[0]); }, 4},
    {"pixel_unshuffle", {{2, 6, 9, 2}}, [](const Inputs& t) { return pixel_unshuffle(t[0], 3); }},
    {"pixel_shuffle", {{2, 3, 5, 12}}, [](const Inputs& t) { return pixel_shuffle(t[0], 2); }},
    {"squared_error",
     {{3, 4, 4, 3}, {3, 4, 4, 3}, {3}},
     [](const Inputs& t) { return squared_error(t[0], t[1], t[2]); },
     144,
     {false, true, true},
     {true, false, false}},
    {"gaussian_nll",
     {{3, 4, 4, 3}, {3, 4, 4, 3}, {3}, {3}},
     [](const Inputs& t) { return gaussian_nll(t[0], t[1], t[2], t[3], 0.25); },
     144,
     {false, true, true, true},
     {true, false, false, true}},
    {"pseudo_huber",
     {{3, 4, 4, 3}, {3, 4, 4, 3}, {3}, {3}},
     [](const Inputs& t) { return pseudo_huber(t[0], t[1], scale_samples(t[2], t[2]), t[3], 5); },
     144,
     {false, true, true, true},
     {true, false, false, false}},
};

}  // namespace

const std::vector<OpCase>& op_cases() { return kOpCases; }

}  // namespace ito::tests
