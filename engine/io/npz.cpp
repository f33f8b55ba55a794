#include "engine/io/npz.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "engine/io/mapped_file.h"
#include "engine/io/printable.h"
#include "kernels/base/error.h"

namespace ito::io {
namespace {

constexpr std::string_view kEnding = ".npy";
constexpr uint64_t kMostHeader = 1 << 16;  // NumPy itself reads 10,000 bytes

bool ends_as_array(std::string_view name) {
  return name.size() > kEnding.size() && name.substr(name.size() - kEnding.size()) == kEnding;
}

/// Returns the path. Error: the file is one array instead of an archive of them.
const std::filesystem::path& check_kind(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (bytes.substr(0, 6) == std::string_view("\x93NUMPY", 6))
    fail(cat(path.string(), ": one array (.npy), not an archive of several; write it with numpy.savez"));
  return path;
}

/// f(), with the place before the message of its errors.
template <class F>
auto at_place(const std::string& place, F&& f) {
  try {
    return f();
  } catch (const Error& error) {
    error.rethrow_at(place);
  }
}

NpyHeader read_header(ZipStream& stream, const std::string& place) {
  const uint64_t size = stream.left();
  std::string start(std::min(kNpyPrefix, size), '\0');
  stream.read(start.data(), start.size());
  const uint64_t begin = at_place(place, [&] { return find_npy_data(start, size); });
  if (begin > kMostHeader)
    fail(cat(place, ": says its header has ", begin, " bytes; at most ", kMostHeader, " are read"));
  if (const size_t have = start.size(); begin > have) {
    start.resize(begin);
    stream.read(start.data() + have, begin - have);
  }
  return at_place(place, [&] { return parse_npy_header(start, size); });
}

}  // namespace

NpzStream::NpzStream(ZipStream stream, const std::string& place)
    : stream_(std::move(stream)), header_(read_header(stream_, place)) {}

NpzReader::NpzReader(const std::filesystem::path& path) : zip_(check_kind(path)) {
  for (const ZipEntry& entry : zip_.entries())
    if (ends_as_array(entry.name)) names_.push_back(entry.name.substr(0, entry.name.size() - kEnding.size()));
}

bool NpzReader::has(const std::string& name) const { return zip_.find(cat(name, kEnding)) != nullptr; }

NpzStream NpzReader::open(const std::string& name) const {
  const ZipEntry* entry = zip_.find(cat(name, kEnding));
  if (!entry) {
    std::string known;
    for (const std::string& other : names_) known += (known.empty() ? "" : ", ") + printable(other);
    fail(cat(zip_.name(), ": has no array '", printable(name), "'; it has ",
             known.empty() ? "none" : printable(known)));
  }
  return NpzStream(ZipStream(zip_, *entry), zip_.place(*entry));
}

NpyArray NpzReader::array(const std::string& name, uint64_t max_bytes) const {
  NpzStream stream = open(name);
  const NpyHeader& header = stream.header();
  if (header.bytes > max_bytes)
    fail(cat(zip_.name(), "/", printable(name), ".npy: has ", header.bytes, " bytes; at most ", max_bytes,
             " are read"));
  NpyArray array{header.type, header.shape, std::vector<std::byte>(header.bytes)};
  stream.read(array.bytes.data(), array.bytes.size());
  return array;
}

NpzWriter::NpzWriter(const std::filesystem::path& path, Packing packing)
    : path_(path), packing_(packing), zip_(path) {}

void NpzWriter::add(const std::string& name, ElementType type, const std::vector<int64_t>& shape,
                    const void* data) {
  std::string whole =
      at_place(cat(path_.string(), ": '", name, "'"), [&] { return npy_header(type, shape); });
  whole.append(static_cast<const char*>(data), *bytes_of(type, shape));
  const bool packed = packing_ == Packing::deflated;
  zip_.add(cat(name, kEnding), whole.data(), whole.size(),
           packed ? ZipWriter::Packing::deflated : ZipWriter::Packing::stored);
}

}  // namespace ito::io
