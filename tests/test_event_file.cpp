#include <doctest/doctest.h>

#include <cstring>

#include "io_helpers.h"
#include "model/training/event_file.h"

/// Event files against the bytes of TensorBoard's own writer, and their parts against published values.
namespace ito::model {
namespace {

using namespace tests;

EventFile::Clock ticking() {
  return [time = 999.5]() mutable { return ++time; };
}

std::string varint(uint64_t value) {
  std::string bytes;
  append_varint(bytes, value);
  return bytes;
}

TEST_CASE("crc32c has the values of RFC 3720, B.4") {
  std::string ascending, descending;
  for (char i = 0; i < 32; ++i) ascending += i, descending += char(31 - i);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
  CHECK(crc32c(ascending) == 0x46DD794Eu);
  CHECK(crc32c(descending) == 0x113FDB5Cu);
  CHECK(crc32c("123456789") == 0xE3069283u);
  CHECK(crc32c("") == 0);
}

TEST_CASE("varints at the corners of their lengths") {
  CHECK(varint(0) == std::string(1, '\0'));
  CHECK(varint(127) == "\x7F");
  CHECK(varint(128) == "\x80\x01");
  CHECK(varint(300) == "\xAC\x02");
  CHECK(varint(16383) == "\xFF\x7F");
  CHECK(varint(16384) == "\x80\x80\x01");
  CHECK(varint(uint64_t(1) << 63) == "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
  CHECK(varint(~uint64_t(0)) == "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01");
}

TEST_CASE("a file has the bytes of TensorBoard's own writer") {
  const TempFolder folder;
  EventFile events(folder / "tensorboard", 300, ticking());
  events.scalars(310, {{"loss/train", 0.25}, {"learning_rate", 2e-4}});
  events.scalars(int64_t(1) << 40, {{"zero", 0}});
  events.image(int64_t(1) << 40, "samples", io::read_file(fixture("events.png")));
  const std::string ours = io::read_file(folder / "tensorboard/events.out.tfevents.0000000001.ito");
  CHECK(ours.size() == 322);
  CHECK((ours == io::read_file(fixture("events.tfevents"))));
}

TEST_CASE("every session has a file of its own, after those that are there") {
  const TempFolder folder;
  put(folder / "events.out.tfevents.0000000041.ito", "");
  put(folder / "notes.txt", "");
  EventFile(folder.path(), 0, ticking()).scalars(5, {});
  EventFile(folder.path(), 7, ticking()).scalars(8, {});
  const std::string first = io::read_file(folder / "events.out.tfevents.0000000042.ito"),
                    second = io::read_file(folder / "events.out.tfevents.0000000043.ito");
  // They differ in the step after the one that the session goes on from, in its CRC, and in the last record.
  const size_t version = 8 + 4 + 9 + 15 + 4, step = version + 8 + 4 + 9 + 1;
  CHECK(first.substr(0, step) == second.substr(0, step));
  CHECK(int(first[step]) == 1);
  CHECK(int(second[step]) == 8);
}

TEST_CASE("what is not a PNG is refused, and a folder that cannot be is named") {
  const TempFolder folder;
  EventFile events(folder.path(), 0, ticking());
  const std::string png = io::read_file(fixture("events.png"));
  for (const std::string& bytes : {std::string(), png.substr(0, 23), std::string("GIF89a") + png.substr(6)})
    CHECK(contains(error_of([&] { events.image(1, "samples", bytes); }), "must be a PNG"));
  put(folder / "file", "");
  CHECK_THROWS_WITH(EventFile(folder / "file", 0, ticking()), doctest::Contains("file"));
}

}  // namespace
}  // namespace ito::model
