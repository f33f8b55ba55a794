#include <doctest/doctest.h>

#include <fstream>
#include <functional>
#include <thread>

#include "engine/io/zip.h"
#include "io_helpers.h"

using namespace ito::io;
using namespace ito::tests;
namespace fs = std::filesystem;

namespace {

using Packing = ZipWriter::Packing;

std::string read_text(const ZipReader& zip, const std::string& name) {
  const ZipEntry* entry = zip.find(name);
  REQUIRE(entry != nullptr);
  return text_of(zip.read(*entry));
}

const std::string kHello = "hello, hello, hello\n";

std::string all_bytes() {
  std::string bytes(256, '\0');
  for (size_t i = 0; i < 256; ++i) bytes[i] = char(i);
  return bytes;
}

/// The bytes of an archive of `add`'s making.
std::string archive(const std::function<void(ZipWriter&)>& add) {
  const TempFolder folder;
  ZipWriter writer(folder / "a.zip");
  add(writer);
  writer.commit();
  return read_file(folder / "a.zip");
}

void put_entry(ZipWriter& writer, const std::string& name, const std::string& text,
               Packing packing = Packing::stored) {
  writer.add(name, text.data(), text.size(), packing);
}

std::string two_entries() {
  return archive([](ZipWriter& w) {
    put_entry(w, "one", kHello);
    put_entry(w, "two", kHello, Packing::deflated);
  });
}

/// Opens the archive and reads all of it.
void read_all(const std::string& bytes) {
  const ZipReader zip(bytes, "x.zip");
  for (const ZipEntry& entry : zip.entries()) zip.read(entry);
}

std::string error_in(const std::string& bytes) {
  return error_of([&] { read_all(bytes); });
}

/// `bytes` with other ones at the `which`-th place where `mark` is, `offset` further.
std::string changed(std::string bytes, const std::string& mark, int which, size_t offset,
                    const std::string& other) {
  size_t at = bytes.find(mark);
  for (; which > 0; --which) at = bytes.find(mark, at + 1);
  REQUIRE(at != std::string::npos);
  return bytes.replace(at + offset, other.size(), other);
}

const std::string kLocal = "PK\x03\x04", kDirectory = "PK\x01\x02", kEnd = "PK\x05\x06";

}  // namespace

TEST_CASE("archives of other writers: stored, deflated, streamed, zip64") {
  for (const char* name : {"stored", "deflated", "streamed", "zip64", "infozip"}) {
    CAPTURE(name);
    const ZipReader zip(fixture(ito::cat("zip_", name, ".zip")));
    CHECK(read_text(zip, "a.txt") == kHello);
    CHECK(read_text(zip, "sub folder/\xc3\xbcml\xc3\xa4ut.bin") == all_bytes());
    CHECK(zip.find("b.txt") == nullptr);
    CHECK(zip.entries()[0].name == "a.txt");
    CHECK(zip.entries()[0].bytes == kHello.size());
  }
}

TEST_CASE("what is written is read, and depends on what was added alone") {
  std::string long_text;
  for (int i = 0; i < 50000; ++i) long_text += std::to_string(i * 7919);
  const auto fill = [&](ZipWriter& w) {
    put_entry(w, "a", "");
    put_entry(w, "b", "", Packing::deflated);
    put_entry(w, "m\xc3\xbctze/drei vier.jpg", all_bytes());
    put_entry(w, "long", long_text, Packing::deflated);
  };
  const std::string bytes = archive(fill);
  CHECK(bytes == archive(fill));
  const ZipReader zip(bytes, "x.zip");
  REQUIRE(zip.entries().size() == 4);
  CHECK(read_text(zip, "a").empty());
  CHECK(read_text(zip, "b").empty());
  CHECK(read_text(zip, "m\xc3\xbctze/drei vier.jpg") == all_bytes());
  CHECK(read_text(zip, "long") == long_text);
  CHECK(zip.find("long")->packed_bytes < long_text.size() * 6 / 10);
  CHECK(zip.place(*zip.find("a")) == "x.zip/a");
  CHECK(ZipReader(archive([](ZipWriter&) {}), "empty.zip").entries().empty());
  std::vector<std::thread> readers;
  std::array<int, 4> right{};
  for (int& count : right)
    readers.emplace_back([&] {
      for (int i = 0; i < 20; ++i) count += text_of(zip.read(*zip.find("long"))) == long_text;
    });
  for (std::thread& reader : readers) reader.join();
  for (const int count : right) CHECK(count == 20);
}

TEST_CASE("more than 65535 entries, with zip64 and with a counter that wrapped") {
  constexpr size_t kCount = 70000;
  const std::string bytes = archive([](ZipWriter& w) {
    for (size_t i = 0; i < kCount; ++i) put_entry(w, std::to_string(i), std::to_string(i * 3));
  });
  const auto check = [&](const std::string& text) {
    const ZipReader zip(text, "x.zip");
    CHECK(zip.entries().size() == kCount);
    CHECK(read_text(zip, "69999") == "209997");
  };
  check(bytes);
  // As a writer without zip64 leaves it: the end record alone, its counter modulo 65536.
  std::string old = bytes;
  old.erase(old.size() - 22 - 20 - 56, 56 + 20);
  const std::string count = {char(kCount & 0xff), char(kCount >> 8 & 0xff)};
  old = changed(old, kEnd, 0, 8, count + count);
  check(old);
  const std::string wrong = {char(kCount & 0xff), char((kCount >> 8 & 0xff) + 1)};
  CHECK(contains(error_in(changed(old, kEnd, 0, 8, wrong + wrong)),
                 "70000 entries, and its end record says 4720"));
}

TEST_CASE("files that are no archive say what they are and what to do") {
  const auto error = [](const std::string& bytes) {
    std::string text = error_of([&] { ZipReader(bytes, "img_align_celeba.zip"); });
    CHECK(contains(text, "img_align_celeba.zip: "));
    return text;
  };
  for (const char* page : {"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title>",
                           "\xef\xbb\xbf\n <HTML>quota"}) {
    CHECK(contains(error(page), "an HTML page instead of a zip archive"));
    CHECK(contains(error(page), "tomorrow"));
  }
  CHECK(contains(error(""), "the file is empty"));
  CHECK(contains(error(std::string(100, 'x')), "not a zip archive"));
  CHECK(contains(error(two_entries().substr(0, 120)), "breaks off: its end is missing"));
  const TempFolder folder;
  CHECK(contains(error_of([&] { ZipReader(folder / "none.zip"); }), "none.zip: cannot open"));
  CHECK(contains(error_of([&] { ZipReader zip(folder.path()); }), "not a regular file"));
}

TEST_CASE("what cannot be read is refused by name, with a way out") {
  const auto error = [](const char* name) { return error_of([&] { ZipReader zip(fixture(name)); }); };
  CHECK(contains(error("zip_encrypted.zip"),
                 "entry 'a.txt' is encrypted; unpack the archive with its password"));
  CHECK(contains(error("zip_lzma.zip"), "entry 'a.txt' is compressed by LZMA, method 14"));
  const std::string bytes = two_entries();
  CHECK(contains(error_in(changed(bytes, kEnd, 0, 4, {1, 0})), "one part of an archive in several"));
  CHECK(contains(error_in(changed(bytes, kEnd, 0, 8, {1, 0})), "join them first: zip -s 0"));
  CHECK(contains(error_in(changed(bytes, kDirectory, 1, 34, {3, 0})), "one part of an archive"));
}

TEST_CASE("names that lead elsewhere are refused") {
  const std::string bytes = archive([](ZipWriter& w) { put_entry(w, "aa/bb/cc.jpg", kHello); });
  const auto named = [&](const std::string& name) {
    std::string text = changed(bytes, kDirectory, 0, 46, name);
    return error_in(changed(text, kLocal, 0, 30, name));
  };
  CHECK(named("ab/bb/cc.jpg").empty());
  CHECK(named("..a/b../c..g").empty());
  CHECK(contains(named("../bb/cc.jpg"), "x.zip: entry '../bb/cc.jpg' has a path with '..'"));
  CHECK(contains(named("aa/b/../.jpg"), "has a path with '..'"));
  CHECK(contains(named("aa/bb/ccc/.."), "has a path with '..'"));
  CHECK(contains(named("aa\\..\\cc.jpg"), "has a path with '..'"));
  CHECK(contains(named("/etc/passwdd"), "has an absolute path"));
  CHECK(contains(named("\\\\a\\passwdd"), "has an absolute path"));
  CHECK(contains(named("C:/b/passwdd"), "has an absolute path"));
  CHECK(contains(named({'a', 0, 'b', '/', 'b', 'b', '/', 'c', '.', 'j', 'p', 'g'}),
                 "entry 'a?b/bb/c.jpg' has a zero byte in its name"));
  const TempFolder folder;
  ZipWriter writer(folder / "a.zip");
  CHECK(
      contains(error_of([&] { put_entry(writer, "../x", ""); }), "a.zip: entry '../x' has a path with '..'"));
  CHECK(contains(error_of([&] { put_entry(writer, "", ""); }), "has no name"));
  put_entry(writer, "x", "");
  CHECK(contains(error_of([&] { put_entry(writer, "x", ""); }), "there is an entry 'x' already"));
}

TEST_CASE("lengths are not believed") {
  const std::string bytes = two_entries();
  const std::string much = {0, 0, 0, 0x7f};
  // Lengths in the directory: packed at 20, unpacked at 24; where the entry begins, at 42.
  CHECK(contains(error_in(changed(bytes, kDirectory, 0, 24, much)),
                 "entry 'one' claims 2130706432 bytes, which 20"));
  CHECK(contains(error_in(changed(bytes, kDirectory, 0, 20, much + much)), "where the archive has fewer"));
  CHECK(contains(error_in(changed(bytes, kDirectory, 1, 24, much)), "entry 'two' claims 2130706432 bytes"));
  CHECK(contains(error_in(changed(bytes, kDirectory, 1, 24, {21})),
                 "x.zip/two: its compressed data is damaged"));
  CHECK(contains(error_in(changed(bytes, kDirectory, 1, 24, {19})),
                 "x.zip/two: its compressed data is damaged"));
  CHECK(contains(error_in(changed(bytes, kDirectory, 1, 42, {0})), "claims"));   // both at one place
  CHECK(contains(error_in(changed(bytes, kDirectory, 1, 42, much)), "claims"));  // beyond the end
  CHECK(contains(error_in(changed(bytes, kLocal, 0, 30, "on3")),
                 "x.zip/one: its header is not the directory's"));
  CHECK(contains(error_in(changed(bytes, kDirectory, 0, 30, {100})), "breaks off within a header"));
  CHECK(contains(error_in(changed(bytes, kEnd, 0, 16, {1})), "its directory should be"));
  CHECK(contains(error_in("x" + bytes), "something was put before it"));
  const ZipReader zip(bytes, "x.zip");
  CHECK(contains(error_of([&] { zip.read(zip.entries()[0], 19); }),
                 "x.zip/one: has 20 bytes; at most 19 are read"));
  CHECK(contains(error_in(changed(changed(bytes, kDirectory, 1, 46, "one"), kLocal, 1, 30, "one")),
                 "two entries are called 'one'"));
}

TEST_CASE("every byte counts: cut anywhere it is an error, changed anywhere it is one or harmless") {
  const std::string bytes = two_entries();
  for (size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(error_in(bytes.substr(0, size)).empty());
  size_t noticed = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {1, 128}) {
      std::string other = bytes;
      other[i] = char(other[i] ^ flip);
      noticed += !error_in(other).empty();
      if (i < bytes.find(kDirectory) && i >= 33 && i < 53)
        CHECK_FALSE(error_in(other).empty());  // data of "one"
    }
  }
  CHECK(noticed > bytes.size());  // of twice as many; versions and times do not matter
  CHECK(error_in(bytes).empty());
}

TEST_CASE("nothing is left of an archive that was not finished") {
  const TempFolder folder;
  {
    ZipWriter writer(folder / "a.zip");
    put_entry(writer, "x", kHello);
  }
  CHECK(fs::is_empty(folder.path()));
}
