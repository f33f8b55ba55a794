#pragma once

#include <algorithm>

#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/vec.h"

namespace ito::kernels::conv2d {

/// The arrays that together hold an image's channels, to be read or written.
struct Source {
  const float* data;
  int channels;
};
struct Target {
  float* data;
  int channels;
};

/// A forward or backward-data pass: sources' channels are summed over, targets' computed. A null target is
/// not wanted.
struct Pass {
  ConvPass kind;
  Source sources[2];
  Target targets[2];
  const float *filters, *bias;
  int c;  // channels of a filter

  int panels() const { return lines(targets[0].channels) + lines(targets[1].channels); }
};

inline Pass forward_pass(const Conv2dDims& d, const Forward<float>& a) {
  return {ConvPass::forward, {{a.x, d.c1}, {a.x2, d.c2}}, {{a.y, d.k}, {nullptr, 0}}, a.w, a.bias, d.c()};
}

inline Pass backward_pass(const Conv2dDims& d, const BackwardData<float>& a) {
  return {ConvPass::backward_data,
          {{a.dy, d.k}, {nullptr, 0}},
          {{a.dx, d.c1}, {a.dx2, d.c2}},
          a.w,
          nullptr,
          d.c()};
}

/// Up to 16 channels of one target.
struct Panel {
  int index;  // among all panels, wanted or not
  Target target;
  int channel, count;  // the first of them in the target, and how many
  int filter_channel;  // the first of them among both targets' channels
};

/// f(Panel) for each panel of each wanted target.
template <class F>
void for_panels(const Pass& pass, F&& f) {
  int index = 0, before = 0;
  for (const Target& target : pass.targets) {
    for (int c = 0; c < target.channels; c += kLine, ++index) {
      if (target.data) f(Panel{index, target, c, std::min(kLine, target.channels - c), before + c});
    }
    before += target.channels;
  }
}

/// f(Panel) for the panels that are a thread's share of work done once.
template <class F>
void for_own_panels(const Pass& pass, int thread, int threads, F&& f) {
  for_panels(pass, [&](const Panel& panel) {
    if (panel.index % threads == thread) f(panel);
  });
}

}  // namespace ito::kernels::conv2d
