#include "data/image_cache.h"

#include <cstring>
#include <string_view>

#include "data/hash.h"
#include "data/parallel.h"
#include "kernels/error.h"

namespace ito::data {
namespace {

/// The last 64 bytes of a cache file.
struct Trailer {
  char magic[8];
  uint32_t version;
  uint32_t height, width;
  uint32_t unused;
  uint64_t count;
  uint64_t description_bytes;
  uint64_t content_hash;      // of the pixels
  uint64_t description_hash;  // of names, attributes and skipped files
  uint64_t trailer_hash;      // of the fields above
};
static_assert(sizeof(Trailer) == 64);
constexpr char kMagic[8] = {'i', 't', 'o', 'f', 'a', 'c', 'e', 's'};

uint64_t hash_of(const Trailer& trailer) {
  return Hash().add(&trailer, offsetof(Trailer, trailer_hash)).value();
}

class Writer {
 public:
  std::vector<uint8_t> bytes;
  void put(uint64_t number) { put_bytes(&number, sizeof number); }
  void put(std::string_view text) {
    put(uint64_t(text.size()));
    put_bytes(text.data(), text.size());
  }
  void put_bytes(const void* data, size_t size) {
    const uint8_t* first = static_cast<const uint8_t*>(data);
    bytes.insert(bytes.end(), first, first + size);
  }
};

class Reader {
 public:
  Reader(const uint8_t* bytes, size_t size) : at_(bytes), left_(size) {}
  uint64_t number() {
    uint64_t value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  std::string text() {
    const uint64_t size = number();
    return std::string(reinterpret_cast<const char*>(take(size)), size);
  }
  const uint8_t* take(uint64_t size) {
    if (size > left_) fail("its description breaks off");
    const uint8_t* first = at_;
    at_ += size, left_ -= size;
    return first;
  }

 private:
  const uint8_t* at_;
  uint64_t left_;
};

void read_description(Reader reader, uint64_t count, ImageCache& cache) {
  for (uint64_t i = 0; i < count; ++i) cache.names.push_back(reader.text());
  const uint64_t columns = reader.number();
  for (uint64_t i = 0; i < columns; ++i) cache.attribute_names.push_back(reader.text());
  const uint8_t* values = reader.take(count * columns);
  cache.attributes.assign(values, values + count * columns);
  for (uint64_t i = reader.number(); i > 0; --i) {
    std::string name = reader.text();
    cache.skipped.push_back({std::move(name), reader.text()});
  }
}

uint64_t hash_images(const uint8_t* pixels, size_t count, size_t image_bytes, int threads) {
  constexpr size_t kImagesATime = 256;
  std::vector<uint64_t> hashes(count);
  parallel_for((count + kImagesATime - 1) / kImagesATime, threads, [&](size_t part) {
    for (size_t i = part * kImagesATime; i < std::min(count, (part + 1) * kImagesATime); ++i) {
      hashes[i] = image_hash(pixels + i * image_bytes, image_bytes);
    }
  });
  Hash all;
  for (const uint64_t hash : hashes) all.add(hash);
  return all.value();
}

/// Every length in a file is checked before it is used; the file's name comes from the caller.
void check_and_read(ImageCache& cache, int threads) {
  const uint64_t file_bytes = cache.file->size();
  if (file_bytes < sizeof(Trailer)) fail("it is too short");
  const uint8_t* bytes = cache.pixels();
  Trailer trailer;
  std::memcpy(&trailer, bytes + file_bytes - sizeof trailer, sizeof trailer);
  if (std::memcmp(trailer.magic, kMagic, sizeof kMagic) != 0) fail("it does not end as a cache file");
  if (trailer.version != kCacheVersion || trailer.trailer_hash != hash_of(trailer))
    fail("its trailer is damaged");
  const uint64_t image_bytes = uint64_t(trailer.height) * trailer.width * 3;
  const uint64_t pixel_bytes = trailer.count * image_bytes;
  if (file_bytes != pixel_bytes + trailer.description_bytes + sizeof trailer) fail("its length is wrong");
  const uint8_t* description = bytes + pixel_bytes;
  if (Hash().add(description, trailer.description_bytes).value() != trailer.description_hash) {
    fail("its description is damaged");
  }
  cache.size = {int(trailer.width), int(trailer.height)};
  read_description(Reader(description, trailer.description_bytes), trailer.count, cache);
  cache.content_hash = hash_images(bytes, trailer.count, image_bytes, threads);
  if (cache.content_hash != trailer.content_hash) fail("its pixels are damaged");
}

}  // namespace

uint64_t image_hash(const uint8_t* pixels, size_t bytes) { return Hash().add(pixels, bytes).value(); }

std::vector<uint8_t> cache_ending(const ImageCache& cache) {
  Writer writer;
  for (const std::string& name : cache.names) writer.put(name);
  writer.put(cache.attribute_names.size());
  for (const std::string& name : cache.attribute_names) writer.put(name);
  writer.put_bytes(cache.attributes.data(), cache.attributes.size());
  writer.put(cache.skipped.size());
  for (const SkippedFile& file : cache.skipped) {
    writer.put(file.name);
    writer.put(file.reason);
  }
  Trailer trailer{};
  std::memcpy(trailer.magic, kMagic, sizeof kMagic);
  trailer.version = kCacheVersion;
  trailer.height = uint32_t(cache.size.height);
  trailer.width = uint32_t(cache.size.width);
  trailer.count = cache.names.size();
  trailer.description_bytes = writer.bytes.size();
  trailer.content_hash = cache.content_hash;
  trailer.description_hash = Hash().add(writer.bytes.data(), writer.bytes.size()).value();
  trailer.trailer_hash = hash_of(trailer);
  writer.put_bytes(&trailer, sizeof trailer);
  return std::move(writer.bytes);
}

std::optional<ImageCache> read_cache(const std::filesystem::path& path, int threads) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  ImageCache cache;
  cache.file = std::make_unique<io::MappedFile>(path);
  try {
    check_and_read(cache, threads);
  } catch (const Error& error) {
    fail(cat(path.string(), ": a damaged cache of decoded pictures: ", error.what()));
  }
  return cache;
}

}  // namespace ito::data
