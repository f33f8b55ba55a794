#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "engine/parameters.h"

/// Features of drawn faces that need no download: the last layer of a small convolutional network that has learned from
/// their pixels which attributes they show. Distances between them compare sets of drawn faces; of photographs they
/// know nothing.
namespace ito::bench {

inline constexpr int kFeatureSide =
    64;  // pixels of its images; smaller ones are enlarged, larger ones reduced
inline constexpr int kDrawnFeatures = 128;  // numbers a face

/// Four convolutions 3x3 with stride 2, each with group norm and SiLU, the mean over the last one's pixels (the
/// features), and a linear layer to one number for each attribute. 169,000 numbers in all.
class FeatureNetwork {
 public:
  FeatureNetwork(engine::ParamStore& store, int64_t attributes);
  /// x [N,64,64,3], about [-1,1] -> [N,128].
  engine::Tensor features(engine::Tensor x) const;
  /// [N,128] -> [N,attributes]: above 0 where the face shows it.
  engine::Tensor answers(const engine::Tensor& features) const;

 private:
  struct Layer {
    engine::Parameter filter, gamma, beta;
  };
  std::vector<Layer> layers_;
  engine::Parameter weight_, bias_;
};

/// The network that learned, from its file.
class DrawnFeatures {
 public:
  /// What it sees in some faces, row by row.
  struct Seen {
    std::vector<float> features, answers;  // [count,128], [count,attributes]
  };
  /// Error: no such file, or of another network.
  DrawnFeatures(engine::Device& device, const std::filesystem::path& file);

  const std::vector<std::string>& attributes() const { return attributes_; }
  /// `pixels` is u8 [count,height,width,3].
  Seen look(const uint8_t* pixels, size_t count, int height, int width) const;

 private:
  engine::Device& device_;
  std::vector<std::string> attributes_;
  engine::ParamStore store_;
  std::optional<FeatureNetwork> network_;
};

struct FeatureTraining {
  int64_t steps = 8000;
  int batch = 32;
  uint64_t seed = 0;  // of weights, order and mirroring
};

/// Trains on faces of 64x64 pixels by the mean squared error to 1 and -1, each mirrored half of the time, and every
/// other one reduced to 32x32 first, so that it also knows what smaller models draw. Writes the averaged weights. The
/// same seed and faces give the same bytes on the same machine. `progress` gets the steps done and the loss, now and
/// then. Error: the faces have another size, another crop than ddim128, or no attributes.
void train_drawn_features(engine::Device& device, const data::Dataset& faces, const FeatureTraining& options,
                          const std::filesystem::path& file,
                          const std::function<void(int64_t step, double loss)>& progress);

/// How well an attribute is seen in faces that the network did not learn from.
struct SeenAttribute {
  std::string name;
  double right = 0;                // share of all faces
  double with = -1, without = -1;  // share of those with and without it; -1: there are none
};
/// Error: the faces have other attributes.
std::vector<SeenAttribute> seen_attributes(const DrawnFeatures& features, const data::Dataset& faces);

}  // namespace ito::bench
