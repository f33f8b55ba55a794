#include <zlib.h>

#include <algorithm>
#include <vector>

#include "engine/io/inflate.h"
#include "fuzz_target.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* bytes, size_t size, size_t most);

/// Changes a PNG's chunks, and its pixels before they are packed, and makes the checksums right again: what
/// is behind them would hardly be reached otherwise.
namespace {

constexpr size_t kSignatureBytes = 8, kAround = 12;
constexpr size_t kMostPixelBytes = 1 << 16;

struct Chunk {
  std::string type, content;
};

uint32_t big_endian(std::string_view text, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | uint8_t(text[at + i]);
  return value;
}

std::string big_endian(uint32_t value) {
  return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
}

/// The data's chunks become one.
std::vector<Chunk> split(std::string_view file) {
  std::vector<Chunk> chunks;
  for (size_t at = kSignatureBytes; at + kAround <= file.size();) {
    const size_t length = std::min<size_t>(big_endian(file, at), file.size() - at - kAround);
    const std::string type(file.substr(at + 4, 4)), content(file.substr(at + 8, length));
    const bool goes_on = type == "IDAT" && !chunks.empty() && chunks.back().type == type;
    if (goes_on) {
      chunks.back().content += content;
    } else {
      chunks.push_back({type, content});
    }
    at += length + kAround;
  }
  return chunks;
}

std::string join(const std::vector<Chunk>& chunks) {
  std::string file = "\x89PNG\r\n\x1a\n";
  for (const Chunk& chunk : chunks) {
    const std::string checked = chunk.type + chunk.content;
    const auto* bytes = reinterpret_cast<const uint8_t*>(checked.data());
    file += big_endian(uint32_t(chunk.content.size())) + checked +
            big_endian(ito::io::crc32(bytes, checked.size()));
  }
  return file;
}

void mutate(std::string& text) {
  const size_t size = text.size();
  text.resize(size + 64);
  text.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(text.data()), size, text.size()));
}

void mutate_packed(std::string& content) {
  std::string pixels(kMostPixelBytes, '\0');
  uLongf size = pixels.size();
  uncompress(reinterpret_cast<Bytef*>(pixels.data()), &size, reinterpret_cast<const Bytef*>(content.data()),
             content.size());
  pixels.resize(size);
  mutate(pixels);
  content.resize(compressBound(pixels.size()));
  size = content.size();
  compress2(reinterpret_cast<Bytef*>(content.data()), &size, reinterpret_cast<const Bytef*>(pixels.data()),
            pixels.size(), 1);
  content.resize(size);
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* bytes, size_t size, size_t most, unsigned seed) {
  std::vector<Chunk> chunks = split(ito::fuzz::text_of(bytes, size));
  const unsigned way = seed % 8;
  if (way == 0 || chunks.empty()) return LLVMFuzzerMutate(bytes, size, most);
  Chunk& chunk = chunks[seed / 8 % chunks.size()];
  if (chunk.type == "IDAT" && way < 6) {
    mutate_packed(chunk.content);
  } else if (way == 1) {
    mutate(chunk.type);
    chunk.type.resize(4, 'a');
  } else if (way == 2) {
    chunks.insert(chunks.begin() + std::ptrdiff_t(seed / 8 % chunks.size()), Chunk(chunk));
  } else {
    mutate(chunk.content);
  }
  const std::string file = join(chunks);
  if (file.size() > most) return LLVMFuzzerMutate(bytes, size, most);
  std::copy(file.begin(), file.end(), bytes);
  return file.size();
}
