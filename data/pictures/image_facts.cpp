#include "data/pictures/image_facts.h"

#include <string_view>

#include "data/pictures/file_kind.h"
#include "data/pictures/jpeg_segments.h"
#include "data/pictures/orientation.h"
#include "kernels/base/error.h"

namespace ito::data {
namespace {

/// The header chunk's bits, colour type and interlacing are at fixed places.
std::string png_colours(const uint8_t* bytes, size_t size) {
  if (size < 29) return "";
  const char* names[] = {"grey", "?", "RGB", "palette", "grey with transparency", "?", "RGBA"};
  const int type = bytes[25];
  return cat(type < 7 ? names[type] : "?", " (colour type ", type, "), ", int(bytes[24]), " bits",
             bytes[28] ? ", interlaced" : "");
}

/// Whether a marker starts a frame: SOF0 to SOF15, except for the three in that range that mean something else.
bool is_frame(uint8_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

std::string jpeg_colours(std::string_view jpeg) {
  std::string colours;
  visit_jpeg_segments(jpeg, [&](uint8_t marker, std::string_view content) {
    if (!is_frame(marker) || content.size() < 6) return true;
    const int components = uint8_t(content[5]);
    colours = cat(components, components == 1 ? " component, " : " components, ", int(uint8_t(content[0])),
                  " bits", marker == 0xc2 ? ", progressive" : "");
    return false;
  });
  return colours;
}

}  // namespace

ImageFacts image_facts(const uint8_t* bytes, size_t size, const std::string& name) {
  ImageFacts facts;
  facts.size = read_image_size(bytes, size, name, Orientation::stored);
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const FileKind& kind = kind_of(text.substr(0, kKindBytes), name);
  facts.kind = kind.name;
  const int orientation = exif_orientation(text, kind.format);
  if (orientation >= 1 && orientation <= 8) facts.orientation = orientation;
  facts.upright = turn_of(facts.orientation).size(facts.size);
  if (kind.format == PictureFormat::jpeg) facts.colours = jpeg_colours(text);
  if (kind.format == PictureFormat::png) {
    facts.colours = png_colours(bytes, size);
    facts.texts = png_texts(bytes, size);
  }
  return facts;
}

}  // namespace ito::data
