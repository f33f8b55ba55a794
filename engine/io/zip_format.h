#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// What the reader and the writer of zip archives share. Private to engine/io.
namespace ito::io::zip {

constexpr uint32_t kLocalHeader = 0x04034b50, kDirectoryHeader = 0x02014b50, kEnd = 0x06054b50,
                   kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
/// Bytes of each without names, extra fields and comment.
constexpr uint64_t kLocalBytes = 30, kDirectoryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56,
                   kLocator64Bytes = 20;
constexpr uint16_t kExtra64 = 1;  // the extra field with the numbers that do not fit
constexpr uint16_t kMost16 = 0xffff;
constexpr uint32_t kMost32 = 0xffffffff;  // in a field: the number is in the zip64 field
constexpr uint16_t kStored = 0, kDeflated = 8;

/// What is wrong with an entry's name: nothing ("") unless it would lead out of the folder it is unpacked in.
std::string complaint_about(std::string_view name);

}  // namespace ito::io::zip
