#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/diffusion/denoiser.h"
#include "model/training/attribute_rows.h"

namespace ito::model {

/// One attribute that faces are to have (1) or to lack (-1).
struct WantedAttribute {
  size_t index = 0;  // of the model's attributes
  int value = 1;
};

/// What "Smiling=1", "Eyeglasses=-1" or "Smiling,-Eyeglasses" ask for, ascending by their index; an attribute is given
/// by its name alone for 1, with a dash before it for -1, or with =1 or =-1. Error: not such a list; a name that is
/// none of `names` (with the nearest); a value other than 1 and -1; an attribute with two values.
std::vector<WantedAttribute> parse_wanted(const std::vector<std::string>& texts,
                                          const std::vector<std::string>& names);

/// How well the rows that a request chooses from agree with it.
struct Agreement {
  int64_t rows = 0;   // that agree with the most attributes
  size_t most = 0;    // attributes that each of them agrees with
  size_t wanted = 0;  // attributes that are asked for
  bool all() const { return most == wanted; }
};

/// Conditions by attributes. Those that are asked for have the value that is asked for. The others come from a row of
/// the images that the model was trained with, so that they go together as they do in people: a row that agrees with
/// all that is asked for (0, unknown, does not), or, where no row does, one of those that agree with the most. Which of
/// these it is depends on the image's seed alone, each being as likely. Asked for nothing, conditions are as varied as
/// the training's.
class AttributeRequest {
 public:
  /// Error: there are no rows; what parse_wanted reports.
  AttributeRequest(AttributeRows rows, const std::vector<std::string>& texts);

  const AttributeRows& rows() const { return rows_; }
  const std::vector<WantedAttribute>& wanted() const { return wanted_; }
  Agreement agreement() const { return {int64_t(agreeing_.size()), most_, wanted_.size()}; }
  /// The row of the training's images that completes the condition of this seed.
  int64_t row_for(uint64_t seed) const;
  std::vector<float> condition_for(uint64_t seed) const;                    // [K]
  std::vector<float> conditions(const std::vector<uint64_t>& seeds) const;  // [seeds, K]

 private:
  size_t agreeing_with(int64_t row) const;

  AttributeRows rows_;
  std::vector<WantedAttribute> wanted_;
  size_t most_ = 0;
  std::vector<int64_t> agreeing_;  // rows, ascending
};

/// What draws the faces that `request` asks for.
Denoiser attribute_denoiser(engine::Device&, const Network& network, const DenoiserOptions& options,
                            AttributeRequest request, const Guidance& guidance);

/// What draws faces as the network has learned them: under the attributes of images that it was trained with, chosen by
/// the seeds; without a condition where there are no rows.
Denoiser varied_denoiser(engine::Device&, const Network& network, const DenoiserOptions& options,
                         const AttributeRows& rows);

}  // namespace ito::model
