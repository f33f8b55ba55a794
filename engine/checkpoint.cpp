#include "engine/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/device.h"
#include "engine/io/safetensors.h"
#include "engine/io/to_f32.h"

namespace ito::engine {

std::vector<int64_t> file_shape(const ParameterSpec& spec) {
  const Shape& s = spec.shape;
  if (spec.layout == FileLayout::filter) return {s[0], s[3], s[1], s[2]};
  if (spec.layout == FileLayout::table) return {s[1], s[0]};
  std::vector<int64_t> shape;
  for (int i = 0; i < s.rank(); ++i) shape.push_back(s[i]);
  return shape;
}

namespace {

/// Calls f(index here, index in the file) for every number of a parameter.
template <class F>
void for_each_number(const ParameterSpec& spec, F&& f) {
  const Shape& s = spec.shape;
  if (spec.layout == FileLayout::same) {
    for (int64_t i = 0; i < s.count(); ++i) f(i, i);
    return;
  }
  if (spec.layout == FileLayout::table) {
    for (int64_t o = 0; o < s[0]; ++o)
      for (int64_t i = 0; i < s[1]; ++i) f(o * s[1] + i, i * s[0] + o);
    return;
  }
  const int64_t taps = s[1] * s[2], c = s[3];
  for (int64_t k = 0; k < s[0]; ++k)
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t i = 0; i < c; ++i) f((k * taps + t) * c + i, (k * c + i) * taps + t);
}

/// Neither written nor read: such numbers never train or draw anything again.
void expect_finite(const std::filesystem::path& file, const std::string& name, const float* values,
                   int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(values[i]))
      fail(cat(file.string(), ": ", name, " holds ", values[i],
               ", so the model is broken; use an earlier checkpoint"));
}

/// Finite numbers as they are stored; nothing where one of them is too large for the type.
std::vector<std::byte> rounded(std::vector<float> values, io::ElementType type) {
  const int64_t count = int64_t(values.size());
  std::vector<std::byte> stored(values.size() * io::size_of(type));
  io::from_f32(type, values.data(), count, stored.data());
  io::to_f32(type, stored.data(), count, values.data());
  if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) stored.clear();
  return stored;
}

/// Which of a store's parameters a file is about.
enum class Part : uint8_t { all, model };

/// Names and shapes in order: what must agree for flat buffers to mean the same.
std::string signature(const ParamStore& store, Part part) {
  std::string text;
  for (const ParameterSpec& spec : store.specs())
    if (part == Part::all || !spec.auxiliary) text += spec.name + spec.shape.str() + ";";
  return text;
}

struct StateBuffer {
  const char* name;
  float* data;
  int64_t count;
};

constexpr const char* kAverageNames[kernels::kPowerAverages] = {"power_average1", "power_average2"};

std::vector<StateBuffer> averages_of(ParamStore& s, Part part) {
  const int64_t count = part == Part::all ? s.flat_count() : s.model_count();
  std::vector<StateBuffer> buffers;
  for (int k = 0; s.keeps_power_averages() && k < kernels::kPowerAverages; ++k)
    buffers.push_back({kAverageNames[k], s.power_average(k), count});
  return buffers;
}

std::vector<StateBuffer> state_buffers(ParamStore& s) {
  std::vector<StateBuffer> buffers = {{"master", s.master(), s.flat_count()},
                                      {"ema", s.ema(), s.flat_count()},
                                      {"moment1", s.moment1(), s.flat_count()},
                                      {"moment2", s.moment2(), s.flat_count()},
                                      {"fixed", s.fixed(), s.fixed_count()}};
  for (const StateBuffer& b : averages_of(s, Part::all)) buffers.push_back(b);
  return buffers;
}

void save_buffers(const std::filesystem::path& file, ParamStore& store, Part part,
                  const std::vector<StateBuffer>& buffers, Metadata counts) {
  counts["parameters"] = signature(store, part);
  std::vector<io::TensorSpec> specs;
  for (const StateBuffer& b : buffers) specs.push_back({b.name, io::ElementType::f32, {b.count}});
  io::SafetensorsWriter writer(file, specs, counts);
  constexpr int64_t kPiece = int64_t(1) << 20;  // a buffer is as large as the model
  std::vector<float> numbers;
  for (const StateBuffer& b : buffers)
    for (int64_t first = 0; first < b.count; first += kPiece) {
      numbers.resize(size_t(std::min(kPiece, b.count - first)));
      store.device().download(numbers.data(), b.data + first, numbers.size() * sizeof(float));
      expect_finite(file, b.name, numbers.data(), int64_t(numbers.size()));
      writer.write(numbers.data(), numbers.size() * sizeof(float));
    }
  writer.finish();
}

/// A flat buffer of a file that was written for this store.
std::vector<float> flat_values(const io::SafetensorsReader& reader, const std::string& name, int64_t count) {
  std::vector<float> values = reader.values<float>(name);
  if (int64_t(values.size()) != count)
    fail(cat(reader.path().string(), ": ", name, " has ", values.size(), " numbers, expected ", count));
  expect_finite(reader.path(), name, values.data(), count);
  return values;
}

/// What the file's writer counted.
Metadata counts_for(const io::SafetensorsReader& reader, const ParamStore& store, Part part) {
  Metadata counts = reader.metadata();
  if (counts["parameters"] != signature(store, part))
    fail(cat(reader.path().string(), " was written by a run of another network"));
  counts.erase("parameters");
  return counts;
}

}  // namespace

void save_weights(const std::filesystem::path& file, ParamStore& store, Track track, Metadata metadata,
                  io::ElementType type) {
  metadata.emplace("format", "pt");
  std::vector<io::TensorSpec> specs;
  for (const ParameterSpec& spec : store.specs())
    if (!spec.auxiliary) specs.push_back({spec.name, type, file_shape(spec)});
  io::SafetensorsWriter writer(file, specs, metadata);
  for (size_t i = 0; i < specs.size(); ++i) {  // auxiliary ones come last
    const ParameterSpec& spec = store.specs()[i];
    const std::vector<float> from = store.read(int(i), track);
    expect_finite(file, spec.name, from.data(), int64_t(from.size()));
    std::vector<float> values(from.size());
    for_each_number(spec, [&](int64_t here, int64_t there) { values[size_t(there)] = from[size_t(here)]; });
    const std::vector<std::byte> stored = rounded(values, type);
    if (stored.empty())
      fail(cat(file.string(), ": ", spec.name, " has numbers that are too large for ", name_of(type)));
    writer.write(stored.data(), stored.size());
  }
  writer.finish();
}

void load_weights(const std::filesystem::path& file, ParamStore& store) {
  const io::SafetensorsReader reader(file);
  for (size_t i = 0; i < store.specs().size(); ++i) {
    const ParameterSpec& spec = store.specs()[i];
    const io::TensorInfo* info = reader.find(spec.name);
    if (!info) fail(cat(file.string(), " is of another model: it has no ", spec.name));
    if (info->shape != file_shape(spec))
      fail(cat(file.string(), " is of another model: ", spec.name, " is ", io::shape_text(info->shape),
               ", expected ", io::shape_text(file_shape(spec))));
    const std::vector<float> values = reader.reals(spec.name);
    expect_finite(file, spec.name, values.data(), int64_t(values.size()));
    std::vector<float> ours(values.size());
    for_each_number(spec, [&](int64_t here, int64_t there) { ours[size_t(here)] = values[size_t(there)]; });
    store.write(int(i), Track::master, ours);
    if (spec.trainable && store.training()) store.write(int(i), Track::ema, ours);
  }
  store.refresh_half();
  if (reader.tensors().size() != store.specs().size())
    fail(cat(file.string(), " is of another model: it has ", reader.tensors().size(),
             " tensors, the network ", store.specs().size()));
}

void save_state(const std::filesystem::path& file, ParamStore& store, Metadata counts) {
  save_buffers(file, store, Part::all, state_buffers(store), std::move(counts));
}

Metadata load_state(const std::filesystem::path& file, ParamStore& store) {
  const io::SafetensorsReader reader(file);
  Metadata counts = counts_for(reader, store, Part::all);
  for (const StateBuffer& b : state_buffers(store)) {
    const std::vector<float> values = flat_values(reader, b.name, b.count);
    store.device().upload(b.data, values.data(), values.size() * sizeof(float));
  }
  store.refresh_half();
  return counts;
}

void save_power_averages(const std::filesystem::path& file, ParamStore& store, Metadata counts) {
  save_buffers(file, store, Part::model, averages_of(store, Part::model), std::move(counts));
}

PowerAverages read_power_averages(const std::filesystem::path& file, const ParamStore& store) {
  const io::SafetensorsReader reader(file);
  counts_for(reader, store, Part::model);
  PowerAverages averages;
  for (size_t k = 0; k < averages.average.size(); ++k)
    averages.average[k] = flat_values(reader, kAverageNames[k], store.model_count());
  return averages;
}

}  // namespace ito::engine
