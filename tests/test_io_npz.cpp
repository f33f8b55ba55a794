#include <doctest/doctest.h>

#include <cstring>
#include <utility>

#include "engine/io/npz.h"
#include "io_helpers.h"

using namespace ito::io;
using namespace ito::tests;

namespace {

using Packing = NpzWriter::Packing;

double real(int64_t i) { return (3.0 * double(i) - 7.0) / 4.0; }

/// Whether element i of the array is real(i).
bool holds_reals(const NpyArray& array) {
  for (int64_t i = 0; i < array.size(); ++i) {
    const double value = array.type == ElementType::f64 ? array.as<double>()[i] : array.as<float>()[i];
    if (value != real(i)) return false;
  }
  return true;
}

void read_all(const std::filesystem::path& path) {
  const NpzReader npz(path);
  for (const std::string& name : npz.names()) npz.array(name);
}

/// A .npy file, version 1, of this header and as many bytes of data.
std::string npy_with(const std::string& header, size_t data_bytes) {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += char(header.size() & 0xff), bytes += char(header.size() >> 8);
  return bytes + header + std::string(data_bytes, 'x');
}

/// The error for an archive whose one array is these bytes.
std::string error_of_entry(const TempFolder& folder, const std::string& bytes,
                           ZipWriter::Packing packing = ZipWriter::Packing::stored) {
  ZipWriter writer(folder / "bad.npz");
  writer.add("mu.npy", bytes.data(), bytes.size(), packing);
  writer.commit();
  std::string error = error_of([&] { read_all(folder / "bad.npz"); });
  CHECK(contains(error, "bad.npz/mu.npy: "));
  return error;
}

}  // namespace

TEST_CASE("archives written by numpy, plain and compressed") {
  for (const char* name : {"npz_stored.npz", "npz_compressed.npz"}) {
    CAPTURE(name);
    const NpzReader npz(fixture(name));
    CHECK(npz.names() == std::vector<std::string>{"mu", "sigma"});
    CHECK(npz.has("mu"));
    CHECK_FALSE(npz.has("pool_3"));
    const NpyArray mu = npz.array("mu"), sigma = npz.array("sigma");
    CHECK(mu.type == ElementType::f64);
    CHECK(mu.shape == std::vector<int64_t>{5});
    CHECK(sigma.shape == std::vector<int64_t>{5, 5});
    CHECK(mu.size() == 5);
    CHECK(sigma.size() == 25);
    CHECK(holds_reals(mu));
    CHECK(holds_reals(sigma));
  }
}

TEST_CASE("every type, unnamed arrays, a scalar and an array of nothing") {
  const NpzReader npz(fixture("npz_kinds.npz"));
  const NpyArray images = npz.array("arr_0");
  CHECK(images.type == ElementType::u8);
  CHECK(images.shape == std::vector<int64_t>{2, 3, 4, 3});
  for (int i = 0; i < 72; ++i) CHECK(images.as<uint8_t>()[i] == (3 * i + 1) % 256);
  CHECK(npz.array("arr_1").as<int32_t>()[2] == 7);
  const NpyArray features = npz.array("pool_3");
  CHECK(features.type == ElementType::f32);
  CHECK(features.shape == std::vector<int64_t>{4, 6});
  CHECK(holds_reals(features));
  CHECK(npz.array("labels").as<int64_t>()[1] == 4);
  CHECK(npz.array("count").shape.empty());
  CHECK(npz.array("count").as<double>()[0] == real(0));
  CHECK(npz.array("none").shape == std::vector<int64_t>{0, 3});
  CHECK(npz.array("none").size() == 0);
}

TEST_CASE("an array in pieces is the whole one, and may be moved between them") {
  for (const char* name : {"npz_stored.npz", "npz_compressed.npz"}) {
    const NpzReader npz(fixture(name));
    NpzStream first = npz.open("sigma");
    CHECK(first.header().shape == std::vector<int64_t>{5, 5});
    CHECK(first.header().bytes == 200);
    std::vector<double> numbers(25, -1);
    auto* const to = reinterpret_cast<char*>(numbers.data());
    first.read(to, 3), first.read(to + 3, 0), first.read(to + 3, 98);
    NpzStream second = std::move(first);
    second.read(to + 101, 99);
    for (int i = 0; i < 25; ++i) CHECK(numbers[size_t(i)] == real(i));
    CHECK(contains(error_of([&] { second.read(to, 1); }), "sigma.npy: has 0 bytes left, and 1 are needed"));
  }
}

TEST_CASE("what is written reads back") {
  const TempFolder folder;
  std::vector<float> numbers(3000);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = float(real(int64_t(i)));
  const std::vector<uint8_t> bytes{1, 2, 3};
  for (const Packing packing : {Packing::stored, Packing::deflated}) {
    NpzWriter writer(folder / "x.npz", packing);
    writer.add("features", ElementType::f32, {30, 100}, numbers.data());
    writer.add("bytes", ElementType::u8, {3}, bytes.data());
    writer.add("none", ElementType::f64, {2, 0}, nullptr);
    CHECK(contains(error_of([&] { writer.add("bytes", ElementType::u8, {3}, bytes.data()); }),
                   "there is an entry 'bytes.npy' already"));
    CHECK(contains(error_of([&] { writer.add("half", ElementType::bf16, {3}, bytes.data()); }),
                   "x.npz: 'half': BF16 [3] cannot be written"));
    writer.commit();
    const NpzReader npz(folder / "x.npz");
    CHECK(npz.names() == std::vector<std::string>{"features", "bytes", "none"});
    const NpyArray back = npz.array("features");
    CHECK(back.shape == std::vector<int64_t>{30, 100});
    CHECK(std::memcmp(back.bytes.data(), numbers.data(), 12000) == 0);
    CHECK(npz.array("bytes").as<uint8_t>()[2] == 3);
    CHECK(npz.array("none").shape == std::vector<int64_t>{2, 0});
    const bool small = std::filesystem::file_size(folder / "x.npz") < 12000;
    CHECK(small == (packing == Packing::deflated));
  }
}

TEST_CASE("what is no archive of arrays, or has not the one asked for, is named") {
  const TempFolder folder;
  const NpzReader npz(fixture("npz_stored.npz"));
  CHECK(contains(error_of([&] { npz.array("arr_0"); }),
                 "npz_stored.npz: has no array 'arr_0'; it has mu, sigma"));
  CHECK(
      contains(error_of([&] { npz.array("sigma", 199); }), "sigma.npy: has 200 bytes; at most 199 are read"));
  CHECK(contains(error_of([&] { read_all(fixture("io_f4.npy")); }), "io_f4.npy: one array (.npy), not"));
  put(folder / "bad.npz", "something else, long enough to be an archive");
  CHECK(contains(error_of([&] { read_all(folder / "bad.npz"); }), "bad.npz: not a zip archive"));
  CHECK(contains(error_of([&] { read_all(folder / "none.npz"); }), "none.npz: cannot open"));
  const NpzReader other(fixture("zip_stored.zip"));
  CHECK(other.names().empty());
  CHECK(contains(error_of([&] { other.array("mu"); }), "it has none"));
}

TEST_CASE("arrays that are not read, next to one that is") {
  const NpzReader npz(fixture("npz_bad.npz"));
  CHECK(holds_reals(npz.array("good")));
  CHECK(contains(error_of([&] { npz.array("order"); }), "npz_bad.npz/order.npy: is in Fortran order"));
  CHECK(contains(error_of([&] { npz.array("half"); }), "half.npy: its type is '<f2'"));
  CHECK(contains(error_of([&] { npz.array("names"); }), "names.npy: its type is '<U1'"));
  const TempFolder folder;
  const std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }";
  CHECK(contains(error_of_entry(folder, ""), "truncated"));
  CHECK(contains(error_of_entry(folder, "\x93NUMPX and more"), "does not begin with \\x93NUMPY"));
  CHECK(contains(error_of_entry(folder, npy_with("{}", 0)), "is not {'descr'"));
  CHECK(contains(error_of_entry(folder, npy_with("", 0)), "no '{'"));
  for (const auto packing : {ZipWriter::Packing::stored, ZipWriter::Packing::deflated}) {
    CHECK(contains(error_of_entry(folder, npy_with(header, 15), packing), "truncated: shape [2] needs 16"));
    CHECK(contains(error_of_entry(folder, npy_with(header, 17), packing), "too long: shape [2] needs 16"));
  }
}

TEST_CASE("cut at every byte it is an error; no byte changed gives other numbers") {
  const TempFolder folder;
  for (const char* name : {"npz_stored.npz", "npz_compressed.npz"}) {
    CAPTURE(name);
    const std::string whole = read_file(fixture(name));
    for (size_t size = 0; size < whole.size(); ++size) {
      put(folder / "cut.npz", whole.substr(0, size));
      CHECK_MESSAGE(contains(error_of([&] { read_all(folder / "cut.npz"); }), "cut.npz"), size);
    }
    const ZipReader zip(whole, "whole");
    size_t unnoticed = 0;
    for (const ZipEntry& entry : zip.entries()) {
      const std::string_view packed = zip.packed(entry);
      for (size_t i = 0; i < packed.size(); ++i) {
        std::string other = whole;
        other[size_t(packed.data() - whole.data()) + i] ^= 4;
        put(folder / "changed.npz", other);
        bool right = true;
        const std::string error = error_of([&] {
          const NpzReader npz(folder / "changed.npz");
          const NpyArray mu = npz.array("mu"), sigma = npz.array("sigma");
          right = holds_reals(mu) && holds_reals(sigma);
        });
        CHECK(right);
        unnoticed += error.empty();
        CHECK_MESSAGE((error.empty() || contains(error, entry.name)), i, ": ", error);
      }
    }
    CHECK(unnoticed <= 4);  // what ends a compressed stream, behind its last number
  }
}

TEST_CASE("an array twice, and lengths that are not believed") {
  const TempFolder folder;
  const std::string whole = read_file(fixture("npz_stored.npz"));
  std::string twice = read_file(fixture("npz_kinds.npz"));
  for (size_t at = 0; (at = twice.find("arr_1.npy", at)) != std::string::npos;) twice[at + 4] = '0';
  put(folder / "twice.npz", twice);
  CHECK(contains(error_of([&] { NpzReader(folder / "twice.npz"); }), "two entries are called 'arr_0.npy'"));
  const int64_t before = peak_memory();
  for (const char* shape : {"(1000000000000,)", "(9223372036854775807,)", "(4294967296, 4294967296)"}) {
    const std::string header = ito::cat("{'descr': '<f8', 'fortran_order': False, 'shape': ", shape, ", }");
    CHECK_FALSE(error_of_entry(folder, npy_with(header, 8)).empty());
  }
  std::string long_header("\x93NUMPY\x02\x00\x00\x00\x10\x00", 12);  // of a megabyte
  long_header += std::string(1 << 20, ' ');
  CHECK(
      contains(error_of_entry(folder, long_header, ZipWriter::Packing::deflated), "at most 65536 are read"));
  CHECK(peak_memory() - before < (int64_t(64) << 20));
}
