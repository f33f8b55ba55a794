#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "engine/captured_step.h"
#include "engine/checkpoint.h"
#include "engine/io/atomic_file.h"
#include "engine/ops.h"
#include "engine/optimizer.h"
#include "tests/helpers.h"

/// Arena, tape, parameters, optimizer, captured step and checkpoint.
namespace ito::engine {
namespace {

namespace fs = std::filesystem;
using tests::error_of, tests::TempFolder;

Tensor numbers(Device& device, const Shape& shape, float first, float step) {
  std::vector<float> values(size_t(shape.count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = first + step * float(i);
  return Tensor::from(device, shape, DType::f32, values.data());
}

TEST_CASE("the arena repeats addresses, reuses the best hole and joins neighbours") {
  Arena arena(Arena::Kind::memory);
  void* a = arena.allocate(1000);
  void* b = arena.allocate(100);
  void* c = arena.allocate(2000);
  arena.allocate(10);
  CHECK(reinterpret_cast<uintptr_t>(a) % 256 == 0);
  arena.release(a);
  arena.release(c);
  CHECK(arena.allocate(900) == a);  // 1024 fits better than 2048
  CHECK(arena.allocate(1900) == c);
  arena.release(a);
  arena.release(b);
  arena.release(c);
  CHECK(arena.allocate(1024 + 256 + 2048) == a);  // the three have become one
  CHECK(arena.live_bytes() == 1024 + 256 + 2048 + 256);
}

TEST_CASE("a sealed arena refuses to grow and says so") {
  Arena arena(Arena::Kind::memory);
  void* a = arena.allocate(4096);
  arena.release(a);
  arena.seal();
  CHECK(arena.allocate(4096) == a);
  CHECK(error_of([&] { arena.allocate(1); }).find("sealed") != std::string::npos);
  arena.unseal();
  CHECK(arena.allocate(1) != nullptr);
}

TEST_CASE("a measuring arena finds the peak of requests that no machine could hold") {
  Arena arena(Arena::Kind::measuring);
  void* a = arena.allocate(size_t(1) << 50);
  void* b = arena.allocate(size_t(1) << 50);
  arena.release(a);
  arena.release(b);
  arena.allocate(64);
  CHECK(arena.peak_bytes() == size_t(2) << 50);
}

TEST_CASE("gradients of a value used twice are added, and its leaf keeps the sum") {
  Device device;
  const Tensor x = device.tape().watch(numbers(device, {4}, 1, 1));
  const Tensor y = add(add(x, x), x);  // 3x
  device.tape().backward(y);
  CHECK(device.tape().gradient(x).to_doubles() == std::vector<double>(4, 3.0));
  CHECK(device.tape().size() == 0);
}

TEST_CASE("a sink collects over several backward passes") {
  Device device;
  Tensor w = Tensor::persistent(device, {3}, DType::f32), sink = Tensor::persistent(device, {3}, DType::f32);
  for (int i = 0; i < 2; ++i) {
    device.tape().backward(add(device.tape().watch(w, sink), numbers(device, {3}, 0, 1)));
    device.tape().clear();
  }
  CHECK(sink.to_doubles() == std::vector<double>(3, 2.0));
}

TEST_CASE("a tensor of a finished step is refused; without a leaf nothing is recorded") {
  Device device;
  Tensor x = numbers(device, {2}, 0, 1);
  add(x, x);
  CHECK(device.tape().size() == 0);
  const Tensor leaf = device.tape().watch(x);
  {
    NoGrad off(device);
    add(leaf, leaf);
    CHECK(device.tape().size() == 0);
  }
  device.tape().clear();
  CHECK(error_of([&] { add(leaf, leaf); }).find("finished step") != std::string::npos);
}

struct Model {
  Device device;
  ParamStore store{device};
  Parameter w, b, f;
  explicit Model(ParamStore::Use use = ParamStore::Use::training, uint64_t seed = 3) {
    const Scope scope(store);
    w = (scope / "layer").filter("weight", {5, 3, 2, 4}, Init::uniform(0.5));
    b = (scope / "layer").weight("bias", {5}, Init::zeros());
    f = scope.fixed("frequencies", {7}, Init::normal(2));
    store.allocate(use, seed);
  }
};

TEST_CASE("parameters: counts, places, initial numbers") {
  Model m, same, other(ParamStore::Use::training, 4);
  CHECK(m.store.trainable_count() == 125);
  CHECK(m.store.offset(1) == 128);  // aligned to 16 numbers
  CHECK(m.w().to_doubles() == same.w().to_doubles());
  CHECK(m.w().to_doubles() != other.w().to_doubles());
  for (double v : m.w().to_doubles()) CHECK(std::abs(v) <= 0.5);
  CHECK(error_of([&] { Scope(m.store).weight("nothing", {1}, Init::zeros()); }).find("nothing") !=
        std::string::npos);
  CHECK(error_of([&] { (Scope(m.store) / "layer").weight("bias", {6}, Init::zeros()); }).find("[6]") !=
        std::string::npos);
}

TEST_CASE("learning rate and moving average follow their formulas") {
  LearningRate lr{Decay::cosine, 1e-3, 10, 110, 0.1};
  CHECK(lr.at(0) == doctest::Approx(1e-4));
  CHECK(lr.at(9) == doctest::Approx(1e-3));
  CHECK(lr.at(60) == doctest::Approx(1e-3 * 0.55));
  CHECK(lr.at(110) == doctest::Approx(1e-4));
  // Reference values: .999 is reached at 8,990 updates, .9999 at 89,990.
  CHECK(kernels::EmaOptions{0.999, true}.at(8990) == doctest::Approx(0.999).epsilon(1e-12));
  CHECK(kernels::EmaOptions{0.999, true}.at(8900) < 0.999);
  CHECK(kernels::EmaOptions{0.9999, true}.at(89989) < 0.9999);
  CHECK(kernels::EmaOptions{0.9999, true}.at(89990) == doctest::Approx(0.9999).epsilon(1e-12));
}

TEST_CASE("an optimizer step moves master and average, and skips a gradient that is not finite") {
  Model m;
  Optimizer optimizer(m.store, {{}, {Decay::constant, 0.01, 0, 0, 0}, {0.5, false}});
  const std::vector<double> before = m.w().to_doubles();
  const kernels::StepInput input = optimizer.input(0);
  const auto step = [&](float gradient) {
    m.store.zero_gradients();
    m.store.gradients()[0] = gradient;
    optimizer.update(&input);
  };
  step(std::numeric_limits<float>::quiet_NaN());
  CHECK(optimizer.state()->skipped == 1);
  CHECK(optimizer.updates() == 0);
  CHECK(m.w().to_doubles() == before);
  step(2);
  CHECK(optimizer.updates() == 1);
  CHECK(optimizer.state()->grad_norm == doctest::Approx(2));
  CHECK(m.store.master()[0] ==
        doctest::Approx(before[0] - 0.01).epsilon(1e-6));  // Adam's first step is lr * sign(g)
  CHECK(m.store.ema()[0] == doctest::Approx(before[0] - 0.005).epsilon(1e-6));
}

TEST_CASE("a captured step finds its peak dry, repeats it and leaves nothing behind") {
  Device device;
  Tensor kept;
  bool keep = false;
  CapturedStep step(device, [&] {
    const Tensor x = Tensor(device, {1000}, DType::f32), y = like(x);
    Tensor z = like(x);
    device.launch([&](auto&) { std::memset(z.data(), 0, z.bytes()); });
    if (keep) kept = z;
  });
  const size_t peak = step.peak_bytes();
  CHECK(peak == 3 * 4096);
  for (int i = 0; i < 4; ++i) step.run();
  CHECK(device.arena().peak_bytes() == peak);
  CHECK(device.arena().sealed());
  keep = true;
  CHECK(error_of([&] { step.run(); }).find("must be persistent") != std::string::npos);
}

TEST_CASE("weights and state survive the way through files, bit for bit") {
  const TempFolder folder;
  Model a, b(ParamStore::Use::training, 9), c(ParamStore::Use::inference, 9);
  a.store.ema()[1] = 0.125f;
  a.store.moment1()[2] = -3;
  save_state(folder / "state", a.store, {{"step", "12"}});
  save_weights(folder / "weights", a.store, Track::ema);
  CHECK(load_state(folder / "state", b.store).at("step") == "12");
  for (auto [x, y] :
       {std::pair(a.store.master(), b.store.master()), std::pair(a.store.ema(), b.store.ema()),
        std::pair(a.store.moment1(), b.store.moment1()), std::pair(a.store.moment2(), b.store.moment2())})
    CHECK(std::memcmp(x, y, size_t(a.store.flat_count()) * sizeof(float)) == 0);
  load_weights(folder / "weights", c.store);
  CHECK(std::memcmp(c.store.master(), a.store.ema(), size_t(a.store.flat_count()) * sizeof(float)) == 0);
  CHECK(c.f().to_doubles() == a.f().to_doubles());
}

TEST_CASE("weights can be stored in half the bytes, rounded to nearest") {
  const TempFolder folder;
  Model a, b(ParamStore::Use::inference, 9);
  for (const auto& [type, rounding] :
       {std::pair(io::ElementType::f16, 0x1p-11), {io::ElementType::bf16, 0x1p-8}}) {
    CAPTURE(io::name_of(type));
    save_weights(folder / "weights", a.store, Track::ema, {}, type);
    load_weights(folder / "weights", b.store);
    double worst = 0;
    for (int64_t i = 0; i < a.store.flat_count(); ++i) {
      const double x = double(a.store.ema()[i]);
      if (std::abs(x) > 0x1p-14)
        worst = std::max(worst, std::abs(double(b.store.master()[i]) - x) / std::abs(x));
    }
    CHECK(worst <= rounding);
    CHECK(worst > rounding / 8);
  }
  a.store.ema()[0] = 1e5f;
  CHECK(error_of([&] {
          save_weights(folder / "f16", a.store, Track::ema, {}, io::ElementType::f16);
        }).find("has numbers that are too large for F16") != std::string::npos);
  save_weights(folder / "bf16", a.store, Track::ema, {}, io::ElementType::bf16);
}

TEST_CASE("a damaged checkpoint is refused, with its name and what is wrong") {
  const TempFolder folder;
  Model a, b;
  const fs::path file = folder / "weights";
  save_weights(file, a.store, Track::ema);
  fs::resize_file(file, fs::file_size(file) - 3);
  CHECK(error_of([&] { load_weights(file, b.store); }).find(file.string()) != std::string::npos);
  save_weights(file, a.store, Track::ema);
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(-4, std::ios::end)
      << std::string("\0\0\xc0\x7f", 4);  // the last number becomes NaN
  CHECK(error_of([&] { load_weights(file, b.store); }).find(" holds nan") != std::string::npos);
  a.store.ema()[5] = std::numeric_limits<float>::quiet_NaN();
  CHECK(error_of([&] { save_weights(file, a.store, Track::ema); }).find("layer.weight holds nan") !=
        std::string::npos);
  Device device;
  ParamStore other(device);
  Scope(other).weight("elsewhere", {4}, Init::zeros());
  other.allocate(ParamStore::Use::training, 0);
  CHECK(error_of([&] { load_weights(file, other); }).find("another model") != std::string::npos);
  save_state(folder / "state", b.store, {});
  CHECK(error_of([&] { load_state(folder / "state", other); }).find("another network") != std::string::npos);
}

}  // namespace
}  // namespace ito::engine
