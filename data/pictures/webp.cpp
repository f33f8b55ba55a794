#include <webp/decode.h>

#include <cstddef>

#include "data/pictures/codecs.h"
#include "kernels/base/error.h"

/// WebP by libwebp: lossy and lossless, with transparency.
namespace ito::data {
namespace {

/// Counts the picture, and four more bytes a pixel, which a lossless or transparent one takes while it is decoded.
constexpr int64_t kMostBytes = int64_t(400) << 20, kBytesPerPixel = 3 + 4;

const char* reason_of(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return "out of memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "it uses a feature that libwebp does not know";
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return "it breaks off";
    default:
      return "its data is damaged";
  }
}

void check_status(VP8StatusCode status, const std::string& name) {
  if (status != VP8_STATUS_OK) fail(cat(name, ": unreadable WebP: ", reason_of(status)));
}

WebPBitstreamFeatures open_webp(const uint8_t* bytes, size_t size, const std::string& name) {
  WebPBitstreamFeatures features;
  check_status(WebPGetFeatures(bytes, size, &features), name);
  if (features.has_animation)
    fail(cat(name, ": an animated WebP; save one picture of it as a file of its own"));
  check_image_size(features.width, features.height, name);
  const int64_t needed = int64_t(features.width) * features.height * kBytesPerPixel;
  if (needed > kMostBytes) {
    fail(cat(name, ": a WebP of ", features.width, "x", features.height, " pixels takes ", needed >> 20,
             " MiB to decode; at most ", kMostBytes >> 20, " are used: save it smaller"));
  }
  return features;
}

/// Decodes into `pixels`, 3 or 4 bytes each.
void decode_into(std::vector<uint8_t>& pixels, int channels, const uint8_t* bytes, size_t size,
                 const std::string& name) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) fail("libwebp is of another version than its header");
  check_status(WebPGetFeatures(bytes, size, &config.input), name);
  config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {pixels.data(), config.input.width * channels, pixels.size()};
  check_status(WebPDecode(bytes, size, &config), name);
}

}  // namespace

ImageSize webp_size(const uint8_t* bytes, size_t size, const std::string& name) {
  const WebPBitstreamFeatures features = open_webp(bytes, size, name);
  return {features.width, features.height};
}

Image decode_webp(const uint8_t* bytes, size_t size, const std::string& name) {
  const WebPBitstreamFeatures features = open_webp(bytes, size, name);
  Image image(features.width, features.height);
  if (!features.has_alpha) {
    decode_into(image.rgb, 3, bytes, size, name);
    return image;
  }
  std::vector<uint8_t> rgba(image.rgb.size() / 3 * 4);
  decode_into(rgba, 4, bytes, size, name);
  for (size_t i = 0; i < rgba.size() / 4; ++i)
    for (size_t c = 0; c < 3; ++c) image.rgb[3 * i + c] = over_white(rgba[4 * i + c], rgba[4 * i + 3]);
  return image;
}

}  // namespace ito::data
