#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// The texts that a PNG carries besides its pixels: pairs of keyword and text, in UTF-8.
namespace ito::data {

using PngTexts = std::vector<std::pair<std::string, std::string>>;

/// A PNG's bytes with texts after its header. ASCII goes into a tEXt chunk, anything else into iTXt, uncompressed;
/// bytes that are not UTF-8 become %E9, control characters '?', and 200 bytes of a text are kept. The same texts give
/// the same bytes.
std::vector<uint8_t> with_texts(const std::vector<uint8_t>& png, const PngTexts& texts);

/// The texts of a PNG (tEXt and iTXt), in order: at most kMostTexts, of each the first 200 bytes, without
/// control characters. Compressed ones (zTXt, iTXt) are only mentioned; nothing is unpacked. Damaged ones
/// are skipped, and nothing after a broken chunk is read.
PngTexts png_texts(const uint8_t* png, size_t size);
inline constexpr size_t kMostTexts = 64;

}  // namespace ito::data
