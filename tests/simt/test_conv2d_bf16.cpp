// The bf16 convolution on the emulated tensor cores, all three passes, against the CPU's f64 reference on the
// same numbers.
#include "tests/simt/conv2d_runs.h"

using namespace simt;

namespace {

/// n, h, w, c1, c2, k, r, s, stride, top, left, bottom, right.
const std::vector<Conv2dDims> kShapes{
    {2, 5, 5, 3, 0, 5, 3, 3, 1, 1, 1, 1, 1},      // channels that fill no vector
    {1, 1, 1, 5, 0, 3, 3, 3, 1, 1, 1, 1, 1},      // one pixel
    {1, 1, 1, 8, 0, 8, 1, 1, 1, 0, 0, 0, 0},      // one pixel, whole vectors
    {2, 4, 3, 1, 0, 1, 3, 3, 1, 1, 1, 1, 1},      // one channel, one filter
    {3, 6, 5, 24, 16, 40, 3, 3, 1, 1, 1, 1, 1},   // two sources, whole vectors, ragged tiles
    {2, 4, 5, 5, 12, 11, 3, 3, 1, 1, 1, 1, 1},    // two sources, their boundary inside a vector
    {1, 9, 9, 16, 0, 3, 3, 3, 1, 1, 1, 1, 1},     // a network's last layer: narrow tiles
    {1, 9, 9, 3, 0, 16, 3, 3, 1, 1, 1, 1, 1},     // and its first
    {2, 8, 9, 24, 0, 72, 1, 1, 1, 0, 0, 0, 0},    // more than one tile of filters
    {1, 7, 6, 8, 0, 16, 5, 5, 1, 2, 2, 2, 2},     //
    {2, 4, 9, 16, 8, 8, 1, 7, 1, 0, 3, 0, 3},     //
    {2, 9, 4, 8, 0, 16, 7, 1, 1, 3, 0, 3, 0},     //
    {1, 6, 8, 8, 0, 16, 2, 2, 2, 0, 0, 0, 0},     // every input is met once
    {2, 8, 8, 8, 0, 24, 3, 3, 2, 0, 0, 1, 1},     // the padded downsampling of diffusers
    {2, 7, 7, 8, 0, 8, 1, 1, 2, 0, 0, 0, 0},      // inputs that no output sees
    {1, 5, 6, 3, 0, 2, 3, 2, 1, 2, 0, 1, 3},      // padding that differs at all ends
    {2, 18, 17, 8, 0, 8, 3, 3, 1, 1, 1, 1, 1},    // dw in several parts, the last one ragged
    {1, 18, 17, 16, 0, 40, 3, 3, 1, 1, 1, 1, 1},  // the same in wide tiles
    {1, 7, 6, 128, 8, 136, 1, 1, 1, 0, 0, 0, 0},  // large tiles for dw
    {2, 7, 9, 8, 0, 16, 3, 5, 2, 1, 2, 1, 2},     // height and width of filters differ, with a stride
    {2, 5, 4, 16, 3, 8, 3, 3, 1, 1, 1, 1, 1},     // whole packs of the first source alone
    {1, 5, 1, 8, 0, 8, 3, 1, 3, 0, 0, 1, 0},      // fewer columns than classes of pixels
    {2, 18, 17, 8, 0, 32, 1, 1, 1, 0, 0, 0, 0},   // 256 weights in parts: dbias has blocks of its own
};

}  // namespace

TEST_CASE("bf16 convolutions agree with f64 for every shape, under every schedule") {
  for (const Conv2dDims& d : kShapes) {
    CAPTURE(name_of(d));
    const Operands o(d);
    const auto first = run<bf16>(d, o);
    check_against_reference(d, o, first);
    for (const Schedule& schedule : all_schedules()) CHECK(same(run<bf16>(d, o, {schedule}), first));
  }
}

TEST_CASE("filters in f32 are rounded to bf16, filters in bf16 taken as they are, to the same bits") {
  for (const Conv2dDims& d : {padded({.n = 2, .h = 3, .w = 5, .c1 = 8, .c2 = 8, .k = 16, .r = 3, .s = 3}),
                              padded({.n = 1, .h = 3, .w = 4, .c1 = 3, .k = 5, .r = 3, .s = 3})}) {
    CAPTURE(name_of(d));
    Operands o(d);
    for (float& v : o.w) v *= 1.01f;  // needs rounding
    Operands rounded = o;
    rounded.w = converted<float>(converted<bf16>(o.w));
    const auto from_f32 = run<bf16, float>(d, o);
    check_against_reference(d, rounded, from_f32);
    CHECK(same(run<bf16, bf16>(d, o), from_f32));
  }
}

TEST_CASE("small integers are multiplied and added exactly") {
  const Conv2dDims d = padded({.n = 1, .h = 4, .w = 5, .c1 = 16, .k = 24, .r = 3, .s = 3});
  Operands o(d, false);
  for (auto* values : {&o.x, &o.w, &o.dy})
    for (float& v : *values) v = v > 0.5f ? 1.0f : v < -0.5f ? -1.0f : 0.0f;
  const auto got = run<bf16>(d, o);
  const auto right = reference(d, o);
  CHECK(converted<double>(got.y) == right.y);
  CHECK(converted<double>(got.dx) == right.dx);
  CHECK(converted<double>(got.dw) == right.dw);
  CHECK(converted<double>(got.dbias) == right.dbias);
}

TEST_CASE("gradients that are not wanted are not written, and change no others") {
  const Conv2dDims d = padded({.n = 2, .h = 10, .w = 13, .c1 = 8, .c2 = 16, .k = 8, .r = 3, .s = 3});
  const Operands o(d);
  const auto all = run<bf16>(d, o);
  const auto without_dx = run<bf16>(d, o, {{}, 0, false, true, false});
  CHECK(same_bits(without_dx.dx2, all.dx2));
  CHECK(same_bits(without_dx.dw, all.dw));
  CHECK(same_bits(run<bf16>(d, o, {{}, 0, true, false, true}).dx, all.dx));
}

TEST_CASE("a NaN in one pixel spoils the outputs that see it alone") {
  for (const int channels : {8, 3}) CHECK(count_wrong_around_nan<bf16, bf16>(channels) == 0);
}

TEST_CASE("operands off the alignment of 16 bytes are read singly, to the same bits") {
  const Conv2dDims d = padded({.n = 2, .h = 7, .w = 5, .c1 = 16, .c2 = 8, .k = 16, .r = 3, .s = 3});
  const Operands o(d);
  const auto aligned = run<bf16, bf16>(d, o);
  CHECK(same(run<bf16, bf16>(d, o, {{}, 1}), aligned));
  with_each_array_unaligned([&] { CHECK(same(run<bf16, bf16>(d, o), aligned)); });
}

TEST_CASE("an image's bits depend on neither its batch nor the tiles") {
  for (const Conv2dDims& d : {padded({.n = 3, .h = 5, .w = 7, .c1 = 8, .c2 = 8, .k = 24, .r = 3, .s = 3}),
                              // large tiles for the batch, medium ones for one image
                              Conv2dDims{.n = 3, .h = 52, .w = 53, .c1 = 8, .c2 = 64, .k = 72},
                              // tall ones, and medium ones
                              Conv2dDims{.n = 3, .h = 52, .w = 53, .c1 = 16, .c2 = 24, .k = 40}}) {
    CAPTURE(name_of(d));
    const Operands o(d);
    Conv2dDims one = d;
    one.n = 1;
    const auto batch = run<bf16>(d, o), single = run<bf16>(one, first_images(d, o, 1));
    check_against_reference(d, o, batch);
    CHECK(begins_with(batch.y, single.y));
    CHECK(begins_with(batch.dx, single.dx));
    CHECK(begins_with(batch.dx2, single.dx2));
  }
}
