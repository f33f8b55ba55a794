#include "bench/drawn_features.h"

#include <algorithm>
#include <cmath>

#include "data/pictures/resize.h"
#include "engine/checkpoint.h"
#include "engine/io/safetensors.h"
#include "engine/ops.h"
#include "engine/optimizer.h"
#include "kernels/base/parallel.h"
#include "kernels/base/philox.h"

namespace ito::bench {

using engine::DType;
using engine::Init;
using engine::Tensor;

namespace {

constexpr int kChannels[] = {3, 24, 48, 96, kDrawnFeatures}, kLayers = 4, kGroups = 8;
constexpr int64_t kAtOnce = 32;  // images of an evaluation
constexpr size_t kNumbers = size_t(kFeatureSide) * kFeatureSide * 3;
constexpr const char* kAttributesKey = "attributes";  // of the file's metadata

/// A face as the network sees it: 64x64, pixel / 127.5 - 1.
void put_face(const data::Image& face, bool mirrored, float* out) {
  std::vector<uint8_t> pixels = face.rgb;
  if (face.width != kFeatureSide || face.height != kFeatureSide) {
    pixels.resize(kNumbers);
    data::resize_into(face, {0, 0, face.width, face.height}, {kFeatureSide, kFeatureSide}, pixels.data());
  }
  for (size_t at = 0; at < kNumbers; ++at) {
    const size_t column = at / 3 % kFeatureSide;
    const size_t from = mirrored ? at + (kFeatureSide - 1 - 2 * column) * 3 : at;
    out[at] = float(pixels[from] / 127.5 - 1);
  }
}

data::Image image_of(const uint8_t* pixels, int height, int width) {
  data::Image image(width, height);
  std::copy_n(pixels, image.rgb.size(), image.rgb.data());
  return image;
}

std::vector<float> numbers_of(const Tensor& t) {
  std::vector<float> values(size_t(t.count()));
  t.device().download(values.data(), t.data(), t.bytes());
  return values;
}

std::vector<std::string> attributes_of_file(const std::filesystem::path& file) {
  const io::SafetensorsReader reader(file);
  const auto found = reader.metadata().find(kAttributesKey);
  if (found == reader.metadata().end())
    fail(cat(file.string(), " names no attributes: it holds other weights"));
  return split_list(found->second);
}

void check_faces(const data::Dataset& faces) {
  if (faces.height() != kFeatureSide || faces.width() != kFeatureSide || faces.crop() != "ddim128")
    fail(cat("features are learned from faces of ", kFeatureSide, "x", kFeatureSide,
             " and crop ddim128, not ", faces.height(), "x", faces.width(), " and ", faces.crop()));
  if (faces.attributes().empty()) fail(cat(faces.root().string(), " has no list of attributes to learn"));
}

/// The batches of a training: for each step faces in an order of the seed's.
class FaceBatches {
 public:
  FaceBatches(const data::Dataset& faces, const FeatureTraining& options)
      : faces_(faces), options_(options), pixels_(size_t(options.batch) * kNumbers) {}

  /// Fills pixels() and answers() for a step.
  void describe(int64_t step) {
    const size_t attributes = faces_.attribute_names().size();
    answers_.resize(size_t(options_.batch) * attributes);
    for (int i = 0; i < options_.batch; ++i) {
      const uint64_t position = uint64_t(step) * uint64_t(options_.batch) + uint64_t(i);
      const size_t face = permuted_index(options_.seed, uint32_t(position / faces_.count()),
                                         position % faces_.count(), faces_.count());
      data::Image image = image_of(faces_.pixels() + face * kNumbers, kFeatureSide, kFeatureSide);
      if (i % 2)
        image = data::resize(image, {0, 0, kFeatureSide, kFeatureSide}, {kFeatureSide / 2, kFeatureSide / 2});
      const bool mirrored =
          random_uniform({options_.seed, Purpose::flip, uint32_t(step), uint32_t(i)}, 0) < 0.5;
      put_face(image, mirrored, &pixels_[size_t(i) * kNumbers]);
      std::copy_n(faces_.attributes().begin() + std::ptrdiff_t(face * attributes), attributes,
                  answers_.begin() + std::ptrdiff_t(size_t(i) * attributes));
    }
  }
  const float* pixels() const { return pixels_.data(); }
  const float* answers() const { return answers_.data(); }

 private:
  const data::Dataset& faces_;
  FeatureTraining options_;
  std::vector<float> pixels_, answers_;
};

}  // namespace

FeatureNetwork::FeatureNetwork(engine::ParamStore& store, int64_t attributes) {
  const engine::Scope scope(store);
  for (int i = 0; i < kLayers; ++i) {
    const int64_t in = kChannels[i], out = kChannels[i + 1];
    const engine::Scope layer = scope / "layers" / i;
    layers_.push_back({layer.filter("filter", {out, 3, 3, in}, Init::normal(std::sqrt(2.0 / double(9 * in)))),
                       layer.weight("gamma", {out}, Init::ones()),
                       layer.weight("beta", {out}, Init::zeros())});
  }
  weight_ = scope.weight("weight", {attributes, kDrawnFeatures}, Init::zeros());
  bias_ = scope.weight("bias", {attributes}, Init::zeros());
}

Tensor FeatureNetwork::features(Tensor x) const {
  for (const Layer& layer : layers_)
    x = group_norm(conv2d(x, layer.filter(), {}, 2, engine::Padding::same(3)), layer.gamma(), layer.beta(),
                   kGroups, 1e-5f, engine::Activation::silu);
  const int64_t n = x.shape()[0];
  const engine::Window whole{int(x.shape()[1]), int(x.shape()[2])};
  return reshape(pool(x, engine::Pooling::mean, whole, 1, {}), {n, kDrawnFeatures});
}

Tensor FeatureNetwork::answers(const Tensor& features) const { return linear(features, weight_(), bias_()); }

DrawnFeatures::DrawnFeatures(engine::Device& device, const std::filesystem::path& file)
    : device_(device), attributes_(attributes_of_file(file)), store_(device) {
  network_.emplace(store_, int64_t(attributes_.size()));
  store_.allocate(engine::ParamStore::Use::inference, 0);
  load_weights(file, store_);
}

DrawnFeatures::Seen DrawnFeatures::look(const uint8_t* pixels, size_t count, int height, int width) const {
  const engine::NoGrad off(device_);
  const size_t bytes = size_t(height) * size_t(width) * 3;
  Seen seen;
  std::vector<float> numbers(size_t(kAtOnce) * kNumbers);
  for (size_t first = 0; first < count; first += size_t(kAtOnce)) {
    const int64_t n = std::min<int64_t>(kAtOnce, int64_t(count - first));
    parallel_for(size_t(n), device_.threads(), [&](size_t i) {
      put_face(image_of(pixels + (first + i) * bytes, height, width), false, &numbers[i * kNumbers]);
    });
    const Tensor features = network_->features(
        Tensor::from(device_, {n, kFeatureSide, kFeatureSide, 3}, DType::f32, numbers.data()));
    for (const auto& [rows, to] : {std::pair(numbers_of(features), &seen.features),
                                   std::pair(numbers_of(network_->answers(features)), &seen.answers)})
      to->insert(to->end(), rows.begin(), rows.end());
  }
  return seen;
}

void train_drawn_features(engine::Device& device, const data::Dataset& faces, const FeatureTraining& options,
                          const std::filesystem::path& file,
                          const std::function<void(int64_t step, double loss)>& progress) {
  check_faces(faces);
  const std::vector<std::string>& names = faces.attribute_names();
  const int64_t attributes = int64_t(names.size()), n = options.batch;
  engine::ParamStore store(device);
  const FeatureNetwork network(store, attributes);
  store.allocate(engine::ParamStore::Use::training, options.seed);
  engine::Optimizer optimizer(
      store,
      {.adamw = {},
       .learning_rate = {.decay = engine::Decay::cosine, .peak = 3e-3, .warmup = 50, .total = options.steps},
       .ema = {.decay = 0.99}});
  FaceBatches batches(faces, options);
  const std::vector<float> mean(size_t(n), 1.0f / float(n * attributes));
  for (int64_t step = 0; step < options.steps; ++step) {
    batches.describe(step);
    const Tensor x = Tensor::from(device, {n, kFeatureSide, kFeatureSide, 3}, DType::f32, batches.pixels());
    const Tensor truth = Tensor::from(device, {n, attributes}, DType::f32, batches.answers());
    const Tensor weights = Tensor::from(device, {n}, DType::f32, mean.data());
    store.zero_gradients();
    const Tensor loss = squared_error(network.answers(network.features(x)), truth, weights);
    device.tape().backward(loss);
    device.tape().clear();
    optimizer.step(step);
    if ((step + 1) % 100 == 0 || step + 1 == options.steps) progress(step + 1, loss.to_doubles()[0]);
  }
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ",") + name;
  save_weights(file, store, engine::Track::ema, {{kAttributesKey, list}});
}

std::vector<SeenAttribute> seen_attributes(const DrawnFeatures& features, const data::Dataset& faces) {
  const std::vector<std::string>& names = features.attributes();
  if (faces.attribute_names() != names)
    fail(cat(faces.root().string(), " has other attributes than the ", names.size(), " of the features"));
  const std::vector<float> answers =
      features.look(faces.pixels(), faces.count(), faces.height(), faces.width()).answers;
  std::vector<SeenAttribute> all;
  for (size_t k = 0; k < names.size(); ++k) {
    double of[2] = {}, right[2] = {};  // without, with
    for (size_t i = 0; i < faces.count(); ++i) {
      const int8_t value = faces.attributes()[i * names.size() + k];
      if (value == 0) continue;
      ++of[value > 0], right[value > 0] += (answers[i * names.size() + k] > 0) == (value > 0);
    }
    SeenAttribute seen{names[k], (right[0] + right[1]) / std::max(1.0, of[0] + of[1])};
    if (of[1] > 0) seen.with = right[1] / of[1];
    if (of[0] > 0) seen.without = right[0] / of[0];
    all.push_back(seen);
  }
  return all;
}

}  // namespace ito::bench
