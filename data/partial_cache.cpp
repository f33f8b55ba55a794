#include "data/partial_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "data/byte_stream.h"
#include "engine/io/temporary.h"
#include "kernels/base/hash.h"

namespace ito::data {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kHeaderBytes = 8;  // the key

bool is_in_place(int file, const fs::path& path) {
  struct stat held {
  }, named{};
  return fstat(file, &held) == 0 && stat(path.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

int open_or_fail(const fs::path& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0)
    fail(cat(path.string(), ": cannot be made: ", std::strerror(errno), "; name another cache folder"));
  return file;
}

void write_at(int file, uint64_t at, const uint8_t* bytes, size_t size, const fs::path& path) {
  while (size > 0) {
    const ssize_t written = pwrite(file, bytes, std::min(size, size_t(1) << 30), off_t(at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      fail(cat(path.string(), ": cannot write: ", std::strerror(errno),
               "; make room and start again: what is decoded so far is kept"));
    bytes += written, at += uint64_t(written), size -= size_t(written);
  }
}

void cut(int file, uint64_t size, const fs::path& path) {
  if (ftruncate(file, off_t(size)) != 0)
    fail(cat(path.string(), ": cannot be cut: ", std::strerror(errno), "; name another cache folder"));
}

std::vector<uint8_t> record_of(const CacheChunk& chunk) {
  ByteWriter body;
  body.put(chunk.pictures);
  body.put(chunk.hash);
  body.put(chunk.skipped.size());
  for (const CacheChunk::Skipped& skipped : chunk.skipped) {
    body.put(skipped.index);
    body.put(skipped.reason);
  }
  ByteWriter record;
  record.put(Hash().add(body.bytes.data(), body.bytes.size()).value());
  record.put(body.bytes.size());
  record.put_bytes(body.bytes.data(), body.bytes.size());
  return std::move(record.bytes);
}

CacheChunk read_record(ByteReader& reader) {
  const uint64_t hash = reader.number(), size = reader.number();
  const uint8_t* bytes = reader.take(size);
  if (Hash().add(bytes, size).value() != hash) fail("a record is damaged");
  ByteReader body(bytes, size);
  CacheChunk chunk;
  chunk.pictures = body.number();
  chunk.hash = body.number();
  for (uint64_t i = body.number(); i > 0; --i) {
    const uint64_t index = body.number();
    chunk.skipped.push_back({index, body.text()});
  }
  return chunk;
}

/// The records of a journal of this key, up to the first that is cut short or damaged, as by a kill.
std::vector<CacheChunk> read_journal(const fs::path& path, uint64_t key) {
  const io::MappedFile file(path);
  ByteReader reader(reinterpret_cast<const uint8_t*>(file.data()), file.size());
  std::vector<CacheChunk> chunks;
  try {
    if (reader.number() != key) return {};
    while (reader.left() > 0) chunks.push_back(read_record(reader));
  } catch (const Error&) {
  }
  return chunks;
}

/// How many of the chunks have their pixels, undamaged, in the file.
size_t count_intact(const fs::path& path, const std::vector<CacheChunk>& chunks, size_t image_bytes,
                    int threads, std::vector<uint64_t>& hashes) {
  const io::MappedFile file(path);
  uint64_t images = 0;
  for (const CacheChunk& chunk : chunks) images += chunk.kept();
  images = std::min(images, file.size() / image_bytes);
  hashes = image_hashes(reinterpret_cast<const uint8_t*>(file.data()), images, image_bytes, threads);
  size_t intact = 0, first = 0;
  for (; intact < chunks.size() && chunks[intact].kept() <= images - first; ++intact) {
    Hash all;
    for (size_t i = first; i < first + chunks[intact].kept(); ++i) all.add(hashes[i]);
    if (all.value() != chunks[intact].hash) break;
    first += chunks[intact].kept();
  }
  hashes.resize(first);
  return intact;
}

void lock(int file, const fs::path& path, const std::function<void()>& waiting) {
  constexpr useconds_t kBetweenTries = 100'000;
  while (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK)
      fail(cat(path.string(), ": cannot be locked: ", std::strerror(errno),
               "; name a cache folder on another disk"));
    if (waiting) waiting();
    usleep(kBetweenTries);
  }
}

}  // namespace

PartialCache::PartialCache(const fs::path& target, const std::function<void()>& waiting)
    : target_(target),
      pixels_path_(beside_cache(target, "partial")),
      journal_path_(beside_cache(target, "journal")) {
  for (;;) {
    journal_ = open_or_fail(journal_path_);
    try {
      lock(journal_, journal_path_, waiting);
    } catch (...) {
      close(journal_);
      throw;
    }
    if (is_in_place(journal_, journal_path_)) break;
    close(journal_);  // the process that held it has finished and removed it
  }
  struct stat journal {};
  worth_keeping_ = fstat(journal_, &journal) == 0 && uint64_t(journal.st_size) > kHeaderBytes;
}

PartialCache::~PartialCache() {
  if (!worth_keeping_) discard();
  if (pixels_ >= 0) close(pixels_);
  close(journal_);
}

std::vector<CacheChunk> PartialCache::resume(uint64_t key, size_t image_bytes, int threads,
                                             std::vector<uint64_t>& hashes) {
  pixels_ = open_or_fail(pixels_path_);
  std::vector<CacheChunk> chunks = read_journal(journal_path_, key);
  chunks.resize(count_intact(pixels_path_, chunks, image_bytes, threads, hashes));
  ByteWriter journal;
  journal.put(key);
  for (const CacheChunk& chunk : chunks) {
    const std::vector<uint8_t> record = record_of(chunk);
    journal.put_bytes(record.data(), record.size());
  }
  pixel_bytes_ = hashes.size() * image_bytes;
  journal_bytes_ = journal.bytes.size();
  worth_keeping_ = !chunks.empty();
  cut(pixels_, pixel_bytes_, pixels_path_);
  // The same bytes again, or a new key: a kill in between leaves a journal that is valid up to some record.
  cut(journal_, journal_bytes_, journal_path_);
  write_at(journal_, 0, journal.bytes.data(), journal.bytes.size(), journal_path_);
  return chunks;
}

void PartialCache::check_room(uint64_t bytes) const {
  const fs::path folder = target_.parent_path();
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (!error && space.available < bytes)
    fail(cat(folder.string(), ": decoded pictures need ", bytes >> 20, " MiB more, and ",
             space.available >> 20, " MiB are free; choose a smaller --size or another cache folder"));
}

void PartialCache::append(const CacheChunk& chunk, const uint8_t* pixels, size_t bytes) {
  write_at(pixels_, pixel_bytes_, pixels, bytes, pixels_path_);
  // The disk may begin: all that is left for finish() would be waited for there.
  sync_file_range(pixels_, off_t(pixel_bytes_), off_t(bytes), SYNC_FILE_RANGE_WRITE);
  const std::vector<uint8_t> record = record_of(chunk);
  write_at(journal_, journal_bytes_, record.data(), record.size(), journal_path_);
  pixel_bytes_ += bytes;
  journal_bytes_ += record.size();
  worth_keeping_ = true;
}

void PartialCache::finish(const std::vector<uint8_t>& ending) {
  write_at(pixels_, pixel_bytes_, ending.data(), ending.size(), pixels_path_);
  if (fsync(pixels_) != 0 && errno != EINVAL)
    fail(cat(pixels_path_.string(), ": cannot flush to disk: ", std::strerror(errno)));
  std::error_code error;
  fs::rename(pixels_path_, target_, error);
  if (error) fail(cat(target_.string(), ": cannot put the finished file in place: ", error.message()));
  io::sync_path(target_.parent_path());
  discard();
}

void PartialCache::discard() {
  std::error_code ignored;
  fs::remove(pixels_path_, ignored);
  fs::remove(journal_path_, ignored);  // last: without it nobody looks for the other
  worth_keeping_ = true;               // by whoever makes a new one from here on
}

void remove_partial(const fs::path& target) {
  const fs::path journal = beside_cache(target, "journal");
  const int file = open(journal.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  if (flock(file, LOCK_EX | LOCK_NB) == 0 && is_in_place(file, journal)) {
    std::error_code ignored;
    fs::remove(beside_cache(target, "partial"), ignored);
    fs::remove(journal, ignored);
  }
  close(file);
}

}  // namespace ito::data
