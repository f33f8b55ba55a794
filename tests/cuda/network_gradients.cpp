#include <algorithm>
#include <iostream>

#include "engine/checkpoint.h"
#include "engine/io/safetensors.h"
#include "engine/ops.h"
#include "model/unet/network.h"
#include "model/unet/presets.h"
#include "tests/parity_recipe.h"

/// The output and all gradients of a preset's network on either device, as tests/reference/unet_parity.py
/// writes them for its small networks (same recipe, same names, NCHW and OIHW), for comparison with PyTorch.
namespace ito::tests {
namespace {

using engine::Tensor;

struct Wish {
  std::string preset;
  int batch;
  std::string device, precision;  // "cuda", "bf16"
};

/// [outer, from, to] -> [outer, to, from].
std::vector<float> transposed(const std::vector<float>& values, int64_t outer, int64_t from, int64_t to) {
  std::vector<float> result(values.size());
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < from; ++i)
      for (int64_t j = 0; j < to; ++j)
        result[size_t((o * to + j) * from + i)] = values[size_t((o * from + i) * to + j)];
  return result;
}

/// A parameter's numbers from the file's order to ours, or back.
std::vector<float> reordered(const engine::ParameterSpec& spec, const std::vector<float>& values,
                             bool to_file) {
  if (spec.layout == engine::FileLayout::same) return values;
  if (spec.layout == engine::FileLayout::table)
    return to_file ? transposed(values, 1, spec.shape[0], spec.shape[1])
                   : transposed(values, 1, spec.shape[1], spec.shape[0]);
  const int64_t taps = spec.shape[1] * spec.shape[2], channels = spec.shape[3];
  return to_file ? transposed(values, spec.shape[0], taps, channels)
                 : transposed(values, spec.shape[0], channels, taps);
}

struct Result {
  std::vector<io::TensorSpec> specs;
  std::vector<std::vector<float>> values;
  void add(const std::string& name, std::vector<int64_t> shape, std::vector<float> numbers) {
    specs.push_back({name, io::ElementType::f32, std::move(shape)});
    values.push_back(std::move(numbers));
  }
  void write(const std::string& path) const {
    io::SafetensorsWriter writer(path, specs);
    for (const auto& v : values) writer.write(v.data(), v.size() * sizeof(float));
    writer.finish();
  }
};

/// The recipe's numbers; a parameter's position is that of its name among all names in alphabetical order.
void set_weights(engine::ParamStore& store) {
  std::vector<std::string> names;
  for (const engine::ParameterSpec& spec : store.specs()) names.push_back(spec.name);
  std::sort(names.begin(), names.end());
  for (size_t position = 0; position < names.size(); ++position) {
    const int index = store.find(names[position]);
    const engine::ParameterSpec& spec = store.specs()[size_t(index)];
    const auto values = parity_parameter(uint32_t(position), spec.name, engine::file_shape(spec));
    store.write(index, engine::Track::master, reordered(spec, values, false));
  }
  store.refresh_half();
}

Tensor image(engine::Device& device, const std::vector<float>& nchw, const engine::Shape& shape,
             engine::DType dtype) {
  const std::vector<float> nhwc = transposed(nchw, shape[0], shape[3], shape[1] * shape[2]);
  return cast(Tensor::from(device, shape, engine::DType::f32, nhwc.data()), dtype);
}

std::vector<float> floats_of(const Tensor& t) {
  const std::vector<double> wide = t.to_doubles();
  return {wide.begin(), wide.end()};
}

Result run(const Wish& wish) {
  engine::Device device({0, engine::choose_backend(parse_name<engine::DeviceChoice>(wish.device))});
  const engine::DType dtype = wish.precision == "bf16" ? engine::DType::bf16 : engine::DType::f32;
  const model::NetworkConfig& config = model::preset(wish.preset).network;
  engine::ParamStore store(device);
  const model::Network network(engine::Scope(store), config);
  store.allocate(engine::ParamStore::Use::training, 0, dtype);
  set_weights(store);
  const engine::Shape shape{wish.batch, config.height, config.width, config.channels};
  const size_t count = size_t(shape.count());
  const std::vector<float> level = parity_noise_level(size_t(wish.batch));
  const auto pass = [&] {
    const Tensor y = network({image(device, parity_input(count), shape, dtype),
                              Tensor::from(device, {wish.batch}, engine::DType::f32, level.data()),
                              {},
                              {},
                              {}});
    device.tape().backward(y, image(device, parity_cotangent(count), shape, dtype));
    return y;
  };
  size_t room = 0;
  {
    engine::DryRun dry(device);
    pass();
    room = dry.peak_bytes();
  }
  device.reserve(room);
  const Tensor y = pass();
  Result result;
  result.add("output", {wish.batch, config.channels, config.height, config.width},
             transposed(floats_of(y), wish.batch, shape[1] * shape[2], shape[3]));
  for (size_t i = 0; i < store.specs().size(); ++i) {
    const engine::ParameterSpec& spec = store.specs()[i];
    if (!spec.trainable) continue;
    std::vector<float> gradient(size_t(spec.shape.count()));
    device.download(gradient.data(), store.gradients() + store.offset(int(i)),
                    gradient.size() * sizeof(float));
    result.add("grad." + spec.name, engine::file_shape(spec), reordered(spec, gradient, true));
  }
  return result;
}

}  // namespace
}  // namespace ito::tests

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "network_gradients PRESET BATCH DEVICE PRECISION FILE: writes FILE (safetensors)\n";
    return 2;
  }
  try {
    ito::tests::run({argv[1], std::stoi(argv[2]), argv[3], argv[4]}).write(argv[5]);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "network_gradients: " << e.what() << "\n";
    return 1;
  }
}
