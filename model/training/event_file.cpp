#include "model/training/event_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>

#include "kernels/base/byte_order.h"
#include "kernels/base/error.h"

namespace ito::model {

namespace fs = std::filesystem;

namespace {

// Numbers of fields in event.proto and summary.proto.
namespace event_field {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace session_log_field {
constexpr int kStatus = 1, kStart = 1;
}
namespace summary_field {
constexpr int kValue = 1, kTag = 1, kSimpleValue = 2, kImage = 4;
}
namespace image_field {
constexpr int kHeight = 1, kWidth = 2, kColorspace = 3, kEncoded = 4, kRgb = 3;
}

/// Builds a message of protocol buffers, field after field in ascending order, as their own writers do.
struct Message {
  std::string bytes;

  Message& integer(int field, int64_t value) {
    key(field, 0);
    append_varint(bytes, uint64_t(value));
    return *this;
  }
  Message& fixed(int field, double value) {
    key(field, 1);
    bytes += little_endian(std::bit_cast<uint64_t>(value), 8);
    return *this;
  }
  Message& fixed(int field, float value) {
    key(field, 5);
    bytes += little_endian(std::bit_cast<uint32_t>(value), 4);
    return *this;
  }
  Message& text(int field, std::string_view value) {
    key(field, 2);
    append_varint(bytes, value.size());
    bytes += value;
    return *this;
  }

 private:
  void key(int field, int wire_type) { append_varint(bytes, uint64_t(field) << 3 | uint64_t(wire_type)); }
};

/// The CRC as TFRecord stores it: rotated, plus a constant, since a CRC of bytes that contain CRCs is weak.
std::string masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return little_endian(uint32_t((crc >> 15 | crc << 17) + 0xA282EAD8u), 4);
}

std::string tf_record(std::string_view data) {
  const std::string length = little_endian(data.size(), 8);
  return length + masked_crc(length) + std::string(data) + masked_crc(data);
}

/// One more than the newest file's number: readers read a folder's files in the order of their names.
fs::path next_file(const fs::path& folder) {
  fs::create_directories(folder);
  int newest = 0, number = 0;
  for (const auto& entry : fs::directory_iterator(folder))
    if (std::sscanf(entry.path().filename().c_str(), "events.out.tfevents.%d", &number) == 1)
      newest = std::max(newest, number);
  char name[64];
  std::snprintf(name, sizeof name, "events.out.tfevents.%010d.ito", newest + 1);
  return folder / name;
}

}  // namespace

EventFile::EventFile(const fs::path& folder, int64_t step, Clock clock)
    : clock_(std::move(clock)), file_(next_file(folder)) {
  beginning_ = record(0, event_field::kFileVersion, "brain.Event:2");
  // What a killed session wrote about the steps that are now repeated is void; `step` itself is done.
  beginning_ += record(step + 1, event_field::kSessionLog,
                       Message().integer(session_log_field::kStatus, session_log_field::kStart).bytes);
}

void EventFile::scalars(int64_t step, const Scalars& scalars) {
  Message message;
  for (const auto& [tag, value] : scalars)
    message.text(
        summary_field::kValue,
        Message().text(summary_field::kTag, tag).fixed(summary_field::kSimpleValue, float(value)).bytes);
  append(record(step, event_field::kSummary, message.bytes));
}

void EventFile::image(int64_t step, const char* tag, std::string_view png) {
  // Signature, then the first chunk: length, "IHDR", width, height.
  if (png.size() < 24 || png.substr(0, 8) != "\x89PNG\r\n\x1a\n" || png.substr(12, 4) != "IHDR")
    fail("a picture for TensorBoard must be a PNG");
  Message image;
  image.integer(image_field::kHeight, load_big<uint32_t>(png.data() + 20))
      .integer(image_field::kWidth, load_big<uint32_t>(png.data() + 16));
  image.integer(image_field::kColorspace, image_field::kRgb).text(image_field::kEncoded, png);
  const Message value = Message().text(summary_field::kTag, tag).text(summary_field::kImage, image.bytes);
  append(record(step, event_field::kSummary, Message().text(summary_field::kValue, value.bytes).bytes));
}

std::string EventFile::record(int64_t step, int field, std::string_view message) const {
  Message event;
  event.fixed(event_field::kWallTime, clock_());
  if (step) event.integer(event_field::kStep, step);  // a field that is 0 is left out
  return tf_record(event.text(field, message).bytes);
}

void EventFile::append(const std::string& record) {
  file_.append(beginning_ + record);
  beginning_.clear();
}

void append_varint(std::string& bytes, uint64_t value) {
  for (; value >= 128; value >>= 7) bytes += char(value | 128);
  bytes += char(value);
}

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
      t[byte] = byte;
      for (int bit = 0; bit < 8; ++bit) t[byte] = t[byte] >> 1 ^ (t[byte] & 1 ? 0x82F63B78u : 0);
    }
    return t;
  }();
  uint32_t crc = ~0u;
  for (const char byte : bytes) crc = table[(crc ^ uint8_t(byte)) & 255] ^ crc >> 8;
  return ~crc;
}

}  // namespace ito::model
