#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <functional>

#include "data_helpers.h"
#include "descriptors.h"
#include "jpeg_writer.h"

using namespace ito::data;
using namespace ito::tests;

namespace {

/// `count` scans: first all averages, then a frequency of one colour each.
std::vector<jpeg_scan_info> many_scans(int count) {
  std::vector<jpeg_scan_info> scans{{3, {0, 1, 2}, 0, 0, 0, 0}};
  for (int i = 0; i + 1 < count; ++i) scans.push_back({1, {i / 63, 0, 0, 0}, 1 + i % 63, 1 + i % 63, 0, 0});
  return scans;
}

/// The JPEG with another size in its header; the marker is that of its frame.
std::string resized_jpeg(std::string bytes, char frame, int width, int height) {
  const size_t at = bytes.find(std::string("\xff") + frame);
  REQUIRE(at != std::string::npos);
  for (const auto& [offset, side] : {std::pair{5, height}, {7, width}}) {
    bytes[at + size_t(offset)] = char(side >> 8);
    bytes[at + size_t(offset) + 1] = char(side);
  }
  return bytes;
}

std::string big_endian(uint32_t value) {
  return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
}

std::string chunk(const std::string& kind, const std::string& content) {
  const std::string checked = kind + content;
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(checked.data()), uInt(checked.size()));
  return big_endian(uint32_t(content.size())) + checked + big_endian(uint32_t(crc));
}

std::string packed(const std::string& bytes) {
  std::vector<Bytef> out(compressBound(bytes.size()));
  uLongf size = uLongf(out.size());
  compress2(out.data(), &size, reinterpret_cast<const Bytef*>(bytes.data()), uLong(bytes.size()), 9);
  return {out.begin(), out.begin() + std::ptrdiff_t(size)};
}

/// A PNG of these chunks behind its header, which says depth, colour type and the rest in `kind`.
std::string png_of(uint32_t width, uint32_t height, const std::string& kind, const std::string& chunks) {
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", big_endian(width) + big_endian(height) + kind) + chunks +
         chunk("IEND", "");
}

const std::string kRgb8("\x08\x02\x00\x00\x00", 5), kGrey8("\x08\x00\x00\x00\x00", 5),
    kPalette8("\x08\x03\x00\x00\x00", 5), kGrey16("\x10\x00\x00\x00\x00", 5),
    kRgba16("\x10\x06\x00\x00\x00", 5);

/// What f() returns, or its Error's text, run in a process of its own that may take so much more memory.
/// Under AddressSanitizer, which reserves terabytes, without the limit.
std::string in_memory_of(int64_t more, const std::function<std::string()>& f) {
  int channel[2];
  REQUIRE(pipe(channel) == 0);
  const pid_t child = fork();
  if (child == 0) {
#ifndef __SANITIZE_ADDRESS__
    long pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t limit = rlim_t(pages) * rlim_t(sysconf(_SC_PAGESIZE)) + rlim_t(more);
    const rlimit limits{limit, limit};
    setrlimit(RLIMIT_AS, &limits);
#endif
    std::string said;
    try {
      said = f();
    } catch (const std::exception& error) {
      said = error.what();  // std::bad_alloc, too
    }
    const bool told = write(channel[1], said.data(), said.size()) == ssize_t(said.size());
    _exit(told ? 0 : 1);
  }
  close(channel[1]);
  std::string said(4096, '\0');
  const ssize_t got = read(channel[0], said.data(), said.size());
  said.resize(size_t(std::max<ssize_t>(got, 0)));
  close(channel[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  return said;
}

std::string size_or_error(const std::string& bytes) {
  return in_memory_of(64 << 20, [&] {
    const Image image = decode(bytes);
    return std::to_string(image.width) + "x" + std::to_string(image.height);
  });
}

}  // namespace

TEST_CASE("a file for which memory does not suffice is closed") {
#ifdef __SANITIZE_ADDRESS__
  MESSAGE("left out: AddressSanitizer cannot run in little address space, and ends where memory is short");
#else
  const TempFolder folder;
  put(folder / "large", "");
  std::filesystem::resize_file(folder / "large", uint64_t(1) << 30);  // a hole: it takes no room
  CHECK(in_memory_of(64 << 20, [&] {
          const auto before = ito::tests::open_descriptors();
          std::string said = "no error";
          try {
            read_bytes(folder / "large");
          } catch (const std::bad_alloc&) {
            said = "no memory";
          }
          return said + ", " + std::to_string(ito::tests::open_descriptors() - before) + " left open";
        }) == "no memory, 0 left open");
#endif
}

TEST_CASE("a JPEG, PNG or PPM that breaks off at any byte is unreadable") {
  std::vector<std::filesystem::path> files{pil("small.png"), pil("rgba.png"), pil("grey.jpg")};
  for (const auto& entry : std::filesystem::directory_iterator(pil("kinds"))) files.push_back(entry.path());
  for (const std::filesystem::path& file : files) {
    CAPTURE(file.filename());
    const std::string whole = text_of(read_bytes(file));
    CHECK(error_in(whole) == "");
    CHECK(error_in(whole + "bytes after the end") == "");
    CHECK(contains(error_in(""), "empty"));
    for (size_t size = 1; size < whole.size(); ++size) {
      const std::string error = error_in(whole.substr(0, size));
      const bool told = contains(error, "picture: unreadable") || (size < 8 && contains(error, "not a JPEG"));
      if (!told) FAIL_CHECK("cut after ", size, " bytes: '", error, "'");
    }
  }
  const std::string ppm = "P6 2 2 255 abcdefghijkl";
  CHECK(error_in(ppm) == "");
  for (size_t size = 2; size < ppm.size(); ++size)
    CHECK(contains(error_in(ppm.substr(0, size)), "unreadable"));
}

TEST_CASE("damage inside a PNG is found") {
  const std::string whole = text_of(read_bytes(pil("small.png")));
  for (size_t at = 8; at < whole.size(); at += 7) {
    std::string damaged = whole;
    damaged[at] = char(damaged[at] ^ 1);
    CAPTURE(at);
    CHECK(!error_in(damaged).empty());
  }
}

TEST_CASE("damage inside a JPEG is an error or other pixels, never a crash") {
  const std::string whole = text_of(read_bytes(pil("photo.jpg")));
  size_t refused = 0;
  for (size_t at = 2; at < whole.size(); at += 37) {
    std::string damaged = whole;
    damaged[at] = char(damaged[at] ^ 0x5a);
    refused += !error_in(damaged).empty();
  }
  CHECK(refused > 20);
}

TEST_CASE("kinds of JPEG: arithmetic coding is read, 12 bits and lossless are named") {
  const Image image = picture(40, 30, 1);
  const std::string plain = jpeg_of(image, [](jpeg_compress_struct&) {});
  for (const bool progressive : {false, true}) {
    const std::string arithmetic = jpeg_of(image, [&](jpeg_compress_struct& info) {
      if (progressive) jpeg_simple_progression(&info);
      info.arith_code = TRUE;
    });
    CHECK(arithmetic != plain);
    CHECK(largest_difference(decode(arithmetic), decode(plain)) == 0);
  }
  std::string other = plain;
  const size_t frame = plain.find("\xff\xc0");
  REQUIRE(frame != std::string::npos);
  other[frame + 4] = 12;
  CHECK(contains(error_in(other), "picture: unreadable JPEG: Unsupported JPEG data precision 12"));
  other = plain;
  other[frame + 1] = char(0xc3);
  CHECK(contains(error_in(other), "Unsupported JPEG process: SOF type 0xc3"));
  other = plain;  // without the third component, in the frame and in the scan
  other.erase(frame + 16, 3)[frame + 3] = 14, other[frame + 9] = 2;
  const size_t scan = other.find("\xff\xda");
  other.erase(scan + 9, 2)[scan + 3] = 10, other[scan + 4] = 2;
  CHECK(error_in(other) == "picture: a JPEG of 2 colour components; convert it to RGB");
}

TEST_CASE("a JPEG of a hundred scans is read, one of more is not") {
  const Image image = picture(40, 30, 1);
  const auto with_scans = [&](int count) {
    const std::vector<jpeg_scan_info> scans = many_scans(count);
    return jpeg_of(image, [&](jpeg_compress_struct& info) {
      info.scan_info = scans.data(), info.num_scans = int(scans.size());
    });
  };
  CHECK(error_in(with_scans(100)) == "");
  CHECK(error_in(with_scans(101)) == "picture: unreadable JPEG: it has more than 100 scans");
}

TEST_CASE("a part of a JPEG that lacks scans has the whole picture's pixels") {
  const std::vector<jpeg_scan_info> scans = many_scans(4);
  const std::string bytes = jpeg_of(picture(40, 30, 1), [&](jpeg_compress_struct& info) {
    info.scan_info = scans.data(), info.num_scans = int(scans.size());
  });
  const Image whole = decode(bytes);
  for (const Rectangle place : {Rectangle{8, 0, 9, 3}, {17, 9, 6, 11}, {39, 29, 1, 1}}) {
    const ImagePart some = decode_part(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
                                       "picture", [&](ImageSize) { return place; });
    for (int y = 0; y < place.height; ++y) {
      const uint8_t* expected = whole.pixel(place.left, place.top + y);
      CHECK(std::equal(expected, expected + 3 * place.width,
                       some.image.pixel(some.part.left, some.part.top + y)));
    }
  }
}

TEST_CASE("PNGs that contradict themselves say how") {
  const std::string row = chunk("IDAT", packed(std::string(1 + 2, '\0')));
  const auto error = [](const std::string& kind, const std::string& chunks) {
    return error_in(png_of(2, 1, kind, chunks));
  };
  CHECK(error(kGrey8, row) == "");
  CHECK(contains(error(kPalette8, row), "picture: unreadable PNG: Missing PLTE before IDAT"));
  CHECK(contains(error(kPalette8, chunk("PLTE", "ab") + row), "PLTE: invalid"));
  CHECK(contains(error(kPalette8, chunk("PLTE", std::string(769, 'a')) + row), "PLTE: invalid"));
  CHECK(contains(error(kGrey8, chunk("tRNS", "a") + row), "transparent colour (tRNS) has the wrong length"));
  CHECK(contains(error(kGrey8, chunk("CgBI", "abcd") + row), "CgBI: unhandled critical chunk"));
  CHECK(error(kGrey8, chunk("teXt", "abcd") + row) == "");
  CHECK(contains(error(std::string("\x03\x00\x00\x00\x00", 5), row),
                 "unreadable PNG: Invalid bit depth in IHDR"));
  CHECK(contains(error(std::string("\x08\x05\x00\x00\x00", 5), row), "Invalid color type in IHDR"));
  CHECK(contains(error(std::string("\x08\x00\x00\x00\x02", 5), row), "Unknown interlace method in IHDR"));
  CHECK(contains(error(kGrey8, ""), "IEND: out of place"));
  CHECK(contains(error(kGrey8, chunk("IDAT", packed("\x01"))), "its pixels break off"));
  CHECK(contains(error(kGrey8, chunk("IDAT", packed("\x05__"))), "bad adaptive filter value"));
  CHECK(contains(error(kGrey16, row), "its pixels break off"));
  const std::string unended = packed(std::string(3, '\0')).substr(0, 5);
  CHECK(contains(error(kGrey8, chunk("IDAT", unended)), "Not enough compressed data"));
  // An index beyond the palette is black.
  CHECK(
      decode(png_of(2, 1, kPalette8, chunk("PLTE", "abc") + chunk("IDAT", packed(std::string("\0\0\1", 3)))))
          .rgb == std::vector<uint8_t>{'a', 'b', 'c', 0, 0, 0});
}

TEST_CASE("a few bytes that promise a large picture take no memory") {
  const std::string small = chunk("IDAT", packed(std::string(1000, '\0')));
  CHECK(contains(size_or_error("P6 20000 20000 255 "), "20000x20000 pixels; at most 100 million are read"));
  CHECK(contains(size_or_error(png_of(20000, 20000, kRgb8, small)), "20000x20000 pixels; at most 100"));
  const std::string plain = jpeg_of(picture(40, 30, 1), [](jpeg_compress_struct&) {});
  const std::string progressive =
      jpeg_of(picture(40, 30, 1), [](jpeg_compress_struct& info) { jpeg_simple_progression(&info); });
  CHECK(
      contains(size_or_error(resized_jpeg(plain, '\xc0', 20000, 20000)), "20000x20000 pixels; at most 100"));
  CHECK(contains(size_or_error(resized_jpeg(progressive, '\xc2', 20000, 20000)), "at most 100 million"));
  // Within the limit of pixels, but not what so few bytes can hold.
  CHECK(contains(size_or_error("P6 9000 9000 255 "), "17 bytes where its header promises 243000017"));
  CHECK(
      contains(size_or_error(png_of(9000, 9000, kRgb8, small)), "bytes of data cannot be 9000x9000 pixels"));
  CHECK(contains(size_or_error(resized_jpeg(plain, '\xc0', 9000, 9000)), "bytes cannot be 9000x9000 pixels"));
  CHECK(contains(size_or_error(resized_jpeg(progressive, '\xc2', 9000, 9000)), "cannot be 9000x9000"));
  // Padded until they could be: the coefficients of many scans would take more than is allowed.
  const std::string padded = resized_jpeg(progressive, '\xc2', 9000, 9000) + std::string(200'000, ' ');
  CHECK(contains(
      size_or_error(padded),
      "several scans (progressive) of 9000x9000 pixels takes 463 MiB to decode; at most 384 are used"));
  // Rows are held, too: one of eight bytes a pixel.
  const std::string noise = chunk("IDAT", std::string(1 << 20, 'x'));
  CHECK(contains(size_or_error(png_of(100'000'000, 1, kRgba16, noise)),
                 "a row of 100000000 pixels is too long"));
}

TEST_CASE("what a PNG would unpack to beyond its pixels is never unpacked") {
  std::string bomb(size_t(128) << 20, '\0');
  bomb = png_of(1, 1, kGrey8, chunk("IDAT", packed(bomb)));
  CHECK(bomb.size() < (1 << 20));
  CHECK(size_or_error(bomb) == "1x1");
  const std::string text = "Title" + std::string(2, '\0') + packed(std::string(size_t(128) << 20, ' '));
  const std::string long_text = chunk("tEXt", std::string(size_t(9) << 20, ' '));
  const std::string row = chunk("IDAT", packed(std::string(2, '\0')));
  CHECK(size_or_error(png_of(1, 1, kGrey8, chunk("zTXt", text) + long_text + row + long_text)) == "1x1");
}

TEST_CASE("any name, any ending: the bytes tell what a picture is") {
  const TempFolder folder;
  for (const char* name :
       {"mein Bild.png", "Gr\u00fc\u00dfe aus \u6771\u4eac.jpg", " .jpg", "a\nb.ppm", "-rf"}) {
    CAPTURE(name);
    write_png(folder / name, picture(3, 2, 1));
    CHECK(largest_difference(decode_image(folder / name), picture(3, 2, 1)) == 0);
    put(folder / name, "");
    CHECK(error_of([&] { decode_image(folder / name); }) ==
          (folder / name).string() +
              ": not a JPEG, PNG, WebP, PGM or PPM picture: empty file; download again");
  }
}
