#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/checkpoint.h"
#include "engine/device.h"
#include "engine/io/safetensors.h"
#include "engine/ops.h"
#include "model/unet/network.h"
#include "model/unet/presets.h"
#include "tests/helpers.h"
#include "tests/parity_recipe.h"

/// The networks: parameter totals, parity with diffusers' own UNet2DModel (outputs and every gradient),
/// configurations as JSON.
namespace ito::model {
namespace {

using engine::Device;
using engine::DType;
using engine::ParamStore;
using engine::Shape;
using tests::error_of;

const std::string kFixtures = ITO_SOURCE_DIR "/tests/fixtures/";

nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path);
  REQUIRE(file.good());
  return nlohmann::json::parse(file);
}

/// [a,b,c,d] -> [a,c,d,b]: NCHW numbers as NHWC, and (K,C,R,S) as (K,R,S,C).
template <class T>
std::vector<T> channels_last(const std::vector<T>& from, int64_t a, int64_t b, int64_t c, int64_t d) {
  std::vector<T> to(from.size());
  for (int64_t i = 0; i < a; ++i)
    for (int64_t j = 0; j < b; ++j)
      for (int64_t k = 0; k < c * d; ++k)
        to[size_t((i * c * d + k) * b + j)] = from[size_t((i * b + j) * c * d + k)];
  return to;
}

std::vector<float> as_filter(const engine::ParameterSpec& spec, const std::vector<float>& oihw) {
  const Shape& s = spec.shape;
  if (spec.layout == engine::FileLayout::table)
    return channels_last(oihw, 1, s[1], s[0], 1);  // [K,O] -> [O,K]
  return spec.layout == engine::FileLayout::filter ? channels_last(oihw, s[0], s[3], s[1], s[2]) : oihw;
}

double norm(const std::vector<float>& v) {
  double sum = 0;
  for (float x : v) sum += double(x) * x;
  return std::sqrt(sum);
}

/// |got - want| / |want|, or over `floor` where want is (nearly) zero.
double relative_l2(const std::vector<double>& got, const std::vector<float>& want, double floor = 1e-30) {
  REQUIRE(got.size() == want.size());
  double difference = 0;
  for (size_t i = 0; i < got.size(); ++i) difference += (got[i] - want[i]) * (got[i] - want[i]);
  return std::sqrt(difference) / std::max(norm(want), floor);
}

void set_weights(ParamStore& store, const std::vector<std::string>& names) {
  for (size_t position = 0; position < names.size(); ++position) {
    const int index = store.find(names[position]);
    REQUIRE_MESSAGE(index >= 0, names[position]);
    const engine::ParameterSpec& spec = store.specs()[size_t(index)];
    const std::vector<float> values = as_filter(
        spec, tests::parity_parameter(uint32_t(position), names[position], engine::file_shape(spec)));
    std::copy(values.begin(), values.end(), store.data(index, engine::Track::master));
  }
  REQUIRE(names.size() == store.specs().size());
}

void check_parity(const std::string& name) {
  CAPTURE(name);
  const io::SafetensorsReader fixture(kFixtures + "unet_" + name + ".safetensors");
  const auto about = nlohmann::json::parse(fixture.metadata().at("parity"));
  REQUIRE(about.at("recipe") == tests::kParityVersion);
  const auto nchw = about.at("input_shape").get<std::vector<int64_t>>();
  const int64_t n = nchw[0], c = nchw[1], h = nchw[2], w = nchw[3];
  NetworkConfig config = network_config_from_json(about.at("config").dump());
  config.height = int(h), config.width = int(w);

  Device device;
  ParamStore store(device);
  const Network network(Scope(store), config);
  store.allocate(ParamStore::Use::training, 0);
  set_weights(store, about.at("parameters").get<std::vector<std::string>>());
  const size_t count = size_t(n * c * h * w);
  const auto image = [&](const std::vector<float>& from) {
    return Tensor::from(device, {n, h, w, c}, DType::f32, channels_last(from, n, c, h, w).data());
  };
  const Tensor x = device.tape().watch(image(tests::parity_input(count)));
  NetworkInput input{
      x, Tensor::from(device, {n}, DType::f32, tests::parity_noise_level(size_t(n)).data()), {}, {}, {}};
  if (const int k = config.classes) {  // image i is of class 2 i + 1, modulo their number
    std::vector<float> classes(size_t(n * k)), keep(size_t(n), 1.0f);
    for (int64_t i = 0; i < n; ++i) classes[size_t(i * k + (2 * i + 1) % k)] = 1;
    input.condition = Tensor::from(device, {n, k}, DType::f32, classes.data());
    input.keep = Tensor::from(device, {n}, DType::f32, keep.data());
  }
  const Tensor f = network(input);
  // What float32 arithmetic costs the reference itself is 1e-6 and less; the two orders of summation differ
  // by as much.
  CHECK(relative_l2(f.to_doubles(), channels_last(fixture.values<float>("output"), n, c, h, w)) < 5e-6);
  device.tape().backward(f, image(tests::parity_cotangent(count)));
  CHECK(relative_l2(device.tape().gradient(x).to_doubles(),
                    channels_last(fixture.values<float>("grad.input"), n, c, h, w)) < 1e-5);
  for (size_t i = 0; i < store.specs().size(); ++i) {
    const engine::ParameterSpec& spec = store.specs()[i];
    if (!spec.trainable) continue;
    CAPTURE(spec.name);
    const float* gradient = store.gradients() + store.offset(int(i));
    const std::vector<double> got(gradient, gradient + spec.shape.count());
    // A key's bias moves all scores of a query by the same amount, so its true gradient is zero: what rounding
    // leaves of it is measured against the query's.
    const bool vanishes = tests::ends_with(spec.name, "to_k.bias");
    const std::string query = vanishes ? spec.name.substr(0, spec.name.size() - 9) + "to_q.bias" : spec.name;
    const double floor = norm(fixture.values<float>("grad." + query));
    CHECK(relative_l2(got, as_filter(spec, fixture.values<float>("grad." + spec.name)), floor) < 2e-5);
  }
}

TEST_CASE("outputs and all gradients agree with diffusers' UNet2DModel") {
  for (const char* name : {"sinusoidal", "fourier", "heads", "ddpm", "adm"}) check_parity(name);
}

TEST_CASE("presets have the totals of their UNet2DModel counterparts") {
  CHECK(measure(preset("tiny").network).parameters == 178451);
  CHECK(measure(preset("small").network).parameters == 3003043);
  CHECK(measure(preset("celeba64").network).parameters == 35811843);
  CHECK(measure(preset("celeba64-ddim").network).parameters == 78766339);
  CHECK(measure(preset("faces128").network).parameters == 1336995);
  CHECK(measure(preset("celeba128").network).parameters == 71502339);
  CHECK(measure(preset("celeba256").network).parameters == 113738755);
  NetworkConfig small = preset("small").network, celeba = preset("celeba64").network;
  NetworkConfig large = preset("celeba256").network;
  small.embedding = celeba.embedding = large.embedding = EmbeddingKind::sinusoidal;
  CHECK(measure(small).parameters == 2998947);
  CHECK(measure(celeba).parameters == 35746307);
  CHECK(measure(large).parameters == 113673219);  // google/ddpm-celebahq-256
  CHECK(measure(preset("small").network).forward_flops == doctest::Approx(2.3e9).epsilon(0.03));
  CHECK(measure(preset("celeba64").network).forward_flops == doctest::Approx(46.7e9).epsilon(0.03));
  CHECK(measure(preset("faces128").network).forward_flops == doctest::Approx(4.2e9).epsilon(0.03));
  CHECK(measure(preset("celeba128").network).forward_flops == doctest::Approx(124e9).epsilon(0.03));
  CHECK(measure(preset("celeba256").network).forward_flops == doctest::Approx(497e9).epsilon(0.03));
}

TEST_CASE("our config.json is diffusers': what it writes, we write") {
  const auto fixtures = read_json(kFixtures + "presets.json");
  for (const char* name :
       {"tiny", "small", "celeba64", "celeba64-ddim", "faces128", "celeba128", "celeba256"}) {
    CAPTURE(name);
    const auto ours = nlohmann::json::parse(to_json(preset(name).network));
    for (const auto& [key, value] : fixtures.at(name).at("config").items())
      CHECK_MESSAGE(ours.at(key) == value, key);
  }
}

/// A small network of any kind: its output's shape, and that every parameter has an influence.
void check_influence(NetworkConfig config) {
  config.height = 8, config.width = 16;
  Device device;
  ParamStore store(device);
  const Network network(Scope(store), config);
  store.allocate(ParamStore::Use::training, 1);
  // Layers that start at zero would hide what is before them.
  for (size_t i = 0; i < store.specs().size(); ++i) {
    float* values = store.data(int(i), engine::Track::master);
    if (store.specs()[i].init.kind == engine::Init::Kind::constant)
      for (int64_t k = 0; k < store.specs()[i].shape.count(); ++k)
        values[k] += 0.1f * float((k % 5) - 2) + 0.05f;
  }
  std::vector<float> x(2 * 8 * 16 * 3), c = {-0.4f, 0.7f}, k(2 * 5, 0.5f), keep = {1, 1};
  for (size_t i = 0; i < x.size(); ++i) x[i] = float(std::sin(double(i)));
  NetworkInput input{Tensor::from(device, {2, 8, 16, 3}, DType::f32, x.data()),
                     Tensor::from(device, {2}, DType::f32, c.data()),
                     {},
                     {},
                     {}};
  if (config.condition) {
    input.condition = Tensor::from(device, {2, 5}, DType::f32, k.data());
    input.keep = Tensor::from(device, {2}, DType::f32, keep.data());
  }
  const Tensor f = network(input);
  CHECK(f.shape() == Shape{2, 8, 16, 3});
  std::vector<float> cotangent(x.size());
  for (size_t i = 0; i < cotangent.size(); ++i) cotangent[i] = float(std::cos(3.0 * double(i)));
  device.tape().backward(f, Tensor::from(device, f.shape(), DType::f32, cotangent.data()));
  for (size_t i = 0; i < store.specs().size(); ++i) {
    if (!store.specs()[i].trainable) continue;
    const float* g = store.gradients() + store.offset(int(i));
    double sum = 0;
    for (int64_t j = 0; j < store.specs()[i].shape.count(); ++j) sum += std::abs(g[j]);
    CHECK_MESSAGE(sum > 0, store.specs()[i].name);
    CHECK(std::isfinite(sum));
  }
}

TEST_CASE("every option makes a network whose parameters all matter") {
  NetworkConfig small = preset("tiny").network;
  SUBCASE("relu") { small.activation = Activation::relu; }
  SUBCASE("added skips") { small.skips = SkipKind::add; }
  SUBCASE("sinusoidal") { small.embedding = EmbeddingKind::sinusoidal; }
  SUBCASE("condition") { small.condition = 5; }
  SUBCASE("heads") { small.head_width = 4; }
  SUBCASE("document") {
    small = preset("document").network;
    small.block_channels = {8, 16, 24, 32};
  }
  SUBCASE("tutorial") { small = preset("tutorial").network; }
  check_influence(small);
}

TEST_CASE("first and last layers and embeddings are outer ones, so that Muon leaves them to AdamW") {
  const std::map<std::string, std::vector<std::string>> outer = {
      {"tiny",
       {"conv_in", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2", "condition_embedding",
        "augment_embedding"}},
      {"document", {"contracting.0.conv1", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2"}},
      {"tutorial", {"down.0.conv", "conv_out", "time_embedding"}}};
  for (const auto& [name, layers] : outer) {
    CAPTURE(name);
    NetworkConfig config = preset(name).network;
    if (name == "tiny") config.condition = 3, config.augment = true;
    Device device;
    ParamStore store(device);
    const Network network(Scope(store), config);
    std::set<std::string> found, wanted;
    for (const std::string& layer : layers) wanted.insert(layer + ".weight");
    size_t hidden = 0;
    for (const engine::ParameterSpec& spec : store.specs()) {
      if (spec.trainable && spec.shape.rank() >= 2 && !spec.is_hidden_matrix()) found.insert(spec.name);
      hidden += spec.is_hidden_matrix();
    }
    CHECK(found == wanted);
    CHECK(hidden > 2 * layers.size());
  }
}

TEST_CASE("a network with patches is the one without them, between pixel_unshuffle and pixel_shuffle") {
  for (const int patch : {2, 4}) {
    NetworkConfig config = preset("tiny").network;
    config.height = 16, config.width = 24, config.patch = patch;
    Device device;
    ParamStore patched(device), plain(device);
    const Network whole(Scope(patched), config), inner(Scope(plain), config.without_patches());
    patched.allocate(ParamStore::Use::inference, 7), plain.allocate(ParamStore::Use::inference, 7);
    for (size_t i = 0; i < patched.specs().size(); ++i) {  // the last convolution would begin as zero
      std::vector<float> values = patched.read(int(i), engine::Track::master);
      for (size_t k = 0; k < values.size(); ++k) values[k] += 0.01f * float((k * 7 + i) % 11) - 0.05f;
      patched.write(int(i), engine::Track::master, values),
          plain.write(int(i), engine::Track::master, values);
    }
    engine::NoGrad off(device);
    Tensor x = Tensor::persistent(device, {2, 16, 24, 3}, DType::f32);
    std::vector<float> numbers(size_t(x.count()));
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = std::sin(0.37f * float(i));
    device.upload(x.data(), numbers.data(), x.bytes());
    Tensor c_noise = Tensor::persistent(device, {2}, DType::f32);
    const std::vector<double> got = whole({x, c_noise, {}, {}, {}}).to_doubles();
    const Tensor f = inner({engine::pixel_unshuffle(x, patch), c_noise, {}, {}, {}});
    CHECK(got == engine::pixel_shuffle(f, patch).to_doubles());
    CHECK(*std::max_element(got.begin(), got.end()) > 0);
  }
  // Channel (c p + i) p + j is pixel (i, j) of the patch, as in torch.
  Device device;
  Tensor x = Tensor::persistent(device, {1, 4, 6, 2}, DType::f32);
  std::vector<float> numbers(48);
  for (size_t i = 0; i < 48; ++i) numbers[i] = float(i);
  device.upload(x.data(), numbers.data(), x.bytes());
  const std::vector<double> small = engine::pixel_unshuffle(x, 2).to_doubles();
  for (int row = 0; row < 2; ++row)
    for (int column = 0; column < 3; ++column)
      for (int k = 0; k < 8; ++k)
        CHECK(small[size_t((row * 3 + column) * 8 + k)] ==
              ((row * 2 + k / 2 % 2) * 6 + column * 2 + k % 2) * 2 + k / 4);
}

TEST_CASE("a dropped condition is no condition") {
  NetworkConfig config = preset("tiny").network;
  config.condition = 3;
  Device device;
  engine::NoGrad off(device);
  ParamStore store(device);
  const Network network(Scope(store), config);
  store.allocate(ParamStore::Use::inference, 1);
  for (int i = 0; i < int(store.specs().size()); ++i)
    if (store.specs()[size_t(i)].init.kind == engine::Init::Kind::constant)
      store.data(i, engine::Track::master)[0] += 0.3f;
  std::vector<float> x(16 * 16 * 3, 0.2f), c = {0.1f}, k = {1, -1, 1}, zero = {0}, one = {1};
  const auto run = [&](const float* keep) {
    NetworkInput input{Tensor::from(device, {1, 16, 16, 3}, DType::f32, x.data()),
                       Tensor::from(device, {1}, DType::f32, c.data()),
                       {},
                       {},
                       {}};
    if (keep) {
      input.condition = Tensor::from(device, {1, 3}, DType::f32, k.data());
      input.keep = Tensor::from(device, {1}, DType::f32, keep);
    }
    return network(input).to_doubles();
  };
  CHECK(run(zero.data()) == run(nullptr));
  CHECK(run(one.data()) != run(nullptr));
}

TEST_CASE("networks that no memory holds are refused at once") {
  const auto with = [](const char* key, const nlohmann::json& value) {
    nlohmann::json j = nlohmann::json::parse(to_json(preset("tiny").network));
    j[key] = value;
    return tests::error_of([&] { network_config_from_json(j.dump()); });
  };
  const std::string most =
      "a network has at most 64 blocks a level, 65536 channels and a condition of 100000 numbers";
  CHECK(tests::contains(with("layers_per_block", 100000000), most));
  CHECK(tests::contains(with("num_class_embeds", 2147483647), most));
  CHECK(tests::contains(with("ito_condition", 2147483647), most));
  CHECK(tests::contains(with("block_out_channels", {16, 1 << 20}), "a level has 1048576 channels"));
}

TEST_CASE("groups by a norm's own channels, heads by their number") {
  NetworkConfig c = preset("tiny").network;
  c.groups = 0, c.heads = 4;
  CHECK((c.groups_of(16) == 4 && c.groups_of(64) == 16 && c.groups_of(128) == 32 && c.groups_of(512) == 32));
  CHECK((c.groups_of(2) == 1 && c.heads_of(32) == 4));
  CHECK(tests::contains(tests::error_of([&] { c.groups_of(144); }),
                        "144 channels do not divide into 32 norm groups"));
  CHECK(tests::contains(tests::error_of([&] { c.heads_of(30); }),
                        "30 channels do not divide into 4 attention heads"));
  const nlohmann::json j = nlohmann::json::parse(to_json(c));
  CHECK((j.at("norm_num_groups").is_null() && j.at("ito_heads") == 4));
  CHECK_FALSE(first_difference(network_config_from_json(j.dump()), c));
  measure(c);  // it makes a network
  c.head_width = 8;
  CHECK(tests::contains(tests::error_of([&] { check(c); }),
                        "either the number of heads is given, or their width"));
  c.heads = 0;
  CHECK(c.heads_of(32) == 4);
}

TEST_CASE("impossible networks are refused with a reason") {
  CHECK(error_of([] { preset("smal"); }).find("small") != std::string::npos);
  NetworkConfig config = preset("small").network;
  config.height = 60;
  CHECK(error_of([&] { check(config); }).find("multiple of 8") != std::string::npos);
  config = preset("tiny").network;
  config.groups = 5;
  CHECK(error_of([&] { check(config); }).find("5 norm groups") != std::string::npos);
}

}  // namespace
}  // namespace ito::model
