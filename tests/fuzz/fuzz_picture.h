#pragma once

#include <algorithm>

#include "data/pictures/image.h"
#include "data/pictures/image_facts.h"
#include "fuzz_target.h"

namespace ito::fuzz {

/// A part of a picture, some other for each number.
inline data::Rectangle some_part(data::ImageSize all, uint32_t number) {
  data::Rectangle part;
  part.left = int(number % uint32_t(all.width)), part.top = int(number / 7 % uint32_t(all.height));
  part.width = 1 + int(number / 49 % uint32_t(all.width - part.left));
  part.height = 1 + int(number / 343 % uint32_t(all.height - part.top));
  return part;
}

/// The part alone has the pixels that it has in the whole picture.
inline void read_part(const uint8_t* bytes, size_t size, const data::Image& whole) {
  uint32_t number = uint32_t(size);
  for (size_t i = 0; i < size; ++i) number = number * 31 + bytes[i];
  const data::ImagePart some =
      data::decode_part(bytes, size, "input", [&](data::ImageSize all) { return some_part(all, number); });
  const data::Rectangle place = some_part({whole.width, whole.height}, number);
  bool equal = some.part.width == place.width && some.part.height == place.height;
  for (int y = 0; equal && y < place.height; ++y)
    equal = std::equal(whole.pixel(place.left, place.top + y),
                       whole.pixel(place.left, place.top + y) + 3 * place.width,
                       some.image.pixel(some.part.left, some.part.top + y));
  expect(equal, "a part is what it is in the whole");
}

/// What the file says about itself is bounded.
inline void read_facts(const uint8_t* bytes, size_t size) {
  const data::ImageFacts facts = data::image_facts(bytes, size, "input");
  size_t text = 0;
  for (const auto& [keyword, value] : facts.texts) text = std::max({text, keyword.size(), value.size()});
  expect(facts.texts.size() <= data::kMostTexts && text <= 200, "texts are bounded");
  expect(facts.orientation >= 1 && facts.orientation <= 8, "there are eight orientations");
}

/// Reads the size, what else the file says, the pixels and some of them; all agree.
inline int read_picture(const uint8_t* bytes, size_t size) {
  return only_errors([&] {
    read_facts(bytes, size);
    const data::ImageSize promised = data::read_image_size(bytes, size, "input");
    const data::Image image = data::decode_image(bytes, size, "input");
    expect(image.width == promised.width && image.height == promised.height,
           "the header's size is the picture's");
    expect(image.rgb.size() == size_t(image.width) * size_t(image.height) * 3, "every pixel is there");
    constexpr size_t kTwiceInMemory = size_t(64) << 20;  // few bytes can be a large WebP
    if (image.rgb.size() <= kTwiceInMemory) read_part(bytes, size, image);
  });
}

}  // namespace ito::fuzz
