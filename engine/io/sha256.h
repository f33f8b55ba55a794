#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace ito::io {

/// SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits, by which published files of weights are identified.
std::string sha256_hex(std::span<const std::byte> bytes);
/// The hash of a file's bytes. Error: missing or unreadable.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace ito::io
