// The f32 convolution on the emulated device, all three passes, against the CPU's f64 reference.
#include "tests/simt/conv2d_runs.h"
#if defined(ITO_SIMT)
#include "kernels/conv2d/tile.cuh"  // device code, which g++ understands over the emulator alone
#endif

using namespace simt;

namespace {

/// n, h, w, c1, c2, k, r, s, stride, top, left, bottom, right.
const std::vector<Conv2dDims> kShapes{
    {2, 5, 5, 3, 0, 5, 3, 3, 1, 1, 1, 1, 1},        // channels that fill no vector
    {1, 1, 1, 5, 0, 3, 3, 3, 1, 1, 1, 1, 1},        // one pixel
    {1, 1, 1, 8, 0, 8, 1, 1, 1, 0, 0, 0, 0},        // one pixel, whole vectors
    {2, 4, 3, 1, 0, 1, 3, 3, 1, 1, 1, 1, 1},        // one channel, one filter
    {3, 6, 7, 12, 8, 20, 3, 3, 1, 1, 1, 1, 1},      // two sources, whole vectors, ragged tiles
    {2, 6, 5, 3, 14, 11, 3, 3, 1, 1, 1, 1, 1},      // two sources, their boundary inside a vector
    {1, 9, 9, 16, 0, 3, 3, 3, 1, 1, 1, 1, 1},       // a network's last layer: narrow tiles
    {1, 9, 9, 3, 0, 16, 3, 3, 1, 1, 1, 1, 1},       // and its first
    {2, 8, 9, 24, 0, 72, 1, 1, 1, 0, 0, 0, 0},      // more than one tile of filters
    {1, 7, 6, 4, 0, 8, 5, 5, 1, 2, 2, 2, 2},        //
    {2, 4, 9, 8, 4, 4, 1, 7, 1, 0, 3, 0, 3},        //
    {2, 9, 4, 4, 0, 8, 7, 1, 1, 3, 0, 3, 0},        //
    {1, 6, 8, 4, 0, 8, 2, 2, 2, 0, 0, 0, 0},        // every input is met once
    {2, 8, 8, 8, 0, 12, 3, 3, 2, 0, 0, 1, 1},       // the padded downsampling of diffusers
    {2, 9, 7, 5, 3, 6, 3, 3, 2, 1, 1, 1, 1},        //
    {2, 7, 7, 4, 0, 8, 1, 1, 2, 0, 0, 0, 0},        // inputs that no output sees
    {1, 1, 5, 4, 0, 4, 1, 3, 3, 0, 0, 0, 1},        // fewer rows than classes of pixels
    {1, 5, 6, 3, 0, 2, 3, 2, 1, 2, 0, 1, 3},        // padding that differs at all ends
    {1, 5, 5, 8, 0, 4, 3, 3, 1, 0, 0, 0, 0},        // none
    {2, 18, 17, 4, 0, 4, 3, 3, 1, 1, 1, 1, 1},      // dw in several parts, the last one ragged
    {1, 17, 16, 128, 4, 132, 1, 1, 1, 0, 0, 0, 0},  // large tiles for dw
    {2, 7, 9, 4, 0, 8, 3, 5, 2, 1, 2, 1, 2},        // height and width of filters differ, with a stride
    {2, 5, 4, 8, 3, 8, 3, 3, 1, 1, 1, 1, 1},        // whole packs of the first source alone
    {1, 5, 1, 4, 0, 4, 3, 1, 3, 0, 0, 1, 0},        // fewer columns than classes of pixels
    {2, 18, 17, 8, 0, 32, 1, 1, 1, 0, 0, 0, 0},     // 256 weights in parts: dbias has blocks of its own
};

}  // namespace

#if defined(ITO_SIMT)
namespace {

/// Eight packs of 16 bytes that pass at a time have to lie in different banks: a row's and the next ones',
/// as they are written, and those of one number in eight neighbouring rows, as they are read.
template <class T, int lines, int depths, bool along_depth>
void check_banks() {
  using Layout = conv2d::TileLayout<T, lines, depths, along_depth>;
  CAPTURE(Layout::kRows);
  CAPTURE(Layout::kRowPacks);
  unsigned slots_used = 0;
  std::vector<bool> taken(Layout::kPacks);
  for (int first = 0; first < Layout::kPacks; first += 8) {
    unsigned banks = 0;
    for (int i = first; i < first + 8; ++i) {
      const int slot = Layout::slot(i / Layout::kRowPacks, i % Layout::kRowPacks);
      banks |= 1u << slot % 8;
      slots_used += !taken[size_t(slot)];
      taken[size_t(slot)] = true;
    }
    CHECK(banks == 0xff);
  }
  CHECK(slots_used == Layout::kPacks);
  for (int row = 0; row < Layout::kRows; row += 8)
    for (int pack = 0; pack < Layout::kRowPacks; ++pack) {
      unsigned banks = 0;
      for (int i = 0; i < 8; ++i) banks |= 1u << Layout::slot(row + i, pack) % 8;
      CHECK(banks == 0xff);
    }
}

}  // namespace

TEST_CASE("tiles in shared memory are written and read without bank conflicts") {
  check_banks<float, 128, 16, true>();
  check_banks<float, 128, 16, false>();
  check_banks<float, 64, 16, false>();
  check_banks<float, 8, 16, false>();
  check_banks<bf16, 128, 32, true>();
  check_banks<bf16, 128, 32, false>();
  check_banks<bf16, 64, 32, false>();
  check_banks<bf16, 16, 32, true>();
  check_banks<bf16, 16, 32, false>();
}
#endif

TEST_CASE("f32 convolutions agree with f64 for every shape, under every schedule") {
  for (const Conv2dDims& d : kShapes) {
    CAPTURE(name_of(d));
    const Operands o(d);
    const auto first = run<float>(d, o);
    check_against_reference(d, o, first);
    for (const Schedule& schedule : all_schedules()) CHECK(same(run<float>(d, o, {schedule}), first));
  }
}

TEST_CASE("each part of the epilogue may be absent") {
  const Conv2dDims d = padded({.n = 2, .h = 3, .w = 5, .c1 = 4, .c2 = 4, .k = 12, .r = 3, .s = 3});
  for (int which = 0; which < 8; ++which) {
    CAPTURE(which);
    Operands o(d);
    if (!(which & 1)) o.bias.clear();
    if (!(which & 2)) o.shift.clear();
    if (!(which & 4)) o.residual.clear();
    check_against_reference(d, o, run<float>(d, o));
  }
}

TEST_CASE("gradients that are not wanted are not written, and change no others") {
  const Conv2dDims d = padded({.n = 2, .h = 10, .w = 13, .c1 = 8, .c2 = 12, .k = 4, .r = 3, .s = 3});
  const Operands o(d);
  const auto all = run<float>(d, o);
  const auto without_dx = run<float>(d, o, {{}, 0, false, true, false});
  CHECK(same_bits(without_dx.dx2, all.dx2));
  CHECK(same_bits(without_dx.dw, all.dw));
  CHECK(same_bits(run<float>(d, o, {{}, 0, true, false, true}).dx, all.dx));
  CHECK_NOTHROW(run<float>(d, o, {{}, 0, false, false, true}));
}

TEST_CASE("a NaN in one pixel spoils the outputs that see it alone") {
  for (const int channels : {8, 3}) CHECK(count_wrong_around_nan<float, float>(channels) == 0);
}

TEST_CASE("operands off the alignment of 16 bytes are read singly, to the same bits") {
  const Conv2dDims d = padded({.n = 2, .h = 7, .w = 5, .c1 = 8, .c2 = 4, .k = 16, .r = 3, .s = 3});
  const Operands o(d);
  const auto aligned = run<float>(d, o);
  CHECK(same(run<float>(d, o, {{}, 1}), aligned));
  with_each_array_unaligned([&] { CHECK(same(run<float>(d, o), aligned)); });
}

TEST_CASE("an image's bits depend on neither its batch nor the tiles") {
  for (const Conv2dDims& d : {padded({.n = 3, .h = 5, .w = 7, .c1 = 4, .c2 = 8, .k = 12, .r = 3, .s = 3}),
                              // large tiles for the batch, medium ones for one image
                              Conv2dDims{.n = 3, .h = 52, .w = 53, .c1 = 4, .c2 = 64, .k = 68}}) {
    CAPTURE(name_of(d));
    const Operands o(d);
    Conv2dDims one = d;
    one.n = 1;
    const auto batch = run<float>(d, o), single = run<float>(one, first_images(d, o, 1));
    check_against_reference(d, o, batch);
    CHECK(begins_with(batch.y, single.y));
    CHECK(begins_with(batch.dx, single.dx));
    CHECK(begins_with(batch.dx2, single.dx2));
  }
}

TEST_CASE("conv2d refuses what it cannot do") {
  CudaStream stream;
  float values[64] = {};
  double wide[64] = {};
  ConvPolicy policy;
  const Conv2dDims d{.n = 1, .h = 2, .w = 2, .c1 = 4, .k = 4};
  const In x{values, DType::f32}, x64{wide, DType::f64};
  const Out out{values, DType::f32};
  const ConvForward one{.x = x, .w = x, .y = out}, two{.x = x, .x2 = x, .w = x, .y = out};
  CHECK_THROWS_WITH(
      conv2d_forward(stream, policy, d, {.x = x64, .w = x64, .y = {wide, DType::f64}, .workspace = {}}),
      "conv2d: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_AS(conv2d_forward(stream, policy, d, two), ito::Error);
  CHECK_THROWS_AS(conv2d_forward(stream, policy, {.n = 1, .h = 2, .w = 2, .c1 = 4, .c2 = 4, .k = 4}, one),
                  ito::Error);
  CHECK_THROWS_AS(conv2d_forward(stream, policy, {.n = 0, .h = 2, .w = 2, .c1 = 4, .k = 4}, one), ito::Error);
  CHECK_THROWS_AS(conv2d_backward_weights(stream, policy, {.n = 4, .h = 16, .w = 16, .c1 = 4, .k = 4},
                                          {.dy = x, .x = x, .dw = out, .dbias = out}),
                  ito::Error);
  // Pixels of x, of y, and entries of the filters: 2^30 at most, each for itself, in each of their factors.
  const auto bytes = [&](const Conv2dDims& dims) {
    return conv2d_workspace_bytes(stream, policy, dims, DType::f32, ConvPass::forward);
  };
  for (const Conv2dDims& dims :
       {Conv2dDims{.n = 1 << 14, .h = 257, .w = 256, .c1 = 4, .k = 4, .stride = 256},
        Conv2dDims{.n = 1 << 14, .h = 256, .w = 257, .c1 = 4, .k = 4, .stride = 256},
        Conv2dDims{.n = 1 << 14, .h = 1, .w = 1, .c1 = 4, .k = 4, .pad_bottom = 256, .pad_right = 255},
        Conv2dDims{.n = 1 << 14, .h = 1, .w = 1, .c1 = 4, .k = 4, .pad_bottom = 255, .pad_right = 256},
        Conv2dDims{.n = 1, .h = 4096, .w = 4096, .c1 = 65, .k = 4, .r = 4096, .s = 4096},
        Conv2dDims{.n = 1, .h = 4096, .w = 4096, .c1 = 4, .k = 65, .r = 4096, .s = 4096}})
    CHECK_THROWS_AS(bytes(dims), ito::Error);
  CHECK_NOTHROW(bytes({.n = 1 << 14, .h = 256, .w = 256, .c1 = 4, .k = 4}));
  CHECK_NOTHROW(bytes({.n = 1, .h = 4096, .w = 4096, .c1 = 64, .k = 64, .r = 4096, .s = 4096}));
}
