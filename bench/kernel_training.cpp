#include "bench/kernel_maps.h"
#include "bench/machine.h"
#include "bench/plain_passes.h"
#include "engine/buffer.h"
#include "kernels/adamw.h"
#include "kernels/base/math.h"
#include "kernels/make_batch.h"
#include "kernels/nearest_noise.h"
#include "kernels/squared_error.h"
#include "kernels/tree_sum.h"

namespace ito::bench {

namespace {

using List = std::vector<Tensor>;

struct Images {
  int n, h, w, c;
  Shape shape;
  std::string text;
  explicit Images(const Setting& s)
      : n(s.batch),
        h(s.network.height),
        w(s.network.width),
        c(s.network.channels),
        shape{n, h, w, c},
        text(cat(n, "x", h, "x", w, "x", c)) {}
  double numbers() const { return double(shape.count()); }
  int64_t per_image() const { return int64_t(h) * w * c; }
};

struct BatchTensors {
  engine::Buffer<uint8_t> pixels;
  engine::Buffer<kernels::SampleRecipe> recipes;
  engine::Buffer<uint32_t> step;
  Tensor input, target;
  engine::Buffer<uint8_t> chosen;  // and between the passes of the unfused sequence:
  Tensor x0, z;

  PlainBatch plain(const kernels::MakeBatchDims& dims) {
    return {dims,
            pixels.data(),
            recipes.data(),
            input.out(),
            target.out(),
            chosen.data(),
            static_cast<float*>(x0.data()),
            static_cast<float*>(z.data())};
  }
};

/// A set of images several times the batch, of which it takes some in no order.
BatchTensors batch_tensors(Operands& operands, const Images& d, DType dtype) {
  Device& device = operands.device();
  const uint64_t count = 8 * uint64_t(d.n);
  std::vector<uint8_t> pixels(size_t(count) * size_t(d.per_image()));
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = uint8_t((i * 2654435761u) >> 13);
  std::vector<kernels::SampleRecipe> recipes;
  for (int i = 0; i < d.n; ++i)
    recipes.push_back(
        {permuted_index(1, 0, uint64_t(i), count), uint32_t(i), uint32_t(i & 1), 0.9f, 0.4f, 0.6f, -0.3f});
  return {{device, pixels},
          {device, recipes},
          {device, std::vector<uint32_t>{1}},
          operands.zeros(d.shape, dtype),
          operands.zeros(d.shape, DType::f32),
          {device, size_t(d.n) * size_t(d.per_image())},
          operands.zeros(d.shape, DType::f32),
          operands.zeros(d.shape, DType::f32)};
}

/// Gradient, weights, moments and average of as many parameters.
struct OptimizerTensors {
  int64_t count;
  Tensor grad, w, m, v, ema, half, clipped;
  engine::Buffer<uint8_t> decayed;
  engine::Buffer<kernels::StepInput> input;
  engine::Buffer<kernels::StepState> state;
  engine::Buffer<std::byte> scratch;

  OptimizerTensors(Operands& operands, int64_t n, bool with_half)
      : count(n),
        decayed(operands.device(), std::vector<uint8_t>(size_t(n / kernels::kParameterAlign + 1), 1)),
        input(operands.device(), {kernels::StepInput{0, 1e-4f}}),
        state(operands.device(), {kernels::StepState{}}),
        scratch(operands.device(), kernels::kGradientNormScratch) {
    for (Tensor* t : {&grad, &w}) *t = operands.normal({n}, DType::f32);
    for (Tensor* t : {&m, &v, &ema, &clipped}) *t = operands.zeros({n}, DType::f32);
    if (with_half) half = operands.zeros({n}, DType::bf16);
  }
  template <class Stream>
  void norm(Stream& s) {
    kernels::gradient_norm(s, count, {}, {}, floats(grad), state.data(), scratch.data());
  }
  template <class Stream>
  void update(Stream& s) {
    kernels::adamw_update(s, count, {}, input.data(), state.data(), buffers());
  }
  template <class Stream>
  void update_by_passes(Stream& s) {
    adamw_by_passes(s, {count, {}, input.data(), state.data(), buffers(), floats(clipped)});
  }
  kernels::AdamWBuffers buffers() {
    return {.grad = floats(grad),
            .flags = decayed.data(),
            .w = floats(w),
            .m = floats(m),
            .v = floats(v),
            .ema = floats(ema),
            .half = static_cast<bf16*>(half.data())};
  }
  static float* floats(Tensor& t) { return static_cast<float*>(t.data()); }
};

Case optimizer_case(int64_t count, bool with_half, bool update) {
  const double bytes = update ? 36.0625 + (with_half ? 2 : 0) : 4;  // grad; w, m, v, EMA twice; a flag for 16
  return {"optimizer",
          update ? "adamw_update" : "gradient_norm",
          cat(count),
          update && with_half ? "f32, bf16 copy" : "f32",
          1,
          0,
          bytes * double(count),
          [=](Operands& operands) -> PreparedCase {
            const auto t = std::make_shared<OptimizerTensors>(operands, count, with_half);
            Device& device = operands.device();
            device.launch([&](auto& s) { t->norm(s); });  // the corrections that the update reads
            if (update)
              return {[&device, t] { device.launch([&](auto& s) { t->update(s); }); },
                      {"clip, moments, update, EMA, cast",
                       [&device, t] { device.launch([&](auto& s) { t->update_by_passes(s); }); }},
                      {}};  // both go on from what the other left
            return {[&device, t] { device.launch([&](auto& s) { t->norm(s); }); }, {}, {}};
          }};
}

/// What each of 8 ranks sums of the gradient: its eighth, from all of them. One process has none of it.
Case exchanged_sum(int64_t parameters) {
  constexpr int kRanks = 8;
  const int64_t count = align_up(div_up(parameters, kRanks), kernels::kParameterAlign);
  return map_case(
      {"optimizer", "tree_sum", cat(kRanks, "x", count), "f32", 0, 0, 4.0 * (kRanks + 1) * double(count), {}},
      [=](Operands& operands) -> List {
        return {operands.normal({kRanks * count}, DType::f32), operands.zeros({count}, DType::f32)};
      },
      [=](auto& s, List& t) {
        kernels::tree_sum(s, kRanks, count, count, t[0].in().template as<float>(),
                          t[1].out().template as<float>());
      });
}

}  // namespace

namespace {

kernels::MakeBatchDims batch_dims(const Images& d, const BatchTensors& t) {
  return {d.n, d.h, d.w, d.c, 1, Purpose::diffusion_noise, t.step.data()};
}

Case plain_batch(const Images& d, DType dtype) {
  return {"training batch",
          "make_batch",
          d.text,
          cat("u8->", name_of(dtype), ",f32"),
          1,
          0,
          d.numbers() * (1 + double(size_of(dtype)) + 4),
          [=](Operands& operands) -> PreparedCase {
            const auto t = std::make_shared<BatchTensors>(batch_tensors(operands, d, dtype));
            Device& device = operands.device();
            const kernels::MakeBatchDims dims = batch_dims(d, *t);
            return {[&device, t, dims] {
                      device.launch([&](auto& s) {
                        kernels::make_batch(s, dims, {t->pixels.data(), t->recipes.data()}, {},
                                            t->input.out(), t->target.out());
                      });
                    },
                    {"gather, mirror, noise, scale",
                     [&device, t, dims] {
                       device.launch([&](auto& s) { make_batch_by_passes(s, t->plain(dims)); });
                     }},
                    t->input};
          }};
}

/// Every image turned a little, and noise in the input alone.
Case varied_batch(const Images& d, DType dtype) {
  return {"training batch",
          "make_batch",
          d.text + ", augmented, input noise",
          cat("u8->", name_of(dtype), ",f32"),
          0,
          0,
          d.numbers() * (1 + double(size_of(dtype)) + 4),
          [=](Operands& operands) -> PreparedCase {
            const auto t = std::make_shared<BatchTensors>(batch_tensors(operands, d, dtype));
            Device& device = operands.device();
            const std::vector<kernels::ImageMap> turned(size_t(d.n), {0.98f, -0.2f, 5, 0.2f, 0.98f, -5});
            const auto maps = std::make_shared<engine::Buffer<kernels::ImageMap>>(device, turned);
            const kernels::MakeBatchDims dims = batch_dims(d, *t);
            return {[&device, t, maps, dims] {
                      device.launch([&](auto& s) {
                        kernels::make_batch(s, dims, {t->pixels.data(), t->recipes.data(), maps->data()},
                                            {nullptr, 0.1f}, t->input.out(), t->target.out());
                      });
                    },
                    {},
                    {}};
          }};
}

Case nearest_of_four(const Images& d, DType dtype) {
  return {"training batch",
          "nearest_noise",
          d.text + ", 4 candidates",
          "u8->u32",
          0,
          0,
          d.numbers(),
          [=](Operands& operands) -> PreparedCase {
            const auto t = std::make_shared<BatchTensors>(batch_tensors(operands, d, dtype));
            Device& device = operands.device();
            const auto chosen = std::make_shared<engine::Buffer<uint32_t>>(device, size_t(d.n));
            const kernels::MakeBatchDims dims = batch_dims(d, *t);
            return {
                [&device, t, chosen, dims] {
                  device.launch([&](auto& s) {
                    kernels::nearest_noise(s, dims, {t->pixels.data(), t->recipes.data()}, 4, chosen->data());
                  });
                },
                {},
                {}};
          }};
}

}  // namespace

Cases batch_cases(const Setting& setting) {
  const Images d(setting);
  return {plain_batch(d, setting.dtype), varied_batch(d, setting.dtype), nearest_of_four(d, setting.dtype)};
}

Cases loss_cases(const Setting& setting) {
  const Images d(setting);
  const DType dtype = setting.dtype;
  const auto head = [&](const char* name, int tensors) -> Case {
    return {"loss",
            name,
            d.text,
            std::string(name_of(dtype)),
            1,
            0,
            d.numbers() * (tensors * double(size_of(dtype)) + 4),  // the target is f32
            {}};
  };
  const auto tensors = [=](Operands& operands) -> List {
    return {operands.normal(d.shape, dtype),    operands.normal(d.shape, DType::f32),
            operands.normal({d.n}, DType::f32), operands.zeros({d.n}, DType::f32),
            operands.normal({1}, DType::f32),   operands.zeros(d.shape, dtype)};
  };
  const auto operands = [](const List& t) {
    return kernels::SquaredErrorOperands{.y = t[0].in(), .target = t[1].in(), .weight = t[2].in()};
  };
  return {map_case(head("squared_error_forward", 1), tensors,
                   [=](auto& s, List& t) {
                     kernels::squared_error_forward(s, d.n, d.per_image(), operands(t), t[3].out(),
                                                    t[4].out());
                   }),
          map_case(head("squared_error_backward", 2), tensors, [=](auto& s, List& t) {
            kernels::squared_error_backward(s, d.n, d.per_image(), t[4].in(), operands(t), t[5].out());
          })};
}

Cases optimizer_cases(const Setting& setting, int64_t parameters) {
  constexpr int64_t kBytes = 28, kAlign = kernels::kParameterAlign;
  const bool with_half = setting.backend == engine::Backend::cuda && setting.dtype == DType::bf16;
  int64_t count = align_up(parameters, kAlign);
  // Fewer on a machine that is short of memory; the row says how many.
  if (setting.backend == engine::Backend::cpu)
    while (count > kAlign && size_t(count * kBytes) > available_memory_bytes() / 2)
      count = count / 2 / kAlign * kAlign;
  return {optimizer_case(count, with_half, false), optimizer_case(count, with_half, true),
          exchanged_sum(count)};
}

}  // namespace ito::bench
