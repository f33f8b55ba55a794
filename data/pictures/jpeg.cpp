// jpeglib.h uses what the first two declare, and jerror.h what jpeglib.h does.
// clang-format off
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <algorithm>
#include <csetjmp>
#include <cstdlib>

#include "data/pictures/codecs.h"
#include "kernels/base/error.h"

/// libjpeg reports errors by a callback that must not return. Between setjmp and a longjmp back to it no
/// frame of this file holds an object with a destructor: the functions that set a jump point are plain C in
/// spirit.
namespace ito::data {
namespace {

/// What decoding may take besides the file, so that a few bytes cannot exhaust memory. Only a JPEG in several scans
/// needs more than the picture: all its coefficients at once.
constexpr int64_t kMaxDecodeBytes = int64_t(384) << 20;
/// Each scan goes over the whole picture, however few bytes it has. Encoders write about ten.
constexpr int kMaxScans = 100;

struct JpegErrors {
  jpeg_error_mgr manager;  // first: libjpeg knows only this part
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

void escape_with_message(j_common_ptr info) {
  JpegErrors* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->escape, 1);
}

/// libjpeg goes on after damage and fills the rest with grey; for training such a picture is unreadable. A
/// few warnings (stray bytes between markers, odd version numbers) leave the pixels whole.
void escape_on_damage(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace message
  switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
      return;
    default:
      escape_with_message(info);
  }
}

jpeg_error_mgr* install(JpegErrors& errors) {
  jpeg_error_mgr* manager = jpeg_std_error(&errors.manager);
  manager->error_exit = escape_with_message;
  manager->emit_message = escape_on_damage;
  errors.message[0] = 0;
  return manager;
}

/// Called between rows of blocks while scans are gathered.
void escape_after_many_scans(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  JpegErrors* errors = reinterpret_cast<JpegErrors*>(info->err);
  std::snprintf(errors->message, sizeof errors->message, "it has more than %d scans", kMaxScans);
  std::longjmp(errors->escape, 1);
}

struct Decoder {
  jpeg_decompress_struct info{};
  JpegErrors errors;
  jpeg_progress_mgr progress{};
  Decoder() {
    info.err = install(errors);
    progress.progress_monitor = escape_after_many_scans;
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

bool read_header(Decoder& decoder, const uint8_t* bytes, size_t size) {
  if (setjmp(decoder.errors.escape)) return false;
  jpeg_create_decompress(&decoder.info);
  jpeg_mem_src(&decoder.info, bytes, static_cast<unsigned long>(size));
  jpeg_read_header(&decoder.info, TRUE);
  decoder.info.progress = &decoder.progress;
  return true;
}

/// CMYK, as Adobe's programs store it (255: no ink), to RGB over white, rounded as PIL does.
void cmyk_to_rgb(const uint8_t* cmyk, uint8_t* rgb, size_t pixels) {
  for (size_t i = 0; i < pixels; ++i, cmyk += 4, rgb += 3) {
    const int paper = cmyk[3];  // what the black ink leaves
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[c]) * paper + 128;
      rgb[c] = uint8_t(paper - ((product + (product >> 8)) >> 8));
    }
  }
}

/// Begins to decode columns from `left` on. libjpeg begins at the edge of a block, which `left` is set to.
bool start(Decoder& decoder, JDIMENSION& left, JDIMENSION width) {
  if (setjmp(decoder.errors.escape)) return false;
  jpeg_decompress_struct& info = decoder.info;
  info.out_color_space = info.num_components == 4 ? JCS_CMYK : JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  info.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&info);
  if (width < info.output_width) jpeg_crop_scanline(&info, &left, &width);
  return true;
}

/// Writes rows `top` to `bottom` to `rgb`. The rows below are skipped, except for the last one and the end-of-image
/// marker, so that damage is found wherever it is. `spare` has room for a row of four colours.
bool read_rows(Decoder& decoder, JDIMENSION top, JDIMENSION bottom, uint8_t* rgb, uint8_t* spare) {
  if (setjmp(decoder.errors.escape)) return false;
  jpeg_decompress_struct& info = decoder.info;
  const bool cmyk = info.out_color_space == JCS_CMYK;
  if (top > 0) jpeg_skip_scanlines(&info, top);
  while (info.output_scanline < bottom) {
    uint8_t* const to = rgb + size_t(info.output_scanline - top) * info.output_width * 3;
    JSAMPROW row = cmyk ? spare : to;
    jpeg_read_scanlines(&info, &row, 1);
    if (cmyk) cmyk_to_rgb(spare, to, info.output_width);
  }
  if (bottom + 1 < info.output_height) jpeg_skip_scanlines(&info, info.output_height - 1 - bottom);
  if (bottom < info.output_height) jpeg_read_scanlines(&info, &spare, 1);
  jpeg_finish_decompress(&info);
  return true;
}

/// Error if a picture would take too much memory, or has more pixels than its bytes can hold: unless it is coded
/// arithmetically, each block of 8x8 pixels takes at least one bit.
void check_cost(Decoder& decoder, size_t size, const std::string& name) {
  const jpeg_decompress_struct& info = decoder.info;
  const int64_t pixels = int64_t(info.image_width) * info.image_height;
  if (!info.arith_code && pixels / 512 > int64_t(size)) {
    fail(cat(name, ": unreadable JPEG: its ", size, " bytes cannot be ", info.image_width, "x",
             info.image_height, " pixels"));
  }
  if (!jpeg_has_multiple_scans(&decoder.info)) return;
  int64_t blocks = 0;
  for (int c = 0; c < info.num_components; ++c) {
    const jpeg_component_info& part = info.comp_info[c];
    blocks += int64_t(part.width_in_blocks) * part.height_in_blocks;
  }
  const int64_t bytes = blocks * int64_t(sizeof(JBLOCK)) + pixels * 3;
  if (bytes > kMaxDecodeBytes) {
    fail(cat(name, ": a JPEG in several scans (progressive) of ", info.image_width, "x", info.image_height,
             " pixels takes ", bytes >> 20, " MiB to decode; at most ", kMaxDecodeBytes >> 20,
             " are used: save it as a baseline JPEG or smaller"));
  }
}

void open_jpeg(Decoder& decoder, const uint8_t* bytes, size_t size, const std::string& name) {
  if (!read_header(decoder, bytes, size)) fail(cat(name, ": unreadable JPEG: ", decoder.errors.message));
  check_image_size(decoder.info.image_width, decoder.info.image_height, name);
  const int components = decoder.info.num_components;
  if (components == 2 || components > 4) {
    fail(cat(name, ": a JPEG of ", components, " colour components; convert it to RGB"));
  }
}

struct Encoder {
  jpeg_compress_struct info{};
  JpegErrors errors;
  unsigned char* bytes = nullptr;  // libjpeg's, by malloc
  unsigned long size = 0;
  Encoder() { info.err = install(errors); }
  ~Encoder() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
};

bool write_rows(Encoder& encoder, const Image& image, int quality) {
  if (setjmp(encoder.errors.escape)) return false;
  jpeg_compress_struct& info = encoder.info;
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &encoder.bytes, &encoder.size);
  info.image_width = JDIMENSION(image.width);
  info.image_height = JDIMENSION(image.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);  // YCbCr, 4:2:0
  jpeg_set_quality(&info, quality, TRUE);
  info.dct_method = JDCT_ISLOW;
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(image.pixel(0, int(info.next_scanline)));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  return true;
}

}  // namespace

ImageSize jpeg_size(const uint8_t* bytes, size_t size, const std::string& name) {
  Decoder decoder;
  open_jpeg(decoder, bytes, size, name);
  return {int(decoder.info.image_width), int(decoder.info.image_height)};
}

ImagePart decode_jpeg(const uint8_t* bytes, size_t size, const std::string& name, const ChoosePart& choose) {
  constexpr int kReach = 2;  // pixels: smoothed chroma depends on its neighbours on both sides
  Decoder decoder;
  open_jpeg(decoder, bytes, size, name);
  check_cost(decoder, size, name);
  const jpeg_decompress_struct& info = decoder.info;
  const Rectangle part = choose({int(info.image_width), int(info.image_height)});
  // If a progressive picture lacks scans, libjpeg smooths over several blocks, so that a part decoded alone would
  // differ at its edge.
  const bool whole = info.progressive_mode;
  JDIMENSION left = whole ? 0 : JDIMENSION(std::max(0, part.left - kReach));
  const JDIMENSION right =
      whole ? info.image_width : std::min(info.image_width, JDIMENSION(part.left + part.width + kReach));
  const JDIMENSION top = whole ? 0 : JDIMENSION(part.top);
  const JDIMENSION bottom = whole ? info.image_height : JDIMENSION(part.top + part.height);
  const auto fail_here = [&] { fail(cat(name, ": unreadable JPEG: ", decoder.errors.message)); };
  if (!start(decoder, left, right - left)) fail_here();
  Image image(int(info.output_width), int(bottom - top));
  std::vector<uint8_t> spare(size_t(info.output_width) * 4);
  if (!read_rows(decoder, top, bottom, image.rgb.data(), spare.data())) fail_here();
  return {std::move(image), {part.left - int(left), part.top - int(top), part.width, part.height}};
}

std::vector<uint8_t> encode_jpeg(const Image& image, int quality) {
  check_image_size(image.width, image.height, "JPEG to write");
  if (quality < 1 || quality > 100) fail(cat("JPEG quality ", quality, " is not in 1..100"));
  Encoder encoder;
  if (!write_rows(encoder, image, quality)) fail(cat("cannot encode a JPEG: ", encoder.errors.message));
  return std::vector<uint8_t>(encoder.bytes, encoder.bytes + encoder.size);
}

}  // namespace ito::data
