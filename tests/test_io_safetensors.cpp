#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "engine/io/safetensors.h"
#include "io_helpers.h"

using namespace ito::io;
using namespace ito::tests;

namespace {

/// A file around this header, with `data_bytes` bytes behind it.
std::string file_with(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[size_t(i)] = char(uint64_t(header.size()) >> (8 * i));
  return bytes + header + std::string(data_bytes, 'x');
}

std::string error_of_header(const TempFolder& folder, const std::string& header, size_t data_bytes) {
  put(folder / "bad.safetensors", file_with(header, data_bytes));
  std::string error = error_of([&] { SafetensorsReader(folder / "bad.safetensors"); });
  CHECK(contains(error, "bad.safetensors: "));
  return error;
}

double real(size_t i) { return (3.0 * double(i) - 7.0) / 4.0; }

}  // namespace

TEST_CASE("a tensor in pieces is the tensor, and no piece is larger than what was asked for") {
  const SafetensorsReader reader(fixture("io_torch.safetensors"));
  for (const char* name : {"conv.weight", "double"})
    for (const int64_t piece : {1, 5, 12, 1000}) {
      std::vector<float> joined;
      reader.reals(
          name,
          [&](std::span<const float> some) {
            CHECK(int64_t(some.size()) <= piece);
            joined.insert(joined.end(), some.begin(), some.end());
          },
          piece);
      CHECK(joined == reader.reals(name));
    }
}

TEST_CASE("a file written by the safetensors package reads with names, types, shapes, metadata and numbers") {
  const SafetensorsReader reader(fixture("io_torch.safetensors"));
  CHECK(reader.metadata() == Metadata{{"format", "pt"}, {"note", "quotes \" and \u00fc"}});
  CHECK(reader.tensors().size() == 6);
  CHECK(reader.at("conv.weight").shape == std::vector<int64_t>{2, 3, 1, 2});
  const std::vector<float> weight = reader.values<float>("conv.weight");
  REQUIRE(weight.size() == 12);
  for (size_t i = 0; i < weight.size(); ++i) CHECK(weight[i] == real(i));
  const std::vector<double> doubles = reader.values<double>("double");
  REQUIRE(doubles.size() == 3);
  for (size_t i = 0; i < 3; ++i) CHECK(doubles[i] == real(i));
  CHECK(reader.values<int64_t>("step") == std::vector<int64_t>{4});
  CHECK(reader.at("step").shape.empty());
  CHECK(reader.values<uint8_t>("bytes") == std::vector<uint8_t>{1, 4, 7, 10, 13, 16, 19});
  CHECK(reader.values<float>("empty").empty());
  const TensorInfo& half = reader.at("half");
  CHECK(half.type == ElementType::bf16);
  REQUIRE(half.bytes() == 10);
  for (size_t i = 0; i < 5; ++i) {
    uint16_t bits;
    std::memcpy(&bits, reader.data(half) + 2 * i, 2);
    const uint32_t wide = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    CHECK(value == real(i));
  }
  CHECK(reader.find("absent") == nullptr);
  CHECK(contains(error_of([&] { reader.at("absent"); }), "has no tensor 'absent'"));
  CHECK(contains(error_of([&] { reader.values<float>("step"); }), "'step' is I64, expected F32"));
}

TEST_CASE("what is written reads back, and the bytes are the same every time") {
  const TempFolder folder;
  const std::vector<double> a{1.5, -0.0, INFINITY};
  const std::vector<float> b{1, 2, 3, 4, 5, 6};
  const std::vector<uint8_t> c{9};
  const std::vector<TensorEntry> entries{{{"z \"quoted\"", ElementType::f64, {3}}, a.data()},
                                         {{"none", ElementType::f32, {0, 2}}, nullptr},
                                         {{"a.weight", ElementType::f32, {2, 3}}, b.data()},
                                         {{"c", ElementType::u8, {}}, c.data()}};
  const Metadata metadata{{"format", "pt"}, {"about", "x"}};
  for (const char* name : {"first", "second"}) write_safetensors(folder / name, entries, metadata);
  const std::string bytes = read_file(folder / "first");
  CHECK(bytes == read_file(folder / "second"));
  const std::string header = R"({"__metadata__":{"about":"x","format":"pt"},)"
                             R"("z \"quoted\"":{"dtype":"F64","shape":[3],"data_offsets":[0,24]},)"
                             R"("none":{"dtype":"F32","shape":[0,2],"data_offsets":[24,24]},)"
                             R"("a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[24,48]},)"
                             R"("c":{"dtype":"U8","shape":[],"data_offsets":[48,49]}})";
  CHECK(bytes.substr(8, header.size()) == header);
  CHECK((bytes.size() - 49) % 8 == 0);

  const SafetensorsReader reader(folder / "first");
  CHECK(reader.metadata() == metadata);
  REQUIRE(reader.tensors().size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(reader.tensors()[i].name == entries[i].spec.name);
    CHECK(reader.tensors()[i].shape == entries[i].spec.shape);
  }
  CHECK(std::memcmp(reader.data(reader.tensors()[0]), a.data(), 24) == 0);
  CHECK(reader.values<float>("a.weight") == b);
  CHECK(reader.values<uint8_t>("c") == c);
}

TEST_CASE("a file without tensors, and tensors streamed in pieces") {
  const TempFolder folder;
  write_safetensors(folder / "empty", {});
  CHECK(SafetensorsReader(folder / "empty").tensors().empty());
  const std::vector<float> numbers{1, 2, 3, 4, 5};
  SafetensorsWriter writer(folder / "pieces", {{"a", ElementType::f32, {2}}, {"b", ElementType::f32, {3}}});
  writer.write(numbers.data(), 12);  // a and a third of b
  CHECK(contains(error_of([&] { writer.finish(); }), "have 20 bytes, only 12 were given"));
  CHECK(
      contains(error_of([&] { writer.write(numbers.data(), 12); }), "12 are written and 12 more were given"));
  CHECK(!std::filesystem::exists(folder / "pieces"));
  writer.write(numbers.data() + 3, 8);
  writer.finish();
  CHECK(SafetensorsReader(folder / "pieces").values<float>("b") == std::vector<float>{3, 4, 5});
}

TEST_CASE("the writer refuses what no reader could take") {
  const TempFolder folder;
  const auto error = [&](const std::vector<TensorSpec>& tensors, const Metadata& metadata = {}) {
    std::string text = error_of([&] { SafetensorsWriter(folder / "w", tensors, metadata); });
    CHECK(contains(text, "/w: "));
    return text;
  };
  CHECK(contains(error({{"a", ElementType::u8, {1}}, {"a", ElementType::u8, {1}}}), "name 'a' is taken"));
  CHECK(contains(error({{"__metadata__", ElementType::u8, {1}}}), "is taken"));
  CHECK(contains(error({{"a", ElementType::u8, {-1}}}), "impossible shape [-1]"));
  CHECK(
      contains(error({{"a", ElementType::u8, {3}}, {"b", ElementType::f32, {1}}}), "would begin at byte 3"));
  CHECK(contains(error({{"a\xff", ElementType::u8, {3}}}), "not UTF-8"));
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("a file cut anywhere, or with bytes behind it, is refused by name") {
  const TempFolder folder;
  const std::string whole = read_file(fixture("io_torch.safetensors"));
  for (size_t size = 0; size < whole.size(); ++size) {
    put(folder / "cut", whole.substr(0, size));
    const std::string error = error_of([&] { SafetensorsReader(folder / "cut"); });
    CHECK_MESSAGE(contains(error, "/cut: truncated"), size, ": ", error);
  }
  put(folder / "cut", whole.substr(0, whole.size() - 10));
  CHECK(contains(error_of([&] { SafetensorsReader(folder / "cut"); }),
                 "truncated: header says 97 bytes of data, file has 87"));
  put(folder / "cut", whole + "x");
  CHECK(contains(error_of([&] { SafetensorsReader(folder / "cut"); }), "too long: header says 97"));
  CHECK(
      contains(error_of([&] { SafetensorsReader(folder / "absent"); }), "absent: cannot open: No such file"));
  CHECK(contains(error_of([&] { SafetensorsReader(folder.path()); }), "not a regular file"));
}

TEST_CASE("a byte changed anywhere in the header gives a file that reads in bounds, or an Error") {
  const TempFolder folder;
  const std::string whole = read_file(fixture("io_torch.safetensors"));
  int refused = 0;
  for (size_t position = 0; position < whole.size() - 97; ++position) {
    for (const char change : {'\x01', '\x04', '\x10', '\x80'}) {
      std::string bytes = whole;
      bytes[position] = char(bytes[position] ^ change);
      put(folder / "changed", bytes);
      const std::string error = error_of([&] {
        const SafetensorsReader reader(folder / "changed");
        for (const TensorInfo& tensor : reader.tensors()) REQUIRE(tensor.end <= 97);
      });
      if (!error.empty()) ++refused;
    }
  }
  CHECK(refused > 1000);  // most of them: only names and metadata may change unnoticed
}

TEST_CASE("headers that contradict themselves or the file") {
  const TempFolder folder;
  const auto error = [&](const std::string& header, size_t data_bytes = 8) {
    return error_of_header(folder, header, data_bytes);
  };
  const auto f32 = [](const char* name, const char* shape, const char* range) {
    return ito::cat('"', name, R"(":{"dtype":"F32","shape":)", shape, R"(,"data_offsets":)", range, "}");
  };
  CHECK(contains(error(ito::cat("{", f32("a", "[1]", "[0,4]"), ",", f32("b", "[2]", "[2,10]"), "}"), 10),
                 "'a' and 'b' overlap"));
  CHECK(contains(error(ito::cat("{", f32("a", "[1]", "[0,4]"), ",", f32("b", "[1]", "[0,4]"), "}"), 4),
                 "overlap"));
  CHECK(contains(error(ito::cat("{", f32("a", "[1]", "[4,8]"), "}")),
                 "bytes 0 to 4 before 'a' belong to no tensor"));
  CHECK(contains(error(ito::cat("{", f32("a", "[1]", "[0,4]"), ",", f32("a", "[1]", "[4,8]"), "}")),
                 "has 'a' twice"));
  CHECK(contains(error(ito::cat("{", f32("a", "[3]", "[0,8]"), "}")),
                 "F32 [3], which contradicts its range [0, 8)"));
  CHECK(contains(error(ito::cat("{", f32("a", "[2]", "[8,0]"), "}")), "contradicts"));
  CHECK(contains(error(ito::cat("{", f32("a", "[-2]", "[0,8]"), "}")), "bad shape"));
  CHECK(contains(error(ito::cat("{", f32("a", "[2.0]", "[0,8]"), "}")), "bad shape"));
  CHECK(
      contains(error(ito::cat("{", f32("a", "[2]", "[0,8,9]"), "}")), "is not {dtype, shape, data_offsets"));
  CHECK(contains(error(ito::cat("{", f32("a", "2", "[0,8]"), "}")), "is not {dtype, shape, data_offsets"));
  CHECK(contains(error(R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})"), "unknown dtype 'F31'"));
  CHECK(contains(error(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
                 "repeats a key"));
  CHECK(contains(error(R"({"a":7})"), "'a' is not an object"));
  CHECK(contains(error(R"({"__metadata__":{"n":1}})", 0), "__metadata__ 'n' is not a string"));
  CHECK(contains(error(R"({"__metadata__":{},"__metadata__":{}})", 0), "__metadata__ twice"));
  CHECK(contains(error(R"([])", 0), "does not begin with '{'"));
  CHECK(contains(error("", 0), "does not begin with '{'"));
  CHECK(contains(error(R"({"a":)", 0), "not a safetensors file"));
  CHECK(contains(error("{} {}", 0), "not a safetensors file"));
  CHECK(contains(error("{\"\xff\":{}}", 0), "not a safetensors file"));
}

TEST_CASE("hostile lengths and headers cost no more memory than the file") {
  const TempFolder folder;
  const int64_t before = peak_memory();
  put(folder / "long", std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8) + "{}");
  CHECK(contains(error_of([&] { SafetensorsReader(folder / "long"); }),
                 "not a safetensors file: says its header has"));
  for (const char* shape : {"[4611686018427387904,4]", "[9223372036854775807]", "[18446744073709551615]",
                            "[4294967296,4294967296]"}) {
    const std::string header =
        ito::cat(R"({"a":{"dtype":"F32","shape":)", shape, R"(,"data_offsets":[0,8]}})");
    CHECK(!error_of_header(folder, header, 8).empty());
  }
  CHECK(contains(
      error_of_header(folder,
                      R"({"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}})", 8),
      "truncated: header says 4000000000000 bytes of data, file has 8"));
  const size_t megabyte = 1 << 20;
  CHECK(
      contains(error_of_header(folder, R"({"a":)" + std::string(2 * megabyte, '['), 0), "is not an object"));
  CHECK(contains(error_of_header(folder, R"({"a":{"b":)" + std::string(2 * megabyte, '['), 0),
                 "nested too deeply"));
  std::string zeros = R"({"a":{"shape":[0)";
  for (size_t i = 0; i < megabyte; ++i) zeros += ",0";
  CHECK(contains(error_of_header(folder, zeros, 0), "too long a list"));
  CHECK(peak_memory() - before < int64_t(64 * megabyte));
}
