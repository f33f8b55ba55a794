#include <doctest/doctest.h>

#include "data_helpers.h"
#include "jpeg_writer.h"

/// A part of a JPEG is, bit for bit, that part of the whole, whatever its chroma; and damage anywhere is
/// noticed.
using namespace ito::data;
using namespace ito::tests;

namespace {

struct Kind {
  const char* name;
  int h, v;  // luma samples for one of chroma
  bool progressive;
  int restart;  // blocks between restart markers
};
constexpr Kind kKinds[] = {{"4:4:4", 1, 1, false, 0},
                           {"4:2:2", 2, 1, false, 0},
                           {"4:2:0", 2, 2, false, 0},
                           {"4:4:0", 1, 2, false, 0},
                           {"4:1:1", 4, 1, false, 0},
                           {"4:2:0 progressive", 2, 2, true, 0},
                           {"4:2:2 progressive", 2, 1, true, 0},
                           {"4:2:0 with restarts", 2, 2, false, 3}};

std::vector<uint8_t> encode(const Image& image, const Kind& kind) {
  const std::string bytes = jpeg_of(image, [&](jpeg_compress_struct& info) {
    jpeg_set_quality(&info, 90, TRUE);
    info.comp_info[0].h_samp_factor = kind.h, info.comp_info[0].v_samp_factor = kind.v;
    info.restart_interval = unsigned(kind.restart);
    if (kind.progressive) jpeg_simple_progression(&info);
  });
  return {bytes.begin(), bytes.end()};
}

bool is_part_of_whole(const std::vector<uint8_t>& bytes, const Image& whole, const Rectangle& wanted) {
  const ImagePart got = decode_part(bytes.data(), bytes.size(), "picture", [&](ImageSize) { return wanted; });
  if (got.part.width != wanted.width || got.part.height != wanted.height) return false;
  for (int y = 0; y < wanted.height; ++y) {
    const uint8_t* row = got.image.pixel(got.part.left, got.part.top + y);
    if (!std::equal(row, row + wanted.width * 3, whole.pixel(wanted.left, wanted.top + y))) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("any part of any JPEG is that part of the whole") {
  uint32_t number = 0;
  const auto random = [&](int below) {
    return int(ito::random_block({5, ito::Purpose::test}, number++).v[0] % uint32_t(below));
  };
  for (const Kind& kind : kKinds) {
    for (const auto& [width, height] :
         {std::pair(178, 218), std::pair(67, 41), std::pair(9, 130), std::pair(1, 1)}) {
      const std::vector<uint8_t> bytes = encode(picture(width, height, uint32_t(width)), kind);
      const Image whole = decode_image(bytes.data(), bytes.size(), "picture");
      for (int i = 0; i < 60; ++i) {
        Rectangle part{random(width), random(height), 0, 0};
        part.width = 1 + random(width - part.left), part.height = 1 + random(height - part.top);
        const std::string what = ito::cat(kind.name, ", ", width, "x", height, ": ", part.width, "x",
                                          part.height, " at ", part.left, ",", part.top);
        CAPTURE(what);
        CHECK(is_part_of_whole(bytes, whole, part));
      }
      CHECK(is_part_of_whole(bytes, whole, {0, 0, width, height}));
    }
  }
  for (const char* name : {"photo.jpg", "grey.jpg", "progressive.jpg"}) {
    const std::vector<uint8_t> bytes = read_bytes(pil(name));
    const Image whole = decode_image(bytes.data(), bytes.size(), name);
    for (int i = 0; i < 40; ++i) {
      Rectangle part{random(whole.width), random(whole.height), 0, 0};
      part.width = 1 + random(whole.width - part.left), part.height = 1 + random(whole.height - part.top);
      CHECK(is_part_of_whole(bytes, whole, part));
    }
  }
}

TEST_CASE("damage outside of the part is noticed") {
  const std::vector<uint8_t> bytes = read_bytes(pil("photo.jpg"));
  const auto decode = [](const std::vector<uint8_t>& from) {
    decode_part(from.data(), from.size(), "picture", [](ImageSize) { return Rectangle{60, 60, 20, 20}; });
  };
  decode(bytes);
  for (size_t size = bytes.size() / 10; size < bytes.size(); size += bytes.size() / 40 + 1) {
    const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + std::ptrdiff_t(size));
    CHECK(contains(error_of([&] { decode(cut); }), "picture: unreadable JPEG"));
  }
  const std::vector<uint8_t> endless(bytes.begin(), bytes.end() - 2);
  CHECK(contains(error_of([&] { decode(endless); }), "picture: unreadable JPEG"));
}
