#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/diffusion/denoiser.h"

namespace ito::model {

/// The class that a text means to a model of so many classes: one of their names, or else, whether they have names or
/// not, a number from 0 on. Error: neither, with the names; no such number.
int parse_class(const std::string& text, int classes, const std::vector<std::string>& names);

/// Conditions of a network with classes: rows that are 1 at an image's class and 0 elsewhere. All images are of the
/// class that is asked for; where none is, a class is chosen by the image's seed alone, each being as likely.
class ClassRequest {
 public:
  /// Error: the class is not from 0 to classes - 1.
  ClassRequest(int classes, std::optional<int> asked);

  int class_for(uint64_t seed) const;
  std::vector<float> conditions(const std::vector<uint64_t>& seeds) const;  // [seeds, classes]

 private:
  int classes_;
  std::optional<int> asked_;
};

/// What draws images of the classes that `request` asks for.
Denoiser class_denoiser(engine::Device&, const Network& network, const DenoiserOptions& options,
                        const ClassRequest& request, const Guidance& guidance);

}  // namespace ito::model
