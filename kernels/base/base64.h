#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ito {

/// The bytes in base64 (RFC 4648, section 4), padded.
std::string base64(const std::vector<uint8_t>& bytes);

}  // namespace ito
