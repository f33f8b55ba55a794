#include <doctest/doctest.h>

#include <cstring>

#include "engine/io/npy.h"
#include "io_helpers.h"

using namespace ito::io;
using namespace ito::tests;

namespace {

double real(int64_t i) { return (3.0 * double(i) - 7.0) / 4.0; }

std::string npy_with(const std::string& header, size_t data_bytes, char version = 1) {
  std::string bytes("\x93NUMPY", 6);
  bytes += version, bytes += '\0';
  const int width = version == 1 ? 2 : 4;
  for (int i = 0; i < width; ++i) bytes += char(header.size() >> (8 * i));
  return bytes + header + std::string(data_bytes, 'x');
}

}  // namespace

TEST_CASE("files written by numpy read with their types, shapes and numbers") {
  const NpyArray f4 = read_npy(fixture("io_f4.npy"));
  CHECK(f4.type == ElementType::f32);
  CHECK(f4.shape == std::vector<int64_t>{2, 3, 1, 2});
  REQUIRE(f4.size() == 12);
  for (int64_t i = 0; i < 12; ++i) CHECK(f4.as<float>()[i] == real(i));
  const NpyArray f8 = read_npy(fixture("io_f8.npy"));
  CHECK(f8.shape.empty());
  REQUIRE(f8.size() == 1);
  CHECK(f8.as<double>()[0] == real(0));
  const NpyArray u1 = read_npy(fixture("io_u1.npy"));
  CHECK(u1.shape == std::vector<int64_t>{5});
  CHECK(u1.as<uint8_t>()[4] == 13);
  const NpyArray i4 = read_npy(fixture("io_i4.npy"));
  CHECK(i4.type == ElementType::i32);
  CHECK(i4.shape == std::vector<int64_t>{0, 3});
  const NpyArray i8 = read_npy(fixture("io_i8_v2.npy"));
  CHECK(i8.shape == std::vector<int64_t>{2, 2});
  CHECK(i8.as<int64_t>()[3] == 10);
  CHECK(contains(error_of([&] { i8.as<float>(); }), "the array is I64, expected F32"));
}

TEST_CASE("what is written reads back; the data begins at a multiple of 64") {
  const TempFolder folder;
  const std::vector<double> numbers{1, 2, 3, 4, 5, 6};
  const std::vector<std::vector<int64_t>> shapes{{}, {1}, {6}, {2, 3}, {1, 2, 1, 3}, {0}, {3, 0, 2}};
  for (const ElementType type :
       {ElementType::f32, ElementType::f64, ElementType::u8, ElementType::i32, ElementType::i64}) {
    for (const std::vector<int64_t>& shape : shapes) {
      write_npy(folder / "x.npy", type, shape, numbers.data());
      const NpyArray back = read_npy(folder / "x.npy");
      CHECK(back.type == type);
      CHECK(back.shape == shape);
      REQUIRE(back.bytes.size() == *bytes_of(type, shape));
      CHECK((back.bytes.empty() || std::memcmp(back.bytes.data(), numbers.data(), back.bytes.size()) == 0));
      CHECK((std::filesystem::file_size(folder / "x.npy") - back.bytes.size()) % 64 == 0);
    }
  }
  write_npy(folder / "x.npy", ElementType::f32, {2, 3}, numbers.data());
  const std::string start = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  CHECK(read_file(folder / "x.npy").substr(10, start.size()) == start);
  write_npy(folder / "x.npy", ElementType::f32, {6}, numbers.data());
  CHECK(contains(read_file(folder / "x.npy"), "'shape': (6,), }"));
  CHECK(contains(error_of([&] { write_npy(folder / "y", ElementType::bf16, {1}, numbers.data()); }),
                 "y: BF16 [1] cannot"));
  CHECK(contains(error_of([&] { write_npy(folder / "y", ElementType::f32, {-1}, numbers.data()); }),
                 "y: F32 [-1] cannot"));
}

TEST_CASE("a file cut anywhere, or with bytes behind it, is refused by name") {
  const TempFolder folder;
  for (const char* name : {"io_f4.npy", "io_i8_v2.npy"}) {
    const std::string whole = read_file(fixture(name));
    for (size_t size = 0; size < whole.size(); ++size) {
      put(folder / "cut.npy", whole.substr(0, size));
      const std::string error = error_of([&] { read_npy(folder / "cut.npy"); });
      CHECK_MESSAGE(contains(error, "cut.npy: truncated"), size, ": ", error);
    }
    put(folder / "cut.npy", whole + "x");
    CHECK(contains(error_of([&] { read_npy(folder / "cut.npy"); }), "cut.npy: too long"));
  }
}

TEST_CASE("what is not understood is named, with what to do") {
  const TempFolder folder;
  const auto error = [&](const std::string& bytes) {
    put(folder / "bad.npy", bytes);
    std::string text = error_of([&] { read_npy(folder / "bad.npy"); });
    CHECK(contains(text, "bad.npy: "));
    return text;
  };
  const auto field = [&](const std::string& descr, const std::string& order, const std::string& shape) {
    return npy_with("{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n",
                    8);
  };
  CHECK(error_of([&] { read_npy(fixture("io_fortran.npy")); }).find("np.ascontiguousarray") !=
        std::string::npos);
  CHECK(contains(error("\x89PNG\r\n and more"), "does not begin with \\x93NUMPY"));
  CHECK(contains(error(npy_with("{}", 0, 3)), "version 3"));
  CHECK(contains(error(field("'>f4'", "False", "(2,)")), "its type is '>f4'"));
  CHECK(contains(error(field("'<f2'", "False", "(4,)")), "astype"));
  CHECK(contains(error(field("[('a', '<f4')]", "False", "(2,)")), "no ''' at character"));
  CHECK(contains(error(field("'<f4'", "Maybe", "(2,)")), "neither True nor False"));
  CHECK(contains(error(field("'<f4'", "False", "(-2,)")), "no number at character"));
  CHECK(contains(error(field("'<f4'", "False", "(2")), "no number at"));
  CHECK(contains(error(field("'<f4'", "False", "(2,), 'extra': True")), "unexpected field 'extra'"));
  CHECK(contains(error(field("'<f4", "False", "(2,)")), "its header"));
  CHECK(contains(error(npy_with("{'descr': '<f4', 'shape': (2,), }", 8)),
                 "is not {'descr', 'fortran_order', 'shape'}"));
  CHECK(contains(error(npy_with("{'descr': '<f4', 'descr': '<f4', 'shape': (2,)}", 8)),
                 "unexpected field 'descr'"));
  CHECK(contains(error(npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} more", 8)),
                 "is not {"));
  CHECK(contains(error(npy_with("", 0)), "no '{'"));
}

TEST_CASE("hostile lengths cost no memory") {
  const TempFolder folder;
  const int64_t before = peak_memory();
  for (const char* shape : {"(1000000000000,)", "(9223372036854775807,)", "(4294967296, 4294967296)",
                            "(99999999999999999999999,)", "(4611686018427387904, 4)"}) {
    put(folder / "huge.npy",
        npy_with(ito::cat("{'descr': '<f4', 'fortran_order': False, 'shape': ", shape, ", }\n"), 8));
    CHECK(!error_of([&] { read_npy(folder / "huge.npy"); }).empty());
  }
  put(folder / "huge.npy", std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{", 13));
  CHECK(contains(error_of([&] { read_npy(folder / "huge.npy"); }),
                 "truncated: says its header has 4294967295 bytes"));
  std::string ones = "{'descr': '<f4', 'fortran_order': False, 'shape': (1";
  for (int i = 0; i < 1 << 20; ++i) ones += ",1";
  put(folder / "huge.npy", npy_with(ones + ")}", 8, 2));
  CHECK(contains(error_of([&] { read_npy(folder / "huge.npy"); }), "more than 32 dimensions"));
  CHECK(peak_memory() - before < (int64_t(64) << 20));
}
