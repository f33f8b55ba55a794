#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/io/safetensors.h"
#include "io_helpers.h"
#include "model/unet/network.h"
#include "parity_recipe.h"
#include "torch_pickles.h"

/// Small models as other programs save them, with the recipe's numbers.
namespace ito::tests {

namespace fs = std::filesystem;
using namespace model;
using nlohmann::json;

/// A tensor's name and shape, and its numbers.
struct NamedNumbers {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> numbers;
};

/// A dict of tensors in a pickle, each with a storage of its own; what belongs to them is added to keys and data.
inline std::string pickled(const std::vector<NamedNumbers>& tensors, std::vector<std::string>& keys,
                           std::string& data) {
  torch_pickles::Items items;
  for (const auto& [name, shape, numbers] : tensors) {
    const auto count = int64_t(numbers.size());
    keys.push_back(std::to_string(keys.size()));
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t k = shape.size() - 1; k > 0; --k) strides[k - 1] = strides[k] * shape[k];
    items.emplace_back(name,
                       torch_pickles::tensor(torch_pickles::storage(keys.back(), count), 0, shape, strides));
    data += torch_pickles::little_endian(uint64_t(count), 8);
    data.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
  }
  return torch_pickles::dict(items);
}
/// As torch.save writes that dict.
inline std::string torch_file(const std::vector<NamedNumbers>& tensors) {
  std::vector<std::string> keys;
  std::string data;
  const std::string root = pickled(tensors, keys, data);
  return torch_pickles::legacy(root, keys, data);
}

/// An image network's configuration and numbers, as tests/reference/import_values.py has them.
struct Peer {
  json about = json::parse(std::ifstream(fixture("import.json")));
  std::string network() const { return about.at("network").dump(); }
  /// Every parameter's name, shape in files and numbers.
  std::vector<io::TensorSpec> specs;
  std::vector<std::vector<float>> numbers;

  Peer() {
    engine::Device device;
    engine::ParamStore store(device);
    const Network network(engine::Scope(store), network_config_from_json(this->network()));
    const auto names = about.at("parameters").get<std::vector<std::string>>();
    for (size_t i = 0; i < names.size(); ++i) {
      REQUIRE(store.find(names[i]) >= 0);
      const std::vector<int64_t> shape = engine::file_shape(store.specs()[size_t(store.find(names[i]))]);
      specs.push_back({names[i], io::ElementType::f32, shape});
      numbers.push_back(parity_parameter(uint32_t(i), names[i], shape));
    }
  }
  /// A folder as diffusers saves it.
  void save(const fs::path& folder, const std::string& scheduler) const {
    fs::create_directories(folder / "unet"), fs::create_directories(folder / "scheduler");
    put(folder / "unet/config.json", network());
    put(folder / "scheduler/scheduler_config.json", scheduler);
    std::vector<io::TensorEntry> entries;
    for (size_t i = 0; i < specs.size(); ++i) entries.push_back({specs[i], numbers[i].data()});
    io::write_safetensors(folder / "unet/diffusion_pytorch_model.safetensors", entries);
  }
};

/// The peer's numbers as torch.save writes a dict of them.
inline std::string torch_file(const Peer& peer) {
  std::vector<NamedNumbers> tensors;
  for (size_t i = 0; i < peer.specs.size(); ++i)
    tensors.push_back({peer.specs[i].name, peer.specs[i].shape, peer.numbers[i]});
  return torch_file(tensors);
}

/// [N,C,H,W] -> [N,H,W,C].
inline std::vector<float> channels_last(const std::vector<float>& from, int n, int c, int pixels) {
  std::vector<float> to(from.size());
  for (int i = 0; i < n; ++i)
    for (int k = 0; k < c; ++k)
      for (int p = 0; p < pixels; ++p)
        to[size_t((i * pixels + p) * c + k)] = from[size_t((i * c + k) * pixels + p)];
  return to;
}

inline std::vector<float> weights_of(const fs::path& checkpoint, const std::string& name) {
  return io::SafetensorsReader(checkpoint / "unet/diffusion_pytorch_model.safetensors").values<float>(name);
}

/// A checkpoint of ddim's: two levels of 32 and 64 channels, attention at the second, one block a level. Names and
/// shapes are those of its models/diffusion.py.
struct DdimFile {
  std::vector<std::pair<std::string, std::vector<int64_t>>> tensors;

  DdimFile() {
    pair("temb.dense.0", {128, 32}), pair("temb.dense.1", {128, 128}), pair("conv_in", {32, 3, 3, 3});
    block("down.0.block.0", 32, 32), pair("down.0.downsample.conv", {32, 32, 3, 3});
    block("down.1.block.0", 32, 64), attention("down.1.attn.0");
    block("mid.block_1", 64, 64), attention("mid.attn_1"), block("mid.block_2", 64, 64);
    block("up.0.block.0", 96, 32), block("up.0.block.1", 64, 32);
    block("up.1.block.0", 128, 64), block("up.1.block.1", 96, 64);
    attention("up.1.attn.0"), attention("up.1.attn.1"), pair("up.1.upsample.conv", {64, 64, 3, 3});
    pair("norm_out", {32}), pair("conv_out", {3, 32, 3, 3});
  }
  void pair(const std::string& name, std::vector<int64_t> weight) {
    const int64_t bias = weight[0];
    tensors.emplace_back(name + ".weight", std::move(weight)),
        tensors.emplace_back(name + ".bias", std::vector{bias});
  }
  void block(const std::string& name, int64_t in, int64_t out) {
    pair(name + ".norm1", {in}), pair(name + ".conv1", {out, in, 3, 3}),
        pair(name + ".temb_proj", {out, 128});
    pair(name + ".norm2", {out}), pair(name + ".conv2", {out, out, 3, 3});
    if (in != out) pair(name + ".nin_shortcut", {out, in, 1, 1});
  }
  void attention(const std::string& name) {
    pair(name + ".norm", {64});
    for (const char* part : {".q", ".k", ".v", ".proj_out"}) pair(name + part, {64, 64, 1, 1});
  }
  static int64_t count(const std::vector<int64_t>& shape) {
    int64_t n = 1;
    for (int64_t extent : shape) n *= extent;
    return n;
  }
  static std::vector<float> numbers(size_t i, int64_t count, uint32_t kind) {
    return parity_stream(uint32_t(i) + 10000 * kind, size_t(count), 0.1);
  }
  /// As torch.save writes [model, optimizer, epoch, step, EMA]; the numbers of kind 0 and 1.
  std::string list() const {
    std::vector<std::string> keys;
    std::string data, parts[2];
    for (uint32_t kind : {0, 1}) {
      std::vector<NamedNumbers> named;
      for (size_t i = 0; i < tensors.size(); ++i) {
        const auto& [name, shape] = tensors[i];
        named.push_back({(kind ? "" : "module.") + name, shape, numbers(i, count(shape), kind)});
      }
      parts[kind] = pickled(named, keys, data);
    }
    const std::string optimizer = torch_pickles::dict({{"state", "}"}, {"lr", "G" + std::string(8, '\0')}});
    using torch_pickles::integer;
    const std::string all = "](" + parts[0] + optimizer + integer(3) + integer(1234) + parts[1] + "e";
    return torch_pickles::legacy(all, keys, data);
  }
  std::vector<float> values(const std::string& name, uint32_t kind) const {
    for (size_t i = 0; i < tensors.size(); ++i)
      if (tensors[i].first == name) return numbers(i, count(tensors[i].second), kind);
    FAIL("no such tensor: " << name);
    return {};
  }
};

}  // namespace ito::tests
