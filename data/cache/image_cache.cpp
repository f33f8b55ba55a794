#include "data/cache/image_cache.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "data/cache/byte_stream.h"
#include "data/celeba_files/lists.h"
#include "data/pictures/crop.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"
#include "kernels/base/math.h"
#include "kernels/base/parallel.h"

namespace ito::data {
namespace fs = std::filesystem;
namespace {

/// The last 64 bytes of a cache file, of any version.
struct Trailer {
  char magic[8];
  uint32_t version;
  uint32_t height, width;
  uint32_t unused;
  uint64_t count;
  uint64_t description_bytes;
  uint64_t content_hash;      // of the pixels
  uint64_t description_hash;  // of crop, names, attributes and skipped files
  uint64_t trailer_hash;      // of the fields above
};
static_assert(sizeof(Trailer) == 64);
constexpr char kMagic[8] = {'i', 't', 'o', 'f', 'a', 'c', 'e', 's'};

uint64_t hash_of(const Trailer& trailer) {
  return Hash().add(&trailer, offsetof(Trailer, trailer_hash)).value();
}

/// Reads `columns` numbers of each image, or no numbers at all.
std::vector<int32_t> read_numbers(ByteReader& reader, uint64_t count, uint64_t columns) {
  const uint64_t found = reader.number();
  if (found != 0 && found != count * columns) fail("its lists do not have a line for each picture");
  std::vector<int32_t> numbers(found);
  if (found) std::memcpy(numbers.data(), reader.take(found * sizeof(int32_t)), found * sizeof(int32_t));
  return numbers;
}

void write_numbers(ByteWriter& writer, const std::vector<int32_t>& numbers) {
  writer.put(uint64_t(numbers.size()));
  writer.put_bytes(numbers.data(), numbers.size() * sizeof(int32_t));
}

void read_description(ByteReader reader, uint64_t count, ImageCache& cache) {
  cache.crop = reader.text();
  cache.names.reserve(count);
  for (uint64_t i = 0; i < count; ++i) cache.names.push_back(reader.text());
  const uint64_t columns = reader.number();
  for (uint64_t i = 0; i < columns; ++i) cache.attribute_names.push_back(reader.text());
  const uint8_t* values = reader.take(count * columns);
  cache.attributes.assign(values, values + count * columns);
  cache.identities = read_numbers(reader, count, 1);
  cache.landmarks = read_numbers(reader, count, kLandmarks);
  for (uint64_t i = reader.number(); i > 0; --i) {
    std::string name = reader.text();
    cache.skipped.push_back({std::move(name), reader.text()});
  }
}

/// Reads the trailer of a file. Error: the file is too short, or no cache file.
Trailer trailer_of(const io::MappedFile& file) {
  Trailer trailer;
  if (file.size() < sizeof trailer) fail("it is too short");
  std::memcpy(&trailer, file.data() + file.size() - sizeof trailer, sizeof trailer);
  if (std::memcmp(trailer.magic, kMagic, sizeof kMagic) != 0) fail("it does not end as a cache file");
  return trailer;
}

/// Reads the description. Every length is checked before it is used; the caller adds the file's name to errors.
void read_all_but_pixels(ImageCache& cache) {
  const uint64_t file_bytes = cache.file->size();
  const Trailer trailer = trailer_of(*cache.file);
  if (trailer.version != kCacheVersion)  // whose hash may be another
    fail(cat("it is of version ", trailer.version, ", and this program's is ", kCacheVersion));
  if (trailer.trailer_hash != hash_of(trailer)) fail("its trailer is damaged");
  if (trailer.height < 1 || trailer.width < 1 || trailer.height > kLargestSide ||
      trailer.width > kLargestSide)
    fail(cat("its header gives its images as ", trailer.height, "x", trailer.width));
  constexpr uint64_t kNameBytes = sizeof(uint64_t);  // at least: its length
  const uint64_t image_bytes = uint64_t(trailer.height) * trailer.width * 3;
  const uint64_t pixel_bytes = trailer.count * image_bytes;
  if (trailer.count > file_bytes / image_bytes || trailer.count > trailer.description_bytes / kNameBytes ||
      pixel_bytes > file_bytes - sizeof trailer ||
      trailer.description_bytes != file_bytes - sizeof trailer - pixel_bytes)
    fail("its length is wrong");
  const uint8_t* description = cache.pixels() + pixel_bytes;
  if (Hash().add(description, trailer.description_bytes).value() != trailer.description_hash)
    fail("its description is damaged");
  cache.size = {int(trailer.width), int(trailer.height)};
  cache.content_hash = trailer.content_hash;
  read_description(ByteReader(description, trailer.description_bytes), trailer.count, cache);
}

void check_pixels(const ImageCache& cache, int threads) {
  const size_t image_bytes = size_t(cache.size.height) * size_t(cache.size.width) * 3;
  Hash all;
  for (const uint64_t hash : image_hashes(cache.pixels(), cache.names.size(), image_bytes, threads))
    all.add(hash);
  if (all.value() != cache.content_hash) fail("its pixels are damaged");
}

std::string described(const std::string& crop, ImageSize size) {
  return cat("crop ", crop, " at ", size.height, "x", size.width);
}

void check_wanted(const ImageCache& cache, const CacheRequest& wanted) {
  if (cache.crop == wanted.crop && cache.size.width == wanted.size.width &&
      cache.size.height == wanted.size.height)
    return;
  fail(cat("it holds ", described(cache.crop, cache.size), ", but its name promises ",
           described(wanted.crop, wanted.size)));
}

/// Distinguishes this very file from a copy of it, and from what it was before a change.
std::string identity(const fs::path& path) {
  struct stat s {};
  if (stat(path.c_str(), &s) != 0) return "";
  return cat(s.st_dev, " ", s.st_ino, " ", s.st_size, " ", s.st_mtim.tv_sec, ".", s.st_mtim.tv_nsec, " ",
             s.st_ctim.tv_sec, ".", s.st_ctim.tv_nsec, "\n");
}

/// A file that has just changed could change again without getting another time.
bool is_settled(const fs::path& path) {
  constexpr double kClockTick = 0.05;  // seconds; file systems' times go forward in steps of up to 10 ms
  struct stat s {};
  timespec now{};
  if (stat(path.c_str(), &s) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) return false;
  return double(now.tv_sec - s.st_ctim.tv_sec) + double(now.tv_nsec - s.st_ctim.tv_nsec) * 1e-9 > kClockTick;
}

bool was_checked(const fs::path& path, const std::string& self) {
  std::error_code ignored;
  const fs::path note = hidden_sibling(path, "checked");
  return fs::is_regular_file(note, ignored) && io::read_file(note, 4096) == self;
}

/// If the folder cannot be written to, there is no such note, and every opening reads all pixels.
void note_checked(const fs::path& path, const std::string& self) {
  if (identity(path) != self || !is_settled(path)) return;
  try {
    io::write_file_atomic(hidden_sibling(path, "checked"), self);
  } catch (const Error&) {
  }
}

void read_checked(ImageCache& cache, const fs::path& path, const CacheRequest& request) {
  const std::string self = identity(path);
  cache.file = std::make_unique<io::MappedFile>(path);
  read_all_but_pixels(cache);
  check_wanted(cache, request);
  const bool noted = was_checked(path, self);
  if (noted && !request.check_all) return;
  check_pixels(cache, request.threads);
  if (!noted) note_checked(path, self);
}

}  // namespace

fs::path hidden_sibling(const fs::path& path, const char* what) {
  return path.parent_path() / cat(".", path.filename().string(), ".", what);
}

uint64_t image_hash(const uint8_t* pixels, size_t bytes) { return Hash().add(pixels, bytes).value(); }

std::vector<uint64_t> image_hashes(const uint8_t* pixels, size_t count, size_t image_bytes, int threads) {
  constexpr size_t kImagesATime = 256;
  std::vector<uint64_t> hashes(count);
  parallel_for(div_up(count, kImagesATime), threads, [&](size_t part) {
    for (size_t i = part * kImagesATime; i < std::min(count, (part + 1) * kImagesATime); ++i)
      hashes[i] = image_hash(pixels + i * image_bytes, image_bytes);
  });
  return hashes;
}

std::vector<uint8_t> cache_ending(const ImageCache& cache) {
  ByteWriter writer;
  writer.put(cache.crop);
  for (const std::string& name : cache.names) writer.put(name);
  writer.put(cache.attribute_names.size());
  for (const std::string& name : cache.attribute_names) writer.put(name);
  writer.put_bytes(cache.attributes.data(), cache.attributes.size());
  write_numbers(writer, cache.identities);
  write_numbers(writer, cache.landmarks);
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

std::optional<ImageCache> read_cache(const fs::path& path, const CacheRequest& request) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  ImageCache cache;
  try {
    read_checked(cache, path, request);
  } catch (const Error& error) {
    fail(cat(path.string(), ": a cache of decoded pictures that cannot be used: ", error.what()));
  }
  return cache;
}

std::optional<uint32_t> cache_version(const fs::path& path) {
  try {
    return trailer_of(io::MappedFile(path)).version;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void remove_cache(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
  fs::remove(hidden_sibling(path, "checked"), ignored);
}

}  // namespace ito::data
