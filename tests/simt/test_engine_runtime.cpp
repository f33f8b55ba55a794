#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>

#include "kernels/cuda_library.h"
#include "model/training/checkpoint.h"
#include "model/training/fine_tuning.h"
#include "model/training/session.h"
#include "model/unet/presets.h"
#include "tests/helpers.h"
#include "tests/op_evaluation.h"
#include "tests/simt/device_array.h"
#include "tests/simt/emulator/runtime.h"

/// What a run on a GPU asks of the runtime, and what it says where the GPU is missing, too old, too small or
/// lost.
namespace ito::model {
namespace {

using engine::Backend;
using engine::Device;
using tests::advice_of, tests::contains, tests::error_of, tests::TempFolder;

constexpr int kImages = 6, kSize = 8;

TrainingOptions tiny(int batch) {
  TrainingOptions o;
  o.preset = "tiny";
  o.network = preset("tiny").network;
  o.network.height = o.network.width = kSize;
  o.batch = batch;
  o.steps = 8;
  o.save_every = o.sample_every = 4;
  o.sample_count = 1;
  o.sample_steps = 1;
  return o;
}

std::vector<uint8_t> pixels(int images = kImages) {
  std::vector<uint8_t> values(size_t(images) * kSize * kSize * 3);
  for (size_t i = 0; i < values.size(); ++i) values[i] = uint8_t(i * 37 + i / 64 * 11);
  return values;
}

ImageSet images_of(const std::vector<uint8_t>& values) {
  return {values.data(), int64_t(values.size()) / (kSize * kSize * 3), kSize, kSize, 3, "none", {}};
}

/// The device as a new process finds it, before and after.
struct FreshDevice {
  FreshDevice() { simt::reset_device(); }
  ~FreshDevice() { simt::reset_device(); }
};

TEST_CASE("a steady step neither allocates nor waits") {
  FreshDevice fresh;
  const std::vector<uint8_t> values = pixels();
  Device device({1, Backend::cuda});
  Trainer trainer(device, tiny(2), images_of(values));
  for (int i = 0; i < 4; ++i) trainer.advance();
  simt::reset_calls();
  constexpr int kSteps = 5;
  for (int i = 0; i < kSteps; ++i) trainer.advance();
  for (const char* never : {"cudaMalloc", "cudaFree", "cudaMallocHost", "cudaStreamSynchronize",
                            "cudaDeviceSynchronize", "cudaMemcpy", "cudaLaunchKernelEx"}) {
    CAPTURE(std::string(never));
    CHECK(simt::calls(never) == 0);
  }
  CHECK(simt::calls("cudaGraphLaunch") == kSteps);
  CHECK(simt::calls("cudaMemcpyHostToDevice") == kSteps);
  CHECK(simt::calls("cudaMemcpyDeviceToHost") == kSteps);
  // The mark of the step before the last: two steps are under way.
  CHECK(simt::calls("cudaEventSynchronize") == kSteps);
  trainer.finish();
}

TEST_CASE("reports arrive in order, two steps late, and none is lost") {
  FreshDevice fresh;
  const std::vector<uint8_t> values = pixels();
  Device device({1, Backend::cuda});
  Trainer trainer(device, tiny(2), images_of(values));
  std::vector<int64_t> steps;
  for (int i = 0; i < 5; ++i) {
    for (const StepReport& r : trainer.advance()) steps.push_back(r.step);
    CHECK(steps.size() == size_t(std::max(0, i - 1)));
  }
  for (const StepReport& r : trainer.finish()) steps.push_back(r.step);
  CHECK(steps == std::vector<int64_t>{0, 1, 2, 3, 4});
}

TEST_CASE("images that do not fit on the GPU come with each step, and teach the same") {
  const std::vector<uint8_t> values = pixels(100000);
  const auto losses = [&](size_t mebibytes) {
    FreshDevice fresh;
    simt::set_memory_limit(mebibytes << 20);
    Device device({1, Backend::cuda});
    Trainer trainer(device, tiny(2), images_of(values));
    CHECK((device.persistent_bytes() > values.size()) == (mebibytes > 100));
    std::vector<double> result;
    for (int i = 0; i < 4; ++i) result.push_back(trainer.step().loss);
    return result;
  };
  CHECK(losses(16) == losses(256));
}

TEST_CASE("out of memory: what is needed, what is there, and the batch that fits") {
  FreshDevice fresh;
  const std::vector<uint8_t> values = pixels();
  size_t for_two = 0, for_64 = 0;
  {
    Device device({1, Backend::cuda});
    for_two = Trainer(device, tiny(2), images_of(values)).plan().step_bytes;
  }
  {
    Device device({1, Backend::cuda});
    const MemoryPlan plan = Trainer(device, tiny(64), images_of(values)).plan();
    for_64 = plan.total();
  }
  REQUIRE(for_two * 4 < for_64);
  simt::set_memory_limit(2 << 20);  // the network alone takes 3.5 MB
  {
    Device device({1, Backend::cuda});
    const auto train = [&] { Trainer(device, tiny(2), images_of(values)); };
    CHECK(contains(error_of(train), "the network's weights, gradients, moments and averages need 3 MiB"));
    CHECK(advice_of(train) == "a smaller {preset}");
    CHECK(device.persistent_bytes() == 0);
  }
  simt::set_memory_limit(for_64 / 2);
  Device device({1, Backend::cuda});
  const auto train = [&] { Trainer(device, tiny(64), images_of(values)); };
  CHECK(contains(error_of(train), "a step of 64 images needs"));
  // The batch that is offered does fit, and learns.
  int batch = 0, accumulate = 0;
  const std::string advice = advice_of(train);
  CAPTURE(advice);
  REQUIRE(std::sscanf(advice.c_str(), "{batch} %d {accumulate} %d, which fits", &batch, &accumulate) == 2);
  CHECK(batch * accumulate == 64);
  TrainingOptions fitting = tiny(batch);
  fitting.accumulate = accumulate;
  Device other({1, Backend::cuda});
  CHECK(std::isfinite(Trainer(other, fitting, images_of(values)).step().loss));
}

TEST_CASE("no GPU, no driver, an old driver, an old GPU: one line each that says what to do") {
  FreshDevice fresh;
  const auto choose_cuda = [] { engine::choose_backend(engine::DeviceChoice::cuda); };
  const auto asked_for_cuda = [&] { return error_of(choose_cuda); };
  CHECK(engine::choose_backend(engine::DeviceChoice::automatic) == Backend::cuda);
  CHECK(kernels::cudnn_available());
  simt::set_device_count(0);
  CHECK(contains(asked_for_cuda(), "no GPU is visible"));
  CHECK(advice_of(choose_cuda) == "{device} cpu");
  CHECK(engine::choose_backend(engine::DeviceChoice::automatic) == Backend::cpu);
  simt::reset_device();
  simt::set_driver_version(0);
  CHECK(contains(asked_for_cuda(), "no NVIDIA driver is installed"));
  simt::set_driver_version(11040);
  CHECK(contains(asked_for_cuda(),
                 "the NVIDIA driver supports CUDA 11.4, this program needs 13.0: update the driver"));
  simt::reset_device();
  simt::fail_after("cudaFuncGetAttributes", 1, cudaErrorNoKernelImageForDevice);
  CHECK(contains(asked_for_cuda(), "this program was built for other GPUs"));
  simt::fail_after("cudaFuncGetAttributes", 1, cudaErrorUnsupportedPtxVersion);
  CHECK(engine::choose_backend(engine::DeviceChoice::automatic) == Backend::cpu);
  // A GPU that is there and busy is no reason to go on without it.
  simt::fail_after("cudaFuncGetAttributes", 1, cudaErrorDevicesUnavailable);
  CHECK(engine::choose_backend(engine::DeviceChoice::automatic) == Backend::cuda);
  CHECK(asked_for_cuda() == "");
  simt::set_compute_capability(7, 5);
  CHECK(contains(asked_for_cuda(), "compute capability 7.5; Ito needs 8.0"));
  CHECK(contains(error_of([] { Device device({1, Backend::cuda}); }), "compute capability 7.5"));
}

TEST_CASE("a device that is lost in the middle of a step: a clear line, and the last checkpoint intact") {
  const std::vector<uint8_t> values = pixels();
  // At a launch, where the host waits for an older step, and while numbers are copied back for a checkpoint.
  for (const char* call : {"cudaGraphLaunch", "cudaEventSynchronize", "cudaStreamSynchronize"}) {
    CAPTURE(std::string(call));
    FreshDevice fresh;
    TempFolder place;
    const RunFolder folder(place / "run");
    const TrainingOptions o = tiny(2);
    SessionHooks hooks;
    {
      Device device({1, Backend::cuda});
      Trainer trainer(device, o, images_of(values));
      hooks.saved = [&](const std::filesystem::path&) { simt::fail_after(call, 2, cudaErrorLaunchFailure); };
      const std::string message = error_of([&] { run_session(device, trainer, folder, hooks); });
      CAPTURE(message);
      CHECK(contains(message, "launch failure (cudaErrorLaunchFailure, at kernels/cuda_stream.cu:"));
      CHECK(contains(message, "the newest checkpoint is intact"));
    }
    simt::reset_device();
    const auto checkpoint = newest_checkpoint(folder.path());
    REQUIRE(checkpoint);
    CHECK(checkpoint->filename() == "step-00000004");
    hooks.saved = [](const std::filesystem::path&) {};
    Device device({1, Backend::cuda});
    Trainer trainer(device, o, images_of(values));
    CHECK(run_session(device, trainer, folder, hooks).finished);
  }
}

TEST_CASE("a run on a GPU with grids and checkpoints is the run without them") {
  FreshDevice fresh;
  const std::vector<uint8_t> values = pixels();
  const auto last_state = [&](bool with_grids) {
    TempFolder place;
    const RunFolder folder(place / "run");
    TrainingOptions o = tiny(2);
    if (!with_grids) o.save_every = o.sample_every = 1000;
    SessionHooks hooks;
    int grids = 0;
    hooks.write_grid = [&](const std::filesystem::path&, const auto& pictures, int count) {
      ++grids;
      CHECK(pictures.at(0).size() == size_t(count) * kSize * kSize * 3);
    };
    Device device({1, Backend::cuda});
    Trainer trainer(device, o, images_of(values));
    CHECK(run_session(device, trainer, folder, hooks).finished);
    CHECK(grids == (with_grids ? 2 : 1));
    return trainer.store().read(trainer.store().find("mid_block.resnets.0.conv1.weight"),
                                engine::Track::master);
  };
  CHECK(simt::same_bits(last_state(true), last_state(false)));
}

TEST_CASE("a run on a GPU begins from another one's weights, with a grid of step 0, and goes on as any run") {
  FreshDevice fresh;
  const std::vector<uint8_t> values = pixels();
  TempFolder place;
  TrainingOptions o = tiny(2);
  o.precision = Precision::bf16;
  Device device({1, Backend::cuda});
  {
    Trainer trainer(device, o, images_of(values));
    CHECK(run_session(device, trainer, RunFolder(place / "source"), {}).finished);
  }
  Device host({1, Backend::cpu});
  const LoadedModel source = load_model(host, *newest_checkpoint(place / "source"));
  o.from = Origin{"source", source.step, "ab"}, o.seed = 1;
  const auto train = [&](const std::string& folder, int64_t until) {
    Trainer trainer(device, o, images_of(values));
    const int weight = trainer.store().find("mid_block.resnets.0.conv1.weight");
    int grids = 0;
    SessionHooks hooks;
    hooks.begin = [&] { return begin_from(source, trainer); };
    hooks.interrupted = [&] { return trainer.step_number() == until; };
    hooks.write_grid = [&](auto&&...) {
      if (trainer.step_number() == 0)
        CHECK(trainer.store().read(weight, engine::Track::ema) ==
              source.store->read(weight, engine::Track::master));
      ++grids;
    };
    run_session(device, trainer, RunFolder(place / folder), hooks);
    return grids;
  };
  CHECK(train("straight", -1) == 3);
  CHECK((train("stopped", 1) == 1 && train("stopped", -1) == 2));
  CHECK(tests::contents_of(place / "straight/checkpoints") ==
        tests::contents_of(place / "stopped/checkpoints"));
}

TEST_CASE("--conv auto: steps are captured with what was timed, and a resumed run keeps it") {
  FreshDevice fresh;
  const std::vector<uint8_t> values = pixels();
  TempFolder place;
  const RunFolder folder(place / "run");
  TrainingOptions o = tiny(2);
  o.conv = kernels::Provider::fastest;
  o.sample_count = 0;
  const auto train = [&](int64_t until) {
    SessionHooks hooks;
    Device device({1, Backend::cuda, o.conv});
    Trainer trainer(device, o, images_of(values));
    hooks.interrupted = [&] { return trainer.step_number() == until; };
    run_session(device, trainer, folder, hooks);
    return device.conv_policy().plan.to_text();
  };
  const std::string plan = train(6);
  CHECK(!plan.empty());
  CHECK(folder.conv_plan() == plan);
  CHECK(train(8) == plan);
  CHECK(newest_checkpoint(folder.path())->filename() == "step-00000008");
  // A run with another choice is another run.
  o.conv = kernels::Provider::own;
  const std::string refused = error_of([&] { train(9); });
  CAPTURE(refused);
  CHECK(contains(refused, "conv: \"auto\" there, \"ours\" now"));
}

TEST_CASE("one forward pass of small at batch 1 on CUDA is the CPU's") {
  FreshDevice fresh;
  const auto forward = [](Backend backend) {
    Device device({1, backend});
    engine::ParamStore store(device);
    const NetworkConfig config = preset("small").network;
    const Network network(Scope(store), config);
    store.allocate(engine::ParamStore::Use::inference, 3);
    // The last convolution starts at zero: give it something to say.
    const int last = store.find("conv_out.weight");
    std::vector<float> w = store.read(last, engine::Track::master);
    for (size_t i = 0; i < w.size(); ++i) w[i] = 0.05f * float(int(i % 7) - 3);
    store.write(last, engine::Track::master, w);
    device.reserve(size_t(64) << 20);
    engine::NoGrad off(device);
    const size_t count = size_t(config.height) * size_t(config.width) * 3;
    std::vector<float> x(count);
    for (size_t i = 0; i < count; ++i) x[i] = std::sin(0.01f * float(i));
    const float c_noise = 0.3f;
    const engine::Shape shape{1, config.height, config.width, 3};
    return network({engine::Tensor::from(device, shape, engine::DType::f32, x.data()),
                    engine::Tensor::from(device, {1}, engine::DType::f32, &c_noise),
                    {},
                    {},
                    {}})
        .to_doubles();
  };
  const std::vector<double> want = forward(Backend::cpu), got = forward(Backend::cuda);
  CHECK(tests::largest(want) > 0);
  CHECK(tests::distance(got, want) < 2e-5);
}

}  // namespace
}  // namespace ito::model
