#include <algorithm>
#include <numeric>

#include "engine/io/inflate.h"
#include "engine/io/printable.h"
#include "engine/io/web_page.h"
#include "engine/io/zip.h"
#include "engine/io/zip_format.h"
#include "kernels/base/byte_order.h"
#include "kernels/base/error.h"

namespace ito::io {
namespace {

using namespace zip;

constexpr uint64_t kMostExpansion = 1032;  // of deflate: 258 bytes from two bits

/// Little-endian numbers, one after the other. What is not there stops the reading.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}

  std::string_view take(uint64_t bytes) {
    if (bytes > rest_.size()) fail("it breaks off within a header");
    const std::string_view part = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return part;
  }
  uint16_t u16() { return load_little<uint16_t>(take(2).data()); }
  uint32_t u32() { return load_little<uint32_t>(take(4).data()); }
  uint64_t u64() { return load_little<uint64_t>(take(8).data()); }
  uint64_t left() const { return rest_.size(); }

 private:
  std::string_view rest_;
};

/// From `at` to the end; empty beyond it.
std::string_view from(std::string_view bytes, uint64_t at) {
  return bytes.substr(std::min<uint64_t>(at, bytes.size()));
}

bool has_mark(std::string_view bytes, uint64_t at, uint32_t mark) {
  const std::string_view rest = from(bytes, at);
  return rest.size() >= 4 && Fields(rest).u32() == mark;
}

/// Where the central directory is, and how many entries it says that it has.
struct Directory {
  uint64_t begin = 0, bytes = 0, count = 0, count_mask = 0;
  uint64_t end() const { return begin + bytes; }
};

/// The '/' that the format asks for, where a writer on Windows has parted a path by '\\', perhaps not everywhere.
std::string with_slashes(std::string_view stored) {
  std::string name(stored);
  std::replace(name.begin(), name.end(), '\\', '/');
  return name;
}

/// Why there is no end record.
std::string describe_other(std::string_view bytes) {
  if (bytes.empty()) return "the file is empty; download it again";
  if (is_web_page(bytes)) {
    return "an HTML page instead of a zip archive, as Google Drive gives when a file's downloads of the day "
           "are "
           "used up; download the file again tomorrow, or from another place";
  }
  if (has_mark(bytes, 0, kLocalHeader))
    return "the zip archive breaks off: its end is missing; download the file again";
  return "not a zip archive; download the file again, or unpack it and name the folder";
}

/// The end record at `at` says that the directory ends there; with zip64 another record says where.
bool ends_directory(std::string_view bytes, uint64_t at) {
  Fields fields(from(bytes, at + 12));
  const uint64_t length = fields.u32(), begin = fields.u32();
  return begin + length == at || (at >= kLocator64Bytes && has_mark(bytes, at - kLocator64Bytes, kLocator64));
}

/// The end record is followed by its own comment, or by what a copy or a disk has put behind the archive, which
/// then must not look like a record by chance.
uint64_t find_end(std::string_view bytes) {
  if (bytes.size() >= kEndBytes) {
    const uint64_t last = bytes.size() - kEndBytes, first = last - std::min<uint64_t>(last, kMost16);
    for (const bool whole : {true, false}) {
      for (uint64_t at = last + 1; at-- > first;) {
        if (!has_mark(bytes, at, kEnd)) continue;
        const uint64_t comment = Fields(from(bytes, at + kEndBytes - 2)).u16();
        if (comment == last - at || (!whole && comment < last - at && ends_directory(bytes, at))) return at;
      }
    }
  }
  fail(describe_other(bytes));
}

void check_one_part(uint64_t disk, uint64_t directory_disk) {
  if (disk != 0 || directory_disk != 0)
    fail("one part of an archive in several; join them first: zip -s 0 PART.zip -O whole.zip");
}

/// The zip64 end record, which repeats the fields of the older one in full.
Directory find_directory64(std::string_view bytes, uint64_t locator, const Directory& old) {
  Fields where(from(bytes, locator + 4));
  const uint32_t disk = where.u32();
  const uint64_t at = where.u64();
  if (where.u32() > 1) check_one_part(1, disk);
  if (at > locator || locator - at < kEnd64Bytes || !has_mark(bytes, at, kEnd64))
    fail("its zip64 end record is not where it should be; the file is damaged, download it again");
  Fields fields(from(bytes, at + 16));  // after the mark, its own length and two versions
  const uint32_t number = fields.u32();
  check_one_part(number, fields.u32());
  Directory directory;
  const uint64_t here = fields.u64();
  directory.count = fields.u64();
  directory.bytes = fields.u64(), directory.begin = fields.u64();
  directory.count_mask = ~uint64_t(0);
  const bool agrees = here == directory.count && (old.begin == kMost32 || old.begin == directory.begin) &&
                      (old.bytes == kMost32 || old.bytes == directory.bytes) &&
                      (old.count == kMost16 || old.count == (directory.count & kMost16));
  if (!agrees || directory.begin > at || directory.bytes != at - directory.begin)
    fail("its end records contradict each other; the file is damaged, download it again");
  return directory;
}

Directory find_directory(std::string_view bytes) {
  const uint64_t at = find_end(bytes);
  Fields fields(from(bytes, at + 4));
  Directory directory;
  const uint16_t disk = fields.u16(), directory_disk = fields.u16();
  const uint16_t here = fields.u16();
  directory.count = fields.u16();
  directory.bytes = fields.u32(), directory.begin = fields.u32();
  directory.count_mask = kMost16;  // the counter wraps in archives of writers without zip64
  if (at >= kLocator64Bytes && has_mark(bytes, at - kLocator64Bytes, kLocator64))
    return find_directory64(bytes, at - kLocator64Bytes, directory);
  check_one_part(disk, directory_disk);
  if (here != directory.count) check_one_part(1, 1);
  if (directory.begin > at || directory.bytes != at - directory.begin) {
    fail(cat("its directory should be ", directory.bytes, " bytes from byte ", directory.begin,
             " on, and its end record is at byte ", at,
             "; the file is damaged or something was put before it, download it again"));
  }
  return directory;
}

/// The numbers that had no room in a header, in the order of the header's fields.
void read_extra64(std::string_view extra, ZipEntry& entry, uint32_t& disk) {
  for (Fields fields(extra); fields.left() >= 4;) {  // some writers pad
    const uint16_t kind = fields.u16();
    Fields body(fields.take(fields.u16()));
    if (kind != kExtra64) continue;
    for (uint64_t* number : {&entry.bytes, &entry.packed_bytes, &entry.begin})
      if (*number == kMost32) *number = body.u64();
    if (disk == kMost16) disk = body.u32();
    return;
  }
}

std::string method_name(uint16_t method) {
  const char* known = method == 9    ? "Deflate64, "
                      : method == 12 ? "bzip2, "
                      : method == 14 ? "LZMA, "
                      : method == 93 ? "Zstandard, "
                      : method == 95 ? "XZ, "
                                     : "";
  return cat(known, "method ", method);
}

/// All that one entry says of itself has to be possible.
void check_entry(const ZipEntry& entry, uint16_t flags) {
  constexpr uint16_t kEncrypted = 1 << 0 | 1 << 6 | 1 << 13;
  const std::string complaint = complaint_about(entry.name);
  if (!complaint.empty())
    fail(cat("entry '", printable(entry.name), "' ", complaint, "; such an archive is not read"));
  if ((flags & kEncrypted) != 0)
    fail(cat("entry '", printable(entry.name),
             "' is encrypted; unpack the archive with its password and name the folder"));
  if (entry.method != kStored && entry.method != kDeflated) {
    fail(cat("entry '", printable(entry.name), "' is compressed by ", method_name(entry.method),
             ", and only stored and deflated ones are read; unpack the archive and name the folder"));
  }
  const bool possible = entry.method == kStored ? entry.bytes == entry.packed_bytes
                                                : entry.bytes / kMostExpansion <= entry.packed_bytes;
  if (!possible)
    fail(cat("entry '", printable(entry.name), "' claims ", entry.bytes, " bytes, which ", entry.packed_bytes,
             " packed ones cannot hold; the file is damaged, download it again"));
}

ZipEntry read_directory_header(Fields& fields) {
  if (fields.u32() != kDirectoryHeader)
    fail("its directory has something else between its entries; the file is damaged, download it again");
  ZipEntry entry;
  fields.take(4);  // versions
  const uint16_t flags = fields.u16();
  entry.method = fields.u16();
  fields.take(4);  // time and date
  entry.checksum = fields.u32();
  entry.packed_bytes = fields.u32(), entry.bytes = fields.u32();
  const uint16_t name = fields.u16(), extra = fields.u16(), comment = fields.u16();
  uint32_t disk = fields.u16();
  fields.take(6);  // attributes
  entry.begin = fields.u32();
  entry.name = with_slashes(fields.take(name));
  read_extra64(fields.take(extra), entry, disk);
  fields.take(comment);
  check_one_part(disk, 0);
  check_entry(entry, flags);
  return entry;
}

}  // namespace

ZipReader::ZipReader(const std::filesystem::path& path)
    : name_(path.string()), file_(std::make_unique<MappedFile>(path)) {
  bytes_ = {reinterpret_cast<const char*>(file_->data()), file_->size()};
  open();
}

ZipReader::ZipReader(std::string_view bytes, std::string name) : name_(std::move(name)), bytes_(bytes) {
  open();
}

void ZipReader::fail_archive(const std::string& what) const { fail(cat(name_, ": ", what)); }

void ZipReader::open() {
  try {
    const Directory directory = find_directory(bytes_);
    for (Fields fields(bytes_.substr(directory.begin, directory.bytes)); fields.left() > 0;)
      entries_.push_back(read_directory_header(fields));
    if ((entries_.size() & directory.count_mask) != directory.count)
      fail(cat("its directory has ", entries_.size(), " entries, and its end record says ", directory.count,
               "; the file is damaged, download it again"));
    check_layout(directory.begin);
  } catch (const Error& error) {
    fail_archive(error.what());
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (!index_.emplace(entries_[i].name, i).second)
      fail_archive(
          cat("two entries are called '", printable(entries_[i].name), "'; such an archive is not read"));
  }
}

/// Gives every entry the bytes up to the next one, and refuses those that would need more: archives that
/// unpack the same bytes many times over are made so.
void ZipReader::check_layout(uint64_t directory) {
  std::vector<size_t> order(entries_.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return entries_[a].begin < entries_[b].begin; });
  for (size_t k = 0; k < order.size(); ++k) {
    ZipEntry& entry = entries_[order[k]];
    entry.end = k + 1 < order.size() ? std::min(entries_[order[k + 1]].begin, directory) : directory;
    const uint64_t header = kLocalBytes + entry.name.size();
    const uint64_t room = entry.end - std::min(entry.begin, entry.end);
    if (room < header || room - header < entry.packed_bytes)
      fail(cat("entry '", printable(entry.name), "' claims ", entry.packed_bytes, " bytes from byte ",
               entry.begin, " on, where the archive has fewer; the file is damaged, download it again"));
  }
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

std::string ZipReader::place(const ZipEntry& entry) const { return cat(name_, "/", printable(entry.name)); }

/// Lengths come from the directory: local headers may leave them to a record after the data.
std::string_view ZipReader::locate(const ZipEntry& entry) const {
  Fields fields(bytes_.substr(entry.begin, entry.end - entry.begin));
  const bool marked = fields.u32() == kLocalHeader;
  fields.take(4);  // version, flags
  const uint16_t method = fields.u16();
  fields.take(16);  // time, date, checksum, lengths
  const uint16_t name = fields.u16(), extra = fields.u16();
  if (!marked || method != entry.method || with_slashes(fields.take(name)) != entry.name)
    fail("its header is not the directory's");
  fields.take(extra);
  return fields.take(entry.packed_bytes);
}

std::string_view ZipReader::packed(const ZipEntry& entry) const {
  try {
    return locate(entry);
  } catch (const Error& error) {
    fail(cat(place(entry), ": ", error.what()));
  }
}

std::vector<uint8_t> ZipReader::read(const ZipEntry& entry, uint64_t max_bytes) const {
  try {
    if (entry.bytes > max_bytes) fail(cat("has ", entry.bytes, " bytes; at most ", max_bytes, " are read"));
    const std::string_view data = locate(entry);
    std::vector<uint8_t> bytes(entry.bytes);
    if (entry.method == kStored)
      std::copy(data.begin(), data.end(), bytes.begin());
    else if (!inflate_all(data, bytes.data(), bytes.size()))
      fail("its compressed data is damaged");
    if (crc32(bytes.data(), bytes.size()) != entry.checksum) fail("its checksum is wrong");
    return bytes;
  } catch (const Error& error) {
    fail(cat(place(entry), ": ", error.what()));
  }
}

}  // namespace ito::io
