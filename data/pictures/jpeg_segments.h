#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/base/byte_order.h"

namespace ito::data {

/// Calls visit(marker, content) for each segment of a JPEG before its picture's data (ITU-T T.81, B.1.1), until it
/// returns false. If a segment is cut off, its content is what is left of it.
template <class Visit>
void visit_jpeg_segments(std::string_view file, const Visit& visit) {
  constexpr uint8_t kFill = 0xff, kScan = 0xda, kEnd = 0xd9;
  for (size_t at = 2; at + 4 <= file.size() && file[at] == '\xff';) {
    const auto marker = uint8_t(file[at + 1]);
    if (marker == kFill) {
      ++at;
      continue;
    }
    const size_t length = load_big<uint16_t>(file.data() + at + 2);
    if (marker == kScan || marker == kEnd || length < 2) return;
    if (!visit(marker, file.substr(at + 4, length - 2))) return;
    at += 2 + length;
  }
}

}  // namespace ito::data
