#include <cstring>
#include <fstream>

#include "data/cache/partial_cache.h"
#include "fuzz_target.h"
#include "kernels/base/hash.h"
#include "tests/helpers.h"

namespace {

using namespace ito;
namespace fs = std::filesystem;

constexpr size_t kImageBytes = 6;

void write(const fs::path& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// Goes on with a cache of four images that an interrupted process left with this journal.
void resume(std::string_view journal) {
  static const tests::TempFolder folder(tests::memory_folder());  // gone with the process
  const fs::path target = folder.path() / "a.images";
  write(data::hidden_sibling(target, "journal"), journal);
  write(data::hidden_sibling(target, "partial"), std::string(4 * kImageBytes, 'a'));
  uint64_t key = 0;
  std::memcpy(&key, journal.data(), std::min(journal.size(), sizeof key));
  fuzz::only_errors([&] {
    data::PartialCache cache(target);
    std::vector<uint64_t> hashes;
    uint64_t kept = 0;
    for (const data::CacheChunk& chunk : cache.resume(key, kImageBytes, 1, hashes)) kept += chunk.kept();
    fuzz::expect(kept == hashes.size() && kept <= 4, "what is kept is there");
    cache.discard();
  });
}

/// The same with right checksums: after the key, each record is its body's hash, length and bytes.
std::string with_checksums(std::string journal) {
  for (size_t at = 8; at + 16 <= journal.size();) {
    uint64_t size = 0;
    std::memcpy(&size, journal.data() + at + 8, sizeof size);
    if (size > journal.size() - at - 16) break;
    const uint64_t hash = Hash().add(journal.data() + at + 16, size).value();
    std::memcpy(journal.data() + at, &hash, sizeof hash);
    at += 16 + size;
  }
  return journal;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string journal(fuzz::text_of(bytes, size));
  resume(journal);
  resume(with_checksums(journal));
  return 0;
}
