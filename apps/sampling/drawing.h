#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "apps/sampling/picture.h"
#include "data/pictures/image.h"

/// A sampling from its plan to the pictures in their folder.
namespace ito::apps {

/// What is to be drawn, and where to.
struct Drawing {
  const GuidedModel& guided;
  const model::SamplerPlan& plan;
  engine::Shape image;  // [H,W,3]
  Starts starts;
  std::filesystem::path out;
  int strip;  // states of strip.png, or 0
  bool keeps_numbers;
  Chunk chunk;
  SampleNote note;  // of rank 0: with the seeds of pictures that are there already and stay part of it

  size_t each() const { return size_t(image.count()); }  // numbers of a picture
  /// Of the first pictures.
  std::vector<uint64_t> numbers(size_t count) const {
    return {starts.numbers().begin(), starts.numbers().begin() + std::ptrdiff_t(count)};
  }
};

/// The result of a sampling: all of it, or what was made before a signal.
struct Made {
  size_t images = 0;
  double evaluations = 0;  // of the networks, of all images
  // Of rank 0:
  std::vector<uint8_t> first;       // pixels of the first images, as many as a grid has room for
  std::vector<float> numbers;       // of all images, if they are kept
  std::vector<data::Image> strips;  // of the first chunk, state after state
};

/// Draws chunk by chunk and writes each chunk's images as soon as they are there, into a folder that exists. Every
/// image in it is listed in samples.json, whenever this is killed. The device's ranks all call it and share the chunks:
/// each draws and writes one of every round, and rank 0 writes the note. A signal to one of them ends the drawing on
/// all; the images of the rounds before are kept. `progress` is called again and again with the part of all work that
/// is done.
Made draw(engine::Device&, Drawing&, const model::SampleProgress& progress);

/// strip.png: a row for each image of the first chunk, its states and itself. Returns how many rows; with none there is
/// no file.
size_t write_strip(const Drawing&, const Made&, const std::filesystem::path& file);

}  // namespace ito::apps
