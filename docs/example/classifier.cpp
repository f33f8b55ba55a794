#include <algorithm>
#include <iostream>
#include <vector>

#include "data/dataset.h"
#include "engine/ops.h"
#include "engine/optimizer.h"

using namespace ito::engine;

/// classifier FOLDER: learns from three quarters of its faces who smiles; its accuracy on the others, before and after.
int main(int argc, char** argv) try {
  constexpr int kSize = 32, kFace = kSize * kSize * 3, kBatch = 32;
  ito::data::DatasetOptions options;
  if (argc != 2) ito::fail("usage: classifier FOLDER");
  options.split = "all", options.height = kSize, options.width = kSize;
  const ito::data::Dataset faces = ito::data::open_dataset(argv[1], options);
  const int count = int(faces.count()), learned = count * 3 / 4 / kBatch * kBatch;
  std::vector<float> pixels(faces.pixels(), faces.pixels() + count * kFace), smiles;
  for (float& pixel : pixels) pixel = pixel / 127.5f - 1;
  const auto& names = faces.attribute_names();
  const auto smiling = std::find(names.begin(), names.end(), "Smiling") - names.begin();
  if (learned == 0 || smiling == int64_t(names.size()))
    ito::fail("a set of 100 faces or more with attributes is needed");
  for (int i = 0; i < count; ++i)
    smiles.push_back(faces.attributes()[i * names.size() + smiling]);  // 1 or -1

  Device device;
  ParamStore store(device);
  const Parameter conv1 = Scope(store).filter("conv1", {16, 3, 3, 3}, Init::normal(0.27));
  const Parameter conv2 = Scope(store).filter("conv2", {32, 3, 3, 16}, Init::normal(0.12));
  const Parameter weight = Scope(store).weight("weight", {1, 8 * 8 * 32}, Init::zeros());
  store.allocate(ParamStore::Use::training, /*seed=*/0);
  Optimizer optimizer(store, {.adamw = {}, .learning_rate = {.peak = 1e-3, .warmup = 20}, .ema = {}});
  const auto layer = [](const Tensor& x, const Parameter& filter) {
    return activate(conv2d(x, filter(), {}, /*stride=*/2, Padding::same(3)), Activation::relu);
  };
  const auto classify = [&](int first, int n) {  // n faces: numbers [n, 1], above 0 where there is a smile
    const Tensor x = Tensor::from(device, {n, kSize, kSize, 3}, DType::f32, &pixels[first * kFace]);
    return linear(reshape(layer(layer(x, conv1), conv2), {n, 8 * 8 * 32}), weight(), {});
  };
  const auto print_accuracy = [&](const char* when) {
    const NoGrad no_gradients(device);
    const std::vector<double> y = classify(learned, count - learned).to_doubles();
    int right = 0;
    for (int i = 0; i < count - learned; ++i) right += (y[i] > 0) == (smiles[learned + i] > 0);
    std::cout << when << ": " << 100 * right / (count - learned) << " % right" << std::endl;
  };

  print_accuracy("before");
  const std::vector<float> weights(kBatch, 1.0f / kBatch);
  for (int step = 0; step < 300; ++step) {
    const int first = step * kBatch % learned;
    const Tensor truth = Tensor::from(device, {kBatch, 1}, DType::f32, &smiles[first]);
    const Tensor mean = Tensor::from(device, {kBatch}, DType::f32, weights.data());
    store.zero_gradients();
    device.tape().backward(squared_error(classify(first, kBatch), truth, mean));
    device.tape().clear();
    optimizer.update(Buffer<ito::kernels::StepInput>(device, {optimizer.input(step)}).data());
  }
  print_accuracy("after");
} catch (const std::exception& error) {
  std::cerr << "classifier: " << error.what() << std::endl;
  return 1;
}
