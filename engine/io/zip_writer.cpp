#include "engine/io/inflate.h"
#include "engine/io/zip.h"
#include "engine/io/zip_format.h"
#include "kernels/base/byte_order.h"
#include "kernels/base/error.h"

namespace ito::io {
namespace {

using namespace zip;

class Record {
 public:
  Record& put(uint64_t number, int bytes) {
    text += little_endian(number, size_t(bytes));
    return *this;
  }
  Record& put(std::string_view bytes) {
    text += bytes;
    return *this;
  }

  std::string text;
};

uint32_t narrow(uint64_t number) { return number < kMost32 ? uint32_t(number) : kMost32; }

/// The zip64 field of those of the numbers that have no room in a header of 32 bits; empty where all have.
std::string extra64(std::initializer_list<uint64_t> numbers) {
  Record body;
  for (const uint64_t number : numbers)
    if (number >= kMost32) body.put(number, 8);
  if (body.text.empty()) return "";
  return Record().put(kExtra64, 2).put(body.text.size(), 2).put(body.text).text;
}

bool is_ascii(std::string_view name) {
  for (const char c : name)
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  return true;
}

/// Version, flags, method, time, date, checksum, lengths: the same in both headers.
void put_common(Record& record, const ZipEntry& entry, bool wide) {
  constexpr int kUtf8 = 1 << 11, kFirstDay = 1 << 5 | 1;  // 1980-01-01
  record.put(wide ? 45 : 20, 2).put(is_ascii(entry.name) ? 0 : kUtf8, 2).put(entry.method, 2);
  record.put(0, 2).put(kFirstDay, 2).put(entry.checksum, 4);
}

std::string local_header(const ZipEntry& entry) {
  // A local zip64 field always has both lengths.
  const bool wide = entry.bytes >= kMost32 || entry.packed_bytes >= kMost32;
  const std::string extra =
      wide ? Record().put(kExtra64, 2).put(16, 2).put(entry.bytes, 8).put(entry.packed_bytes, 8).text : "";
  Record record;
  record.put(kLocalHeader, 4);
  put_common(record, entry, wide);
  record.put(wide ? kMost32 : entry.packed_bytes, 4).put(wide ? kMost32 : entry.bytes, 4);
  return record.put(entry.name.size(), 2).put(extra.size(), 2).put(entry.name).put(extra).text;
}

std::string directory_header(const ZipEntry& entry) {
  const std::string extra = extra64({entry.bytes, entry.packed_bytes, entry.begin});
  Record record;
  record.put(kDirectoryHeader, 4).put(extra.empty() ? 20 : 45, 2);
  put_common(record, entry, !extra.empty());
  record.put(narrow(entry.packed_bytes), 4).put(narrow(entry.bytes), 4);
  record.put(entry.name.size(), 2).put(extra.size(), 2);
  record.put(0, 2).put(0, 2).put(0, 2).put(0, 4);  // comment, disk, attributes
  return record.put(narrow(entry.begin), 4).put(entry.name).put(extra).text;
}

/// The end records of a directory of `count` entries that was written from `begin` to `end`.
std::string end_records(uint64_t count, uint64_t begin, uint64_t end) {
  Record record;
  const uint64_t bytes = end - begin;
  if (count >= kMost16 || begin >= kMost32 || bytes >= kMost32) {
    record.put(kEnd64, 4).put(kEnd64Bytes - 12, 8).put(45, 2).put(45, 2).put(0, 4).put(0, 4);
    record.put(count, 8).put(count, 8).put(bytes, 8).put(begin, 8);
    record.put(kLocator64, 4).put(0, 4).put(end, 8).put(1, 4);
  }
  const uint64_t short_count = count < kMost16 ? count : kMost16;
  record.put(kEnd, 4).put(0, 2).put(0, 2).put(short_count, 2).put(short_count, 2);
  return record.put(narrow(bytes), 4).put(narrow(begin), 4).put(0, 2).text;
}

}  // namespace

ZipWriter::ZipWriter(const std::filesystem::path& path) : path_(path), file_(path) {}

void ZipWriter::write(std::string_view bytes) {
  file_.write(bytes.data(), bytes.size());
  written_ += bytes.size();
}

void ZipWriter::add(const std::string& name, const void* data, uint64_t bytes, Packing packing) {
  const std::string complaint = complaint_about(name);
  if (!complaint.empty()) fail(cat(path_.string(), ": entry '", name, "' ", complaint));
  if (!names_.insert(name).second) fail(cat(path_.string(), ": there is an entry '", name, "' already"));
  std::string_view content(static_cast<const char*>(data), bytes);
  ZipEntry entry;
  entry.name = name;
  entry.bytes = bytes;
  entry.checksum = crc32(data, bytes);
  std::vector<uint8_t> packed;
  if (packing == Packing::deflated) {
    packed = deflate_all(content);
    content = {reinterpret_cast<const char*>(packed.data()), packed.size()};
    entry.method = kDeflated;
  }
  entry.packed_bytes = content.size();
  entry.begin = written_;
  write(local_header(entry));
  write(content);
  entry.end = written_;
  entries_.push_back(std::move(entry));
}

void ZipWriter::commit() {
  const uint64_t begin = written_;
  for (const ZipEntry& entry : entries_) write(directory_header(entry));
  write(end_records(entries_.size(), begin, written_));
  file_.commit();
}

}  // namespace ito::io
