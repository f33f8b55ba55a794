#include "data/cache/partial_cache.h"

#include <unistd.h>

#include <algorithm>

#include "data/cache/byte_stream.h"
#include "engine/io/temporary.h"
#include "kernels/base/hash.h"

namespace ito::data {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kHeaderBytes = 8;  // the key

constexpr const char* kOtherFolder = "choose another cache folder";
constexpr const char* kMakeRoom = "make room and start again: what is decoded so far is kept";

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

/// How many of the chunks have all their pixels, undamaged, in the file.
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

/// False if the file system has no locks.
bool lock(const File& file, const std::function<void()>& waiting) {
  constexpr useconds_t kBetweenTries = 100'000;
  for (;;) {
    const File::Lock locked = file.try_lock();
    if (locked != File::Lock::taken) return locked == File::Lock::ours;
    if (waiting) waiting();
    usleep(kBetweenTries);
  }
}

}  // namespace

PartialCache::PartialCache(const fs::path& target, const std::function<void()>& waiting,
                           const std::function<void(const std::string&)>& warn)
    : target_(target),
      pixels_path_(hidden_sibling(target, "partial")),
      journal_path_(hidden_sibling(target, "journal")) {
  bool locked = false;
  do {  // again if the process that held it has finished and removed it
    journal_ = File(journal_path_, File::Mode::update, kOtherFolder);
    locked = lock(journal_, waiting);
  } while (!journal_.is_at(journal_path_, true));
  if (!locked && warn)
    warn(cat(journal_path_.string(),
             " cannot be locked: nothing will keep a second process from decoding into ",
             target.parent_path().string(), " at the same time, so do not start one"));
  worth_keeping_ = journal_.size() > kHeaderBytes;
}

PartialCache::~PartialCache() {
  if (!worth_keeping_) discard();
}

std::vector<CacheChunk> PartialCache::resume(uint64_t key, size_t image_bytes, int threads,
                                             std::vector<uint64_t>& hashes) {
  pixels_ = File(pixels_path_, File::Mode::update, kOtherFolder);
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
  pixels_.truncate(pixel_bytes_, kOtherFolder);
  // The same bytes again, or a new key: a kill in between leaves a journal that is valid up to some record.
  journal_.truncate(journal_bytes_, kOtherFolder);
  journal_.write_at(0, journal.bytes.data(), journal.bytes.size(), kMakeRoom);
  return chunks;
}

void PartialCache::check_room(uint64_t bytes) const {
  const fs::path folder = target_.parent_path();
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (!error && space.available < bytes)
    fail_advising(cat(folder.string(), ": decoded pictures need ", bytes >> 20, " MiB more, and ",
                      space.available >> 20, " MiB are free"),
                  {"a smaller {size}", "another {cache} folder"});
}

void PartialCache::append(const CacheChunk& chunk, const uint8_t* pixels, size_t bytes) {
  pixels_.write_at(pixel_bytes_, pixels, bytes, kMakeRoom);
  pixels_.begin_sync(pixel_bytes_, bytes);  // finish() would have to wait for all that is left
  const std::vector<uint8_t> record = record_of(chunk);
  journal_.write_at(journal_bytes_, record.data(), record.size(), kMakeRoom);
  pixel_bytes_ += bytes;
  journal_bytes_ += record.size();
  worth_keeping_ = true;
}

void PartialCache::finish(const std::vector<uint8_t>& ending) {
  pixels_.write_at(pixel_bytes_, ending.data(), ending.size(), kMakeRoom);
  pixels_.sync("");
  std::error_code error;
  fs::rename(pixels_path_, target_, error);
  if (error) fail(cat(target_.string(), ": cannot put the finished file in place: ", error.message()));
  io::sync_path(target_.parent_path());
  discard();
}

void PartialCache::discard() {
  std::error_code ignored;
  fs::remove(pixels_path_, ignored);
  fs::remove(journal_path_, ignored);  // last: without the journal the partial file is not looked for
  worth_keeping_ = true;               // from here on the files may be those of another process
}

void remove_partial(const fs::path& target) {
  const fs::path journal = hidden_sibling(target, "journal");
  const File file = File::try_open(journal, File::Mode::existing);
  if (!file.is_open() || file.try_lock() != File::Lock::ours || !file.is_at(journal, true)) return;
  std::error_code ignored;
  fs::remove(hidden_sibling(target, "partial"), ignored);
  fs::remove(journal, ignored);
}

}  // namespace ito::data
