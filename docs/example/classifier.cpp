#include <iostream>
#include <vector>

#include "data/dataset.h"
#include "engine/ops.h"
#include "engine/optimizer.h"

using namespace ito::engine;

/// classifier FOLDER: learns from three quarters of its faces who smiles, and prints how many others it gets right.
int main(int argc, char** argv) try {
  constexpr int kSize = 32, kFace = kSize * kSize * 3, kBatch = 32, kSteps = 300;
  if (argc != 2) ito::fail("usage: classifier FOLDER");
  ito::data::DatasetOptions options;
  options.split = "all", options.height = kSize, options.width = kSize;
  const ito::data::Dataset faces = ito::data::open_dataset(argv[1], options);
  const int count = int(faces.count()), learned = count * 3 / 4 / kBatch * kBatch;
  if (learned == 0) ito::fail("a set of 100 faces or more is needed");
  const std::vector<float> smiles = faces.attribute("Smiling");  // 1 or -1
  std::vector<float> pixels(faces.pixels(), faces.pixels() + count * kFace);
  for (float& pixel : pixels) pixel = pixel / 127.5f - 1;

  Device device;
  ParamStore store(device);
  const Parameter conv1 = Scope(store).filter("conv1", {16, 3, 3, 3}, Init::normal(0.27));
  const Parameter conv2 = Scope(store).filter("conv2", {32, 3, 3, 16}, Init::normal(0.12));
  const Parameter weight = Scope(store).weight("weight", {1, 8 * 8 * 32}, Init::zeros());
  store.allocate(ParamStore::Use::training, /*seed=*/0);
  Optimizer optimizer(store, {.adamw = {}, .learning_rate = {.peak = 1e-3, .warmup = 20}, .ema = {}});
  const auto classify = [&](int first, int n) {  // n faces: numbers [n, 1], above 0 where there is a smile
    Tensor x = Tensor::from(device, {n, kSize, kSize, 3}, DType::f32, &pixels[first * kFace]);
    x = activate(conv2d(x, conv1(), {}, /*stride=*/2, Padding::same(3)), Activation::relu);
    x = activate(conv2d(x, conv2(), {}, /*stride=*/2, Padding::same(3)), Activation::relu);
    return linear(reshape(x, {n, 8 * 8 * 32}), weight(), {});
  };

  const std::vector<float> weights(kBatch, 1.0f / kBatch);
  for (int step = 0; step <= kSteps; ++step) {
    if (step % 100 == 0) {
      const NoGrad no_gradients(device);
      const std::vector<double> y = classify(learned, count - learned).to_doubles();
      int right = 0;
      for (int i = 0; i < count - learned; ++i) right += (y[i] > 0) == (smiles[learned + i] > 0);
      std::cout << "step " << step << ": " << 100 * right / (count - learned) << " % right" << std::endl;
    }
    const int first = step * kBatch % learned;
    const Tensor truth = Tensor::from(device, {kBatch, 1}, DType::f32, &smiles[first]);
    const Tensor mean = Tensor::from(device, {kBatch}, DType::f32, weights.data());
    store.zero_gradients();
    device.tape().backward(squared_error(classify(first, kBatch), truth, mean));
    device.tape().clear();
    optimizer.step(step);
  }
} catch (const std::exception& error) {
  std::cerr << "classifier: " << error.what() << std::endl;
  return 1;
}
