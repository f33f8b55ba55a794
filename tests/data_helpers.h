#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "data/pictures/image.h"
#include "io_helpers.h"
#include "kernels/base/philox.h"

/// What the tests of data/ share: made-up pictures, small trees of them, and how far two pictures are apart.
namespace ito::tests {

using data::Image;

inline std::filesystem::path pil(const std::string& name) { return fixture("pil") / name; }

/// Soft colours that differ from picture to picture, with a little noise.
inline Image picture(int width, int height, uint32_t seed) {
  Image image(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const auto noise = random_block({seed, Purpose::test}, uint32_t(y * width + x));
      for (int c = 0; c < 3; ++c) {
        const int soft = (x * (c + 1) * 3 + y * (3 - c) * 2 + int(seed) * 37 * (c + 2)) % 240;
        image.pixel(x, y)[c] = uint8_t(soft + int(noise.v[c] & 15));
      }
    }
  }
  return image;
}

/// Files of one byte below `root`, with their folders.
inline void touch(const std::filesystem::path& root, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    std::filesystem::create_directories((root / name).parent_path());
    put(root / name, "x");
  }
}

inline std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text + " ";
  return all;
}

inline Image decode(const std::string& bytes) {
  return data::decode_image(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), "picture");
}

inline std::string error_in(const std::string& bytes) {
  return error_of([&] { decode(bytes); });
}

/// The largest difference of a channel, or 999 for other sizes.
inline int largest_difference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height) return 999;
  int largest = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i)
    largest = std::max(largest, std::abs(int(a.rgb[i]) - int(b.rgb[i])));
  return largest;
}

/// A CelebA tree of `count` pictures in the official flat layout, with two attributes; splits 0 1 2 0 1 2 ...
inline void make_celeba(const std::filesystem::path& root, int count) {
  std::filesystem::create_directories(root / "img_align_celeba");
  std::string attributes = "202599\nSmiling Wearing_Hat \r\n",
              partition;  // a count that is wrong, as copies have
  for (int i = 1; i <= count; ++i) {
    const std::string name = std::string(i < 10 ? "00000" : "0000") + std::to_string(i) + ".jpg";
    write_jpeg(root / "img_align_celeba" / name, picture(178, 218, uint32_t(i)));
    attributes += name + (i % 2 ? "  1 -1\r\n" : " -1  1 \n");
    partition += name + " " + std::to_string((i - 1) % 3) + "\n";
  }
  put(root / "list_attr_celeba.txt", attributes);
  put(root / "list_eval_partition.txt", partition);
}

inline std::filesystem::path real_photos() {
  return std::filesystem::path(ITO_SOURCE_DIR) / ".." / "shared" / "data";
}

}  // namespace ito::tests
