#include "apps/sampling/arrays.h"

#include <algorithm>
#include <cmath>

#include "engine/io/npy.h"

namespace ito::apps {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t n : shape) text += cat(text.empty() ? "" : ",", n);
  return "[" + text + "]";
}

/// Calls f(in [N,C,H,W], in [N,H,W,C]) for the place of every element.
template <class F>
void for_elements(int64_t images, const engine::Shape& image, F&& f) {
  const int64_t h = image[0], w = image[1], c = image[2];
  for (int64_t n = 0; n < images; ++n)
    for (int64_t k = 0; k < c; ++k)
      for (int64_t pixel = 0; pixel < h * w; ++pixel)
        f(size_t((n * c + k) * h * w + pixel), size_t((n * h * w + pixel) * c + k));
}

}  // namespace

std::vector<float> read_noise(const std::string& file, const engine::Shape& image) {
  const io::NpyArray array = io::read_npy(file);
  if (array.type != io::ElementType::f32 && array.type != io::ElementType::f64)
    fail(
        cat("--noise ", file, " holds ", name_of(array.type), " numbers, and noise is float32 (or float64)"));
  const std::vector<int64_t>& shape = array.shape;
  if (shape.size() != 4 || shape[0] < 1 || shape[1] != image[2] || shape[2] != image[0] ||
      shape[3] != image[1])
    fail(cat("--noise ", file, " has the shape ", shape_text(shape), ", and the model needs [N,", image[2],
             ",", image[0], ",", image[1], "]"));
  std::vector<float> noise(static_cast<size_t>(array.size()));
  for_elements(shape[0], image, [&](size_t from, size_t to) {
    noise[to] =
        array.type == io::ElementType::f32 ? array.as<float>()[from] : float(array.as<double>()[from]);
  });
  const auto bad = std::find_if(noise.begin(), noise.end(), [](float x) { return !std::isfinite(x); });
  if (bad != noise.end())
    fail(cat("--noise ", file, " holds a number that is not finite, in image ",
             (bad - noise.begin()) / int64_t(image.count())));
  return noise;
}

void write_numbers(const std::string& file, const std::vector<float>& numbers, const engine::Shape& image) {
  const int64_t images = int64_t(numbers.size()) / image.count();
  std::vector<float> array(numbers.size());
  for_elements(images, image, [&](size_t to, size_t from) { array[to] = numbers[from]; });
  io::write_npy(file, io::ElementType::f32, {images, image[2], image[0], image[1]}, array.data());
}

}  // namespace ito::apps
