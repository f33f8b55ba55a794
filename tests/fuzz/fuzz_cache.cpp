#include <algorithm>
#include <cstring>
#include <string>

#include "data/cache/image_cache.h"
#include "fuzz_target.h"
#include "kernels/base/hash.h"

namespace {

using ito::Hash;

// Of a cache file, its last 64 bytes: magic (8 bytes), version, height, width, unused (4 each), count, bytes
// of the description, hashes of the pixels, of the description and of all before (8 each).
constexpr size_t kTrailer = 64, kHeight = 12, kWidth = 16, kCount = 24, kDescribed = 32, kPixelHash = 40,
                 kDescriptionHash = 48, kTrailerHash = 56;

template <class T>
T number_at(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + bytes.size() - kTrailer + at, sizeof value);
  return value;
}

/// Reads all that a cache says it holds.
void read(std::string_view bytes) {
  const ito::fuzz::MemoryFile file(bytes);
  ito::data::CacheRequest request;
  request.crop = "none", request.check_all = true;
  request.size = {int(number_at<uint32_t>(bytes, kWidth)), int(number_at<uint32_t>(bytes, kHeight))};
  ito::fuzz::only_errors([&] {
    const auto cache = ito::data::read_cache(file.path(), request);
    const size_t count = cache->names.size(), columns = cache->attribute_names.size();
    ito::fuzz::expect(cache->attributes.size() == count * columns, "every picture has every attribute");
    const size_t image_bytes = size_t(cache->size.height) * size_t(cache->size.width) * 3;
    for (size_t i = 0; i < count; ++i) ito::data::image_hash(cache->pixels() + i * image_bytes, image_bytes);
  });
}

void put(std::string& bytes, size_t at, uint64_t number) {
  std::memcpy(bytes.data() + at, &number, sizeof number);
}

/// The same with right checksums, which no change by chance would leave so.
std::string with_checksums(std::string bytes) {
  const size_t trailer = bytes.size() - kTrailer;
  const uint64_t height = number_at<uint32_t>(bytes, kHeight), width = number_at<uint32_t>(bytes, kWidth);
  const uint64_t count = number_at<uint64_t>(bytes, kCount);
  const uint64_t described = std::min<uint64_t>(number_at<uint64_t>(bytes, kDescribed), trailer);
  const uint64_t image_bytes = height * width * 3;
  if (image_bytes > 0 && count <= trailer / image_bytes) {
    Hash pixels;
    for (uint64_t i = 0; i < count; ++i)
      pixels.add(ito::data::image_hash(reinterpret_cast<const uint8_t*>(bytes.data()) + i * image_bytes,
                                       image_bytes));
    put(bytes, trailer + kPixelHash, pixels.value());
  }
  put(bytes, trailer + kDescriptionHash, Hash().add(bytes.data() + trailer - described, described).value());
  put(bytes, trailer + kTrailerHash, Hash().add(bytes.data() + trailer, kTrailerHash).value());
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string text(ito::fuzz::text_of(bytes, size));
  if (size < kTrailer) return 0;
  read(text);
  read(with_checksums(text));
  return 0;
}
