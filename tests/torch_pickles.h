#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// Pickles of protocol 2 by hand, for files that torch.save would not write.
namespace torch_pickles {

inline std::string little_endian(uint64_t number, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += char(number >> 8 * i & 0xff);
  return text;
}
inline std::string integer(int64_t value) {
  return value >= INT32_MIN && value <= INT32_MAX ? "J" + little_endian(uint64_t(value), 4)
                                                  : "\x8a\x08" + little_endian(uint64_t(value), 8);
}
inline std::string text(const std::string& value) { return "X" + little_endian(value.size(), 4) + value; }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string all = "(";
  for (const std::string& item : items) all += item;
  return all + "t";
}
inline std::string integers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}
inline std::string whole(const std::string& value) { return "\x80\x02" + value + "."; }

inline std::string storage(const std::string& key, int64_t count, const std::string& type = "FloatStorage") {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(count), "N"}) + "Q";
}
inline std::string tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& shape,
                          const std::vector<int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({storage, integer(offset), integers(shape), integers(strides), "\x89",
                global("collections", "OrderedDict") + ")R"}) +
         "R";
}
using Items = std::vector<std::pair<std::string, std::string>>;
inline std::string dict(const Items& items) {
  std::string all = "}(";
  for (const auto& [name, value] : items) all += text(name) + value;
  return all + "u";
}

/// A storage's count and its numbers, all 1.5f.
inline std::string numbers(int64_t count, int64_t said) {
  std::string bytes = little_endian(uint64_t(said), 8);
  for (int64_t i = 0; i < count; ++i) bytes += little_endian(0x3fc00000, 4);
  return bytes;
}

/// The older form around a dict.
inline std::string legacy(const std::string& root, const std::vector<std::string>& keys,
                          const std::string& data) {
  std::string list = "](";
  for (const std::string& key : keys) list += text(key);
  return std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15) + whole(integer(1001)) +
         whole("}(" + text("little_endian") + "\x88u") + whole(root) + whole(list + "e") + data;
}
/// With one storage "0" of `count` numbers for all tensors.
inline std::string legacy(const Items& items, int64_t count) {
  return legacy(dict(items), {"0"}, numbers(count, count));
}

}  // namespace torch_pickles
