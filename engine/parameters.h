#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/buffer.h"
#include "engine/tensor.h"
#include "kernels/power_ema.h"

namespace ito::engine {

/// How a parameter starts. uniform: U(-bound, bound); normal: N(0, bound^2); constant: bound everywhere.
struct Init {
  enum class Kind : uint8_t { constant, uniform, normal } kind = Kind::constant;
  float bound = 0;
  static Init zeros() { return {Kind::constant, 0}; }
  static Init ones() { return {Kind::constant, 1}; }
  static Init uniform(double bound) { return {Kind::uniform, float(bound)}; }
  static Init normal(double deviation) { return {Kind::normal, float(deviation)}; }
};

/// How files hold a parameter's numbers: as they are; a convolution's filter [K,R,S,C] as [K,C,R,S]; the matrix [O,I]
/// of a linear layer as a table [I,O] with a row for each input.
enum class FileLayout : uint8_t { same, filter, table };

struct ParameterSpec {
  std::string name;  // as diffusers names it: "down_blocks.0.resnets.0.conv1.weight"
  Shape shape;       // as kernels read it: filters [K,R,S,C]
  Init init;
  bool trainable = true;  // false: fixed numbers that belong to the model (Fourier frequencies)
  FileLayout layout = FileLayout::same;
  bool outer = false;  // of a first or last layer or an embedding
  bool auxiliary =
      false;  // helps to train and is no part of the model: in files of states, not in those of weights
  /// Whether it is a hidden layer's matrix, or a filter as one.
  bool is_hidden_matrix() const { return trainable && !outer && shape.rank() >= 2; }
};

/// Which copy of the weights a network reads.
enum class Track : uint8_t { master, ema };

/// Names, shapes and all numbers of a model, in creation order, in flat f32 buffers: one for each of master,
/// gradient, EMA and Adam's two moments. Trainable parameters come first in every sense: fixed ones have a
/// buffer of their own. Auxiliary ones come last, so that the model's part of every buffer is its beginning.
class ParamStore {
 public:
  explicit ParamStore(Device& device) : device_(&device) {}
  ParamStore(const ParamStore&) = delete;
  ParamStore& operator=(const ParamStore&) = delete;

  /// Declares a parameter; its index. Error: a name twice; after allocate(); one of the model after an auxiliary one.
  int add(ParameterSpec spec);
  int find(const std::string& name) const;  // -1: none

  /// Two more averages for training (kernels/power_ema.h). Before allocate().
  void keep_power_averages() { power_averages_ = true; }
  bool keeps_power_averages() const { return power_averages_; }

  enum class Use { training, inference };  // inference: no gradients, moments or EMA
  /// Makes the buffers and initialises the master and the EMA from `seed` (each parameter by its own stream
  /// of numbers). compute = bf16 keeps, on a GPU, a copy of the master rounded to it, which products read.
  void allocate(Use use, uint64_t seed, DType compute = DType::f32);
  /// What that takes of the device's memory.
  size_t bytes_to_allocate(Use use, DType compute = DType::f32) const;
  bool allocated() const { return master_.defined(); }

  /// The parameter as a tensor; a leaf of the tape with its gradient in gradients() where it is trained and
  /// track is master.
  Tensor value(int index, Track track);

  Device& device() const { return *device_; }
  const std::vector<ParameterSpec>& specs() const { return specs_; }
  /// Number of the model's trained numbers, as papers count them (without the padding between parameters).
  int64_t trainable_count() const;
  /// Length of the flat buffers.
  int64_t flat_count() const { return flat_; }
  /// Length of the model's part of them.
  int64_t model_count() const { return model_; }
  /// Length of gradients(): the flat buffer's, then the loss, then zeros until the ranks share it equally in blocks of
  /// kParameterAlign.
  int64_t gradient_count() const;
  int64_t offset(int index) const { return offsets_[size_t(index)]; }

  float* master() { return floats(master_); }
  float* gradients() { return floats(gradient_); }
  float* ema() { return floats(ema_); }
  float* moment1() { return floats(moment1_); }
  float* moment2() { return floats(moment2_); }
  float* power_average(int k) { return floats(averages_[k]); }
  float* fixed() { return floats(fixed_); }
  int64_t fixed_count() const { return fixed_flat_; }
  bf16* half() { return static_cast<bf16*>(half_.data()); }
  /// Flags of each block of the flat buffers: kDecayed, kHidden.
  const uint8_t* flags() const { return flags_on_device_.data(); }
  bool training() const { return gradient_.defined(); }
  void zero_gradients();
  /// Behind the gradients: what they are gradients of, so that both are summed in one go.
  float* loss() { return gradients() + flat_; }

  /// The numbers of one parameter, from master or EMA (or the fixed buffer): in the device's memory, and
  /// copied to and from the host's.
  float* data(int index, Track track);
  std::vector<float> read(int index, Track track);
  void write(int index, Track track, const std::vector<float>& values);
  /// After the master was written: the rounded copy follows.
  void refresh_half();

 private:
  bool keeps_half(DType compute) const;
  static float* floats(Tensor& t) { return static_cast<float*>(t.data()); }
  Tensor view(Tensor& flat, int index);

  Device* device_;
  std::vector<ParameterSpec> specs_;
  std::vector<int64_t> offsets_;
  int64_t flat_ = 0, fixed_flat_ = 0, model_ = 0;
  std::vector<uint8_t> flags_;
  Buffer<uint8_t> flags_on_device_;
  bool power_averages_ = false;
  Tensor averages_[kernels::kPowerAverages];
  Tensor master_, gradient_, ema_, moment1_, moment2_, fixed_, half_;
};

/// A handle to one parameter of one track; what modules hold.
struct Parameter {
  ParamStore* store = nullptr;
  int index = -1;
  Track track = Track::master;
  bool defined() const { return store != nullptr; }
  Tensor operator()() const { return store->value(index, track); }
};

/// Where a module's parameters are named: `scope / "conv1"` is its child. On an allocated store the same
/// construction finds what exists, so that a second network reads the same numbers, e.g. the EMA track.
class Scope {
 public:
  explicit Scope(ParamStore& store, Track track = Track::master, std::string prefix = "")
      : store_(&store), track_(track), prefix_(std::move(prefix)) {}
  Scope operator/(const std::string& child) const {
    Scope scope = *this;
    scope.prefix_ = prefix_.empty() ? child : prefix_ + "." + child;
    return scope;
  }
  Scope operator/(int child) const { return *this / std::to_string(child); }
  /// The same place for a first or last layer or an embedding, whose matrices optimizers treat as vectors.
  Scope outer() const {
    Scope scope = *this;
    scope.outer_ = true;
    return scope;
  }
  /// The same place for what only helps to train.
  Scope auxiliary() const {
    Scope scope = *this;
    scope.auxiliary_ = true;
    return scope;
  }

  Parameter weight(const std::string& name, const Shape& shape, Init init) const {
    return get({join(name), shape, init});
  }
  Parameter filter(const std::string& name, const Shape& krsc, Init init) const {
    return get({join(name), krsc, init, true, FileLayout::filter});
  }
  Parameter table(const std::string& name, const Shape& matrix, Init init) const {
    return get({join(name), matrix, init, true, FileLayout::table});
  }
  Parameter fixed(const std::string& name, const Shape& shape, Init init) const {
    return get({join(name), shape, init, false});
  }

 private:
  std::string join(const std::string& name) const { return (*this / name).prefix_; }
  Parameter get(ParameterSpec spec) const;

  ParamStore* store_;
  Track track_;
  std::string prefix_;
  bool outer_ = false, auxiliary_ = false;
};

}  // namespace ito::engine
