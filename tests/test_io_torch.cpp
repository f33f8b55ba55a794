#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "engine/io/to_f32.h"
#include "engine/io/torch_file.h"
#include "engine/io/zip.h"
#include "io_helpers.h"
#include "torch_pickles.h"

using namespace ito::io;
using namespace torch_pickles;
using namespace ito::tests;

namespace {

float real(int64_t i) { return float((3.0 * double(i) - 7.0) / 4.0); }

using Numbers = std::vector<float>;

Numbers reals(const std::vector<int64_t>& indices) {
  Numbers numbers;
  for (const int64_t i : indices) numbers.push_back(real(i));
  return numbers;
}

/// Opens the file and reads every tensor that is of real numbers.
void read_all(const std::filesystem::path& path) {
  const TorchFileReader file(path);
  for (const TorchTensor& tensor : file.tensors()) error_of([&] { file.values(tensor.name); });
}

std::string error_in(const TempFolder& folder, const std::string& bytes) {
  put(folder / "bad.pth", bytes);
  std::string error = error_of([&] { read_all(folder / "bad.pth"); });
  CHECK((error.empty() || contains(error, "bad.pth: ")));
  return error;
}

/// A zip archive with these entries, in bytes.
std::string archive(const TempFolder& folder, const Items& entries,
                    ZipWriter::Packing packing = ZipWriter::Packing::stored) {
  ZipWriter writer(folder / "made.zip");
  for (const auto& [name, bytes] : entries) writer.add(name, bytes.data(), bytes.size(), packing);
  writer.commit();
  return read_file(folder / "made.zip");
}

const std::string kOne = tensor(storage("0", 1), 0, {1}, {1});

}  // namespace

TEST_CASE("files written by torch.save in both forms: names, types, shapes, strides, numbers") {
  for (const char* name : {"torch_legacy.pth", "torch_zip.pth"}) {
    CAPTURE(name);
    const TorchFileReader file(fixture(name));
    REQUIRE(file.tensors().size() == 12);
    CHECK(file.tensors()[0].name == "conv.weight");
    CHECK(file.at("conv.weight").shape == std::vector<int64_t>{3, 2, 1, 3});
    CHECK(file.values("conv.weight") ==
          reals({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}));
    CHECK(file.at("conv.tied").storage.data() == file.at("conv.weight").storage.data());
    CHECK(file.at("conv.tied").shape == std::vector<int64_t>{2, 3});
    CHECK(file.values("conv.tied") == reals({4, 5, 6, 7, 8, 9}));
    CHECK(file.values("bn.running_var") == reals({0, 1, 2}));  // a Parameter
    CHECK(file.at("transposed").shape == std::vector<int64_t>{3, 2});
    CHECK(file.at("transposed").strides == std::vector<int64_t>{1, 3});
    CHECK(file.values("transposed") == reals({0, 3, 1, 4, 2, 5}));
    CHECK(file.at("steps").offset == 3);
    CHECK(file.values("steps") == reals({3, 5, 7, 8, 10, 12, 13, 15, 17}));
    CHECK(file.at("half").type == ElementType::f16);
    CHECK(file.values("half") == reals({0, 1, 2, 3, 4}));
    CHECK(file.at("bfloat").type == ElementType::bf16);
    CHECK(file.values("bfloat") == reals({0, 1, 2, 3, 4}));
    CHECK(file.at("double").type == ElementType::f64);
    CHECK(file.values("double") == reals({0, 1, 2}));
    CHECK(file.at("empty").shape == std::vector<int64_t>{0, 4});
    CHECK(file.values("empty").empty());
    CHECK(file.at("scalar").shape.empty());
    CHECK(file.values("scalar") == reals({0}));
    CHECK(file.at("bytes").type == ElementType::u8);
    CHECK(file.at("bn.num_batches_tracked").type == ElementType::i64);
    CHECK(contains(error_of([&] { file.values("bytes"); }), "'bytes' is U8; real numbers are expected"));
    Numbers wrong(5);
    CHECK(contains(error_of([&] { file.read("scalar", wrong); }), "'scalar' is of shape [], and 5 numbers"));
    CHECK(file.find("absent") == nullptr);
    CHECK(contains(error_of([&] { file.at("absent"); }), "has no tensor 'absent' among its 12"));
  }
}

TEST_CASE("a tensor in pieces is the tensor, whatever its strides and however small the pieces") {
  for (const char* name : {"torch_legacy.pth", "torch_zip.pth"}) {
    const TorchFileReader file(fixture(name));
    for (const char* tensor :
         {"conv.weight", "conv.tied", "transposed", "steps", "half", "double", "empty", "scalar"})
      for (const int64_t piece : {1, 7, 1000}) {
        CAPTURE(tensor);
        Numbers joined;
        file.read(
            tensor,
            [&](std::span<const float> some) { joined.insert(joined.end(), some.begin(), some.end()); },
            piece);
        CHECK(joined == file.values(tensor));
      }
    CHECK(contains(error_of([&] { file.read("bytes", [](std::span<const float>) {}); }), "'bytes' is U8"));
  }
}

TEST_CASE("a tree: tensors are named by keys and places, all else is ignored") {
  const TempFolder folder;
  const std::string other = tensor(storage("1", 2), 0, {2}, {1});
  const std::string list = "](" + dict({{"a.w", kOne}, {"n", integer(3)}}) + "}(" + integer(7) +
                           tuple({"N", other}) + "u" + "G" + std::string(8, '\0') + "e";
  put(folder / "tree.pth", legacy(list, {"0", "1"}, numbers(1, 1) + numbers(2, 2)));
  const TorchFileReader file(folder / "tree.pth", TorchContent::tree);
  REQUIRE(file.tensors().size() == 2);
  CHECK(file.tensors()[0].name == "0/a.w");
  CHECK(file.tensors()[1].name == "1/7/1");
  CHECK(file.values("1/7/1") == Numbers{1.5f, 1.5f});
  CHECK(contains(error_in(folder, read_file(folder / "tree.pth")), "holds no dict of tensors"));
  const TorchFileReader nested(fixture("torch_nested.pth"), TorchContent::tree);
  CHECK(nested.values("state_dict/bn.running_var") == reals({0, 1, 2}));
  // Each level twice the one before, and a list that holds itself.
  std::string doubling("]q\0", 3);
  for (int i = 0; i < 40; ++i) doubling = doubling + "](h" + char(i) + "h" + char(i) + "eq" + char(i + 1);
  put(folder / "large.pth", legacy("](" + doubling + "e", {}, ""));
  CHECK(contains(error_of([&] { TorchFileReader(folder / "large.pth", TorchContent::tree); }),
                 "are nested beyond"));
  put(folder / "endless.pth", legacy("]q\001h\001a", {}, ""));
  CHECK(contains(error_of([&] { TorchFileReader(folder / "endless.pth", TorchContent::tree); }),
                 "are nested beyond"));
}

TEST_CASE("half precision: zeros, subnormals, the largest, infinities, NaN") {
  const TempFolder folder;
  const std::vector<std::pair<int, float>> rows{
      {0x0000, 0.f},      {0x8000, -0.f},        {0x0001, 0x1p-24f},  {0x83ff, -0x3ffp-24f},
      {0x0400, 0x1p-14f}, {0x3555, 0x1.554p-2f}, {0x7bff, 65504.f},   {0xfc00, -INFINITY},
      {0x7c00, INFINITY}, {0xc000, -2.f},        {0x3c01, 0x1.004p0f}};
  const auto count = int64_t(rows.size());
  std::string data = little_endian(uint64_t(count) + 1, 8);
  for (const auto& [bits, value] : rows) data += little_endian(uint64_t(bits), 2);
  data += little_endian(0x7e00, 2);
  put(folder / "half.pth",
      legacy(dict({{"h", tensor(storage("0", count + 1, "HalfStorage"), 0, {count + 1}, {1})}}), {"0"},
             data));
  const Numbers values = TorchFileReader(folder / "half.pth").values("h");
  for (size_t i = 0; i < rows.size(); ++i) {
    CHECK(values[i] == rows[i].second);
    CHECK(std::signbit(values[i]) == std::signbit(rows[i].second));
  }
  CHECK(std::isnan(values.back()));
}

TEST_CASE("f32 to half: halves survive, what is between them becomes the nearest, ties the even one") {
  const auto to_half = [](float x) {
    std::byte bytes[2];
    from_f32(ElementType::f16, &x, 1, bytes);
    uint16_t bits;
    std::memcpy(&bits, bytes, 2);
    return bits;
  };
  const auto value_of = [](uint16_t bits) {
    std::byte bytes[2];
    std::memcpy(bytes, &bits, 2);
    float x;
    to_f32(ElementType::f16, bytes, 1, &x);
    return x;
  };
  int wrong = 0;
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {  // all finite ones from 0 up
    const float low = value_of(uint16_t(bits)),
                high = bits == 0x7bff ? 65536.0f : value_of(uint16_t(bits + 1));
    const float middle = low / 2 + high / 2;
    const uint16_t even = uint16_t(bits + bits % 2);
    wrong += to_half(low) != bits || to_half(-low) != (bits | 0x8000);
    wrong += to_half(middle) != even || to_half(-middle) != (even | 0x8000);
    wrong += to_half(std::nextafter(middle, low)) != bits;
    wrong += to_half(std::nextafter(middle, high)) != bits + 1;
  }
  CHECK(wrong == 0);
  CHECK((to_half(INFINITY) == 0x7c00 && to_half(-INFINITY) == 0xfc00 && to_half(1e30f) == 0x7c00));
  CHECK((std::isnan(value_of(to_half(NAN))) && to_half(1e-30f) == 0));
}

TEST_CASE("a file as Python 2 wrote it: byte strings, an OrderedDict of lists, attributes after it") {
  const TempFolder folder;
  const auto bytes = [](const std::string& value) { return "U" + little_endian(value.size(), 1) + value; };
  const std::string place = tuple({bytes("storage"), global("torch", "FloatStorage"), bytes("93"),
                                   bytes("cuda:0"), std::string("\x8a\x01\x02", 3), "N"}) +
                            "Q";
  const std::string pairs = "](](" + bytes("lin0.weight") + "q\x01" + tensor(place, 0, {1, 2}, {2, 1}) +
                            "e](" + bytes("lin1.weight") + tensor(place, 1, {1}, {1}) + "ee";
  const std::string root =
      global("collections", "OrderedDict") + pairs + "\x85R}" + bytes("_metadata") + "Nsb";
  put(folder / "old.pth", legacy(root, {"93"}, numbers(2, 2)));
  const TorchFileReader file(folder / "old.pth");
  REQUIRE(file.tensors().size() == 2);
  CHECK(file.at("lin0.weight").shape == std::vector<int64_t>{1, 2});
  CHECK(file.values("lin0.weight") == Numbers{1.5f, 1.5f});
  CHECK(file.values("lin1.weight") == Numbers{1.5f});
}

TEST_CASE("what a pickle names beyond weights is refused by name, and not run") {
  const TempFolder folder;
  const std::string target = (folder / "touched").string();
  const std::string call = global("posix", "system") + text("touch " + target) + "\x85R";
  const std::string expected = "names posix.system, which weights do not need; nothing of it was run";
  CHECK(contains(error_in(folder, legacy({{"a", kOne}, {"b", call}}, 1)), expected));
  CHECK(contains(error_in(folder, legacy(dict({}), {}, "").replace(15, 3, whole(call))), expected));
  CHECK(
      contains(error_in(folder, archive(folder, {{"net/data.pkl", whole(dict({{"b", call}}))}})), expected));
  CHECK_FALSE(std::filesystem::exists(target));
  CHECK(contains(error_in(folder, legacy({{"b", global("torch", "FloatStorage\x1b[2J")}}, 1)),
                 "torch.FloatStorage?[2J"));
  CHECK(contains(error_of([&] { TorchFileReader(fixture("torch_module.pth")); }),
                 "torch_module.pth: names torch.nn.modules.linear.Linear"));
  CHECK(contains(error_of([&] { TorchFileReader(fixture("torch_nested.pth")); }),
                 "torch_nested.pth: 'epoch' is not a tensor; save the weights again: torch.save("));
}

TEST_CASE("cut anywhere it is an error that says so") {
  const TempFolder folder(memory_folder());
  for (const char* name : {"torch_legacy.pth", "torch_zip.pth"}) {
    const std::string whole = read_file(fixture(name));
    for (size_t size = 0; size < whole.size(); ++size) {
      const std::string error = error_in(folder, whole.substr(0, size));
      const bool said = contains(error, "truncated") || contains(error, "breaks off") || size == 0;
      CHECK_MESSAGE((said && !error.empty()), name, " ", size, ": ", error);
    }
  }
  const std::string whole = read_file(fixture("torch_legacy.pth"));
  CHECK(contains(error_in(folder, whole + "x"), "too long: 1 bytes follow the last storage"));
}

TEST_CASE("changed anywhere it is read in bounds or an error") {
  const TempFolder folder(memory_folder());
  for (const char* name : {"torch_legacy.pth", "torch_zip.pth"}) {
    const std::string whole = read_file(fixture(name));
    size_t refused = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
      std::string other = whole;
      other[i] = char(other[i] ^ (i % 2 == 0 ? 1 : 0x90));
      refused += !error_in(folder, other).empty();
    }
    CHECK(refused > whole.size() / 3);  // names, numbers and padding may change unnoticed
    CHECK(refused < whole.size());
  }
}

TEST_CASE("tensors beyond their storage, storages beyond the file") {
  const TempFolder folder;
  const auto error = [&](int64_t count, int64_t offset, const std::vector<int64_t>& shape,
                         const std::vector<int64_t>& strides) {
    return error_in(folder, legacy({{"a", tensor(storage("0", count), offset, shape, strides)}}, count));
  };
  const int64_t huge = INT64_MAX;
  CHECK(error(6, 0, {2, 3}, {3, 1}).empty());
  CHECK(error(6, 5, {0, 3}, {3, 1}).empty());
  CHECK(error(6, 3, {2, 2}, {1, 1}).empty());  // elements that overlap, all of them inside
  const std::string beyond = "more elements than its storage, 6";
  CHECK(contains(error(6, 1, {2, 3}, {3, 1}),
                 "'a' of shape [2, 3] and strides [3, 1] from 1 on has " + beyond));
  CHECK(contains(error(6, 0, {2, 3}, {4, 1}), beyond));
  CHECK(contains(error(6, 0, {7}, {0}), beyond));  // one number seven times
  CHECK(contains(error(6, 0, {huge / 8}, {0}), beyond));
  CHECK(contains(error(6, huge, {1}, {1}), beyond));
  CHECK(contains(error(6, huge, {2}, {huge}), beyond));
  CHECK(contains(error(6, 0, {2}, {huge}), beyond));
  CHECK(contains(error(6, 0, {huge, 2}, {1, 1}), "impossible shape"));
  CHECK(contains(error(6, 0, {2, 3}, {1}), "does not have as many strides as extents"));
  CHECK(contains(error(6, -1, {1}, {1}), "where a number is expected"));
  CHECK(contains(error(6, 0, {-1}, {1}), "where a number is expected"));
  CHECK(contains(error(6, 0, {6}, {-1}), "where a number is expected"));
  CHECK(
      contains(error(6, 0, std::vector<int64_t>(33, 1), std::vector<int64_t>(33, 1)), "at most 32 extents"));
  const auto stored = [&](int64_t count, const std::string& data) {
    return error_in(folder, legacy(dict({{"a", tensor(storage("0", count), 0, {1}, {1})}}), {"0"}, data));
  };
  CHECK(stored(2, numbers(2, 2)).empty());
  CHECK(
      contains(stored(1000000000000, numbers(2, 1000000000000)), "truncated: storage '0' has 4000000000000"));
  CHECK(contains(stored(huge, numbers(2, huge)), "the impossible size"));
  CHECK(contains(stored(2, numbers(2, 3)), "contradicts itself about storage '0'"));
  CHECK(contains(stored(2, numbers(1, 2)), "truncated"));
  CHECK(contains(stored(2, numbers(3, 2)), "too long: 4 bytes"));
}

TEST_CASE("names twice, storages that contradict each other, lack or are too many") {
  const TempFolder folder;
  CHECK(error_in(folder, legacy({{"a", kOne}, {"b", kOne}}, 1)).empty());
  CHECK(contains(error_in(folder, legacy({{"a", kOne}, {"a", kOne}}, 1)), "has 'a' twice"));
  const auto second = [&](const std::string& other) {
    return error_in(folder, legacy({{"a", kOne}, {"b", tensor(other, 0, {1}, {1})}}, 1));
  };
  CHECK(contains(second(storage("0", 2)), "'b' contradicts another tensor about the storage '0'"));
  CHECK(contains(second(storage("0", 1, "IntStorage")), "'b' contradicts another tensor"));
  CHECK(contains(second(storage("1", 1)), "lacks storage '1'"));
  CHECK(contains(second("N"), "'b' has no storage of a supported kind"));
  CHECK(contains(second(integer(1)), "no storage of a supported kind"));
  const std::string root = dict({{"a", kOne}});
  CHECK(contains(error_in(folder, legacy(root, {"0", "0"}, numbers(1, 1) + numbers(1, 1))),
                 "contradicts itself"));
  CHECK(contains(error_in(folder, legacy(root, {"0", "1"}, numbers(1, 1) + numbers(1, 1))),
                 "has a storage '1' that belongs to no tensor"));
  CHECK(contains(error_in(folder, legacy(root, {}, numbers(1, 1))), "too long"));
  const std::string view = tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"),
                                  integer(1), tuple({text("1"), integer(0), integer(1)})}) +
                           "Q";
  CHECK(contains(second(view), "no storage of a supported kind"));
}

TEST_CASE("archives: what is missing, compressed, of the wrong size, big-endian or damaged") {
  const TempFolder folder;
  const std::string pickle = whole(dict({{"a", kOne}})), one = numbers(1, 1).substr(8);
  const Items good{{"net/data.pkl", pickle}, {"net/data/0", one}};
  CHECK(error_in(folder, archive(folder, good)).empty());
  const auto with = [&](const std::string& name, const std::string& bytes) {
    Items entries = good;
    entries.push_back({name, bytes});
    return error_in(folder, archive(folder, entries));
  };
  CHECK(with("net/byteorder", "little").empty());
  CHECK(contains(with("net/byteorder", "big"), "big-endian"));
  CHECK(contains(with("other/data.pkl", pickle), "two files data.pkl"));
  CHECK(with("net/code/data.pkl", pickle).empty());
  CHECK(contains(error_in(folder, archive(folder, {{"net/data.pkl", pickle}})), "lacks storage '0'"));
  CHECK(contains(error_in(folder, archive(folder, {{"net/data.pkl", pickle}, {"net/data/0", one + one}})),
                 "storage '0' should have 4 bytes and has 8"));
  CHECK(contains(error_in(folder, archive(folder, good, ZipWriter::Packing::deflated)), "is compressed"));
  CHECK(contains(error_in(folder, archive(folder, {{"a", "b"}})), "has no data.pkl"));
  std::string damaged = archive(folder, good);
  damaged[damaged.find(one)] ^= 1;
  CHECK(contains(error_in(folder, damaged), "the checksum of 'net/data/0' is wrong"));
}

TEST_CASE("other files, and pickles that stumble") {
  const TempFolder folder;
  CHECK(contains(error_in(folder, ""), "the file is empty"));
  CHECK(contains(error_in(folder, "<!DOCTYPE html><html>"), "an HTML page instead of a file of weights"));
  CHECK(contains(error_in(folder, std::string(100, 'x')), "not a file of torch.save"));
  CHECK(contains(error_of([&] { TorchFileReader(folder / "none.pth"); }), "none.pth: cannot open"));
  CHECK(contains(error_of([&] { TorchFileReader(fixture("npz_stored.npz")); }), "has no data.pkl"));
  const auto root = [&](const std::string& pickle) { return error_in(folder, legacy(pickle, {}, "")); };
  CHECK(root("}").empty());
  CHECK(contains(root("]"), "holds no dict of tensors"));
  CHECK(contains(root("N"), "holds no dict of tensors"));
  CHECK(contains(root("}(K\x01Nu"), "a key that is not a text"));
  CHECK(contains(root("}(" + text("a") + "u"), "a key without a value"));
  CHECK(contains(root("}s"), "takes a value from an empty stack"));
  CHECK(contains(root("}u"), "has no mark"));
  CHECK(contains(root("}}"), "ends with values left over"));
  CHECK(contains(root("}("), "ends with values left over"));
  CHECK(contains(root("](R"), "takes a value from an empty stack"));
  CHECK(contains(root("})R"), "calls something that is not a function"));
  CHECK(contains(root("K\x01K\x02s"), "takes a value from an empty stack"));
  CHECK(contains(root("K\x01K\x02K\x03s"), "adds items to a value that holds none"));
  CHECK(contains(root("h\x05"), "asks for a value that it did not keep"));
  CHECK(contains(root(std::string("\x8a\x09") + std::string(9, '\x01')), "a number beyond 64 bits"));
  CHECK(contains(root("}i"), "has the instruction 105 at byte"));
  CHECK(contains(root("\x80\x04}"), "of protocol 4; only 2 is read"));
  CHECK(contains(root(global("collections", "OrderedDict") + "K\x01\x85R"),
                 "makes an OrderedDict of what is none"));
  const std::string itself = "}q\x01(" + text("a") + "h\x01u";  // a dict that holds itself
  CHECK(contains(root(itself), "'a' is not a tensor"));
}

TEST_CASE("memory is bounded whatever a pickle says") {
  const TempFolder folder;
  [[maybe_unused]] const int64_t before = peak_memory();
  const auto root = [&](const std::string& pickle) { return error_in(folder, legacy(pickle, {}, "")); };
  CHECK(contains(root("X\xff\xff\xff\xff"), "truncated"));
  const size_t megabyte = 1 << 20;
  const std::string expected = "more than 262144 instructions";
  CHECK(contains(root(std::string(4 * megabyte, '}')), expected));
  CHECK(contains(root(std::string(4 * megabyte, '(')), expected));
  // A list of pairs, and OrderedDicts of it again and again.
  std::string pairs = "](](" + text("a") + "Neq\x01";
  for (int i = 0; i < 50000; ++i) pairs += "h\x01";
  std::string dicts = global("collections", "OrderedDict") + "q\x03" + pairs + "e\x85q\x02R";
  for (int i = 0; i < 10000; ++i) dicts += "h\x03h\x02R";
  CHECK(contains(root(dicts), expected));
  std::string tensors = "}(";  // of one description, as many as the limit allows
  tensors += text("first") +
             tensor(storage("0", 1), 0, std::vector<int64_t>(32, 1), std::vector<int64_t>(32, 1)) + "q\x01";
  for (int i = 0; i < 125000; ++i) tensors += "U\x05" + std::to_string(100000 + i).substr(1) + "h\x01";
  tensors += "u";
  CHECK(contains(error_in(folder, legacy(tensors, {"0"}, numbers(1, 1))), "twice"));
#ifndef __SANITIZE_ADDRESS__  // which keeps what was freed
  CHECK(peak_memory() - before < (int64_t(192) << 20));
#endif
}
