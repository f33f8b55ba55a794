#include "engine/io/torch_file.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_set>
#include <utility>

#include "engine/io/pickle.h"
#include "engine/io/printable.h"
#include "engine/io/web_page.h"
#include "engine/io/zip.h"
#include "kernels/base/byte_order.h"
#include "kernels/base/error.h"

namespace ito::io {
namespace {

/// The first pickle of the older form: the number 0x1950a86a20f9469cfc6c.
constexpr std::string_view kMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
constexpr std::string_view kZipMagic("PK\x03\x04", 4);
constexpr int64_t kProtocol = 1001;
constexpr size_t kMostDimensions = 32;
// Of a tree. Values that refer to one another could make it as large as one likes: each may be met once a path.
constexpr int kDeepest = 100;
constexpr uint64_t kMostVisits = 1 << 20;
constexpr const char* kSaveAgain = "save the weights again: torch.save(model.state_dict(), FILE)";

constexpr std::string_view kTensor = "torch._utils\n_rebuild_tensor_v2",
                           kParameter = "torch._utils\n_rebuild_parameter";
/// All globals that a pickle of weights may name.
constexpr std::array<std::string_view, 13> kGlobals{kTensor,
                                                    kParameter,
                                                    "collections\nOrderedDict",
                                                    "torch\nFloatStorage",
                                                    "torch\nDoubleStorage",
                                                    "torch\nHalfStorage",
                                                    "torch\nBFloat16Storage",
                                                    "torch\nLongStorage",
                                                    "torch\nIntStorage",
                                                    "torch\nShortStorage",
                                                    "torch\nCharStorage",
                                                    "torch\nByteStorage",
                                                    "torch\nBoolStorage"};
/// The element types of the storages above, in the same order.
constexpr std::array<ElementType, 10> kTypes{
    ElementType::f32, ElementType::f64, ElementType::f16, ElementType::bf16, ElementType::i64,
    ElementType::i32, ElementType::i16, ElementType::i8,  ElementType::u8,   ElementType::boolean};

struct Storage {
  ElementType type = ElementType::f32;
  int64_t count = 0;
  std::string_view bytes;  // once it is found
};
/// Storages by their keys, which are views of the pickle's bytes.
using Storages = std::map<std::string_view, Storage>;

/// A tensor as the pickle has it, its storage by key.
struct Description {
  TorchTensor tensor;
  std::string_view key;
};

/// Reads the tensors and what storages they need out of a pickle.
class StateDict {
 public:
  StateDict(const Pickle& pickle, TorchContent content) : pickle_(pickle) {
    const PickleValue& root = pickle.root();
    if (content == TorchContent::tree) {
      walk("", root, 0);
      return;
    }
    if (root.kind != PickleKind::dict) fail(cat("holds no dict of tensors; ", kSaveAgain));
    for (size_t i = 0; i < root.items.size(); i += 2) {
      const PickleValue& key = pickle[root.items[i]];
      if (key.kind != PickleKind::text) fail(cat("has a key that is not a text; ", kSaveAgain));
      take_tensor(std::string(key.text), pickle[root.items[i + 1]]);
    }
  }

  std::vector<Description> tensors;
  Storages storages;

 private:
  [[noreturn]] static void fail_tensor(const std::string& name, const std::string& what) {
    fail(cat("'", printable(name), "' ", what));
  }

  /// The arguments, if the value is a call of this global; else null.
  const std::vector<PickleRef>* arguments_of(const PickleValue& value, std::string_view global) const {
    if (value.kind != PickleKind::call || pickle_[value.items[0]].text != global) return nullptr;
    return &pickle_[value.items[1]].items;
  }

  bool is_tensor(const PickleValue& value) const {
    return value.kind == PickleKind::call &&
           (pickle_[value.items[0]].text == kTensor || pickle_[value.items[0]].text == kParameter);
  }

  /// Takes the tensors of a tree; `path` ends with a "/" unless it is empty.
  void walk(const std::string& path, const PickleValue& value, int depth) {
    if (depth > kDeepest || ++visits_ > kMostVisits)
      fail(cat("its lists and dicts are nested beyond ", kDeepest, " levels or ", kMostVisits, " values; ",
               kSaveAgain));
    if (is_tensor(value)) return take_tensor(path.substr(0, path.size() - !path.empty()), value);
    const bool is_dict = value.kind == PickleKind::dict;
    if (!is_dict && value.kind != PickleKind::list && value.kind != PickleKind::tuple) return;
    for (size_t i = 0; i < value.items.size(); i += is_dict ? 2 : 1) {
      const PickleValue& key = pickle_[value.items[i]];
      if (!is_dict)
        walk(cat(path, i, "/"), key, depth + 1);
      else if (key.kind == PickleKind::text)
        walk(cat(path, key.text, "/"), pickle_[value.items[i + 1]], depth + 1);
      else if (key.kind == PickleKind::integer)
        walk(cat(path, key.number, "/"), pickle_[value.items[i + 1]], depth + 1);
    }
  }

  void take_tensor(const std::string& name, const PickleValue& value) {
    if (!names_.insert(name).second)
      fail(cat("has '", printable(name), "' twice; the file is damaged, download it again"));
    if (const auto* wrapped = arguments_of(value, kParameter); wrapped && !wrapped->empty())
      return describe(name, pickle_[(*wrapped)[0]]);
    describe(name, value);
  }

  void describe(const std::string& name, const PickleValue& value) {
    const std::vector<PickleRef>* arguments = arguments_of(value, kTensor);
    if (!arguments) fail_tensor(name, cat("is not a tensor; ", kSaveAgain));
    if (arguments->size() < 4)
      fail_tensor(name, "is a tensor without strides; the file is damaged, download it again");
    Description description;
    TorchTensor& tensor = description.tensor;
    tensor.name = name;
    const auto& [key, storage] = storage_of(name, pickle_[(*arguments)[0]]);
    description.key = key;
    tensor.type = storage.type;
    tensor.offset = number(name, (*arguments)[1]);
    tensor.shape = numbers(name, (*arguments)[2]);
    tensor.strides = numbers(name, (*arguments)[3]);
    check_extent(tensor, storage.count);
    tensors.push_back(std::move(description));
  }

  int64_t number(const std::string& name, PickleRef ref) const {
    const PickleValue& value = pickle_[ref];
    if (value.kind != PickleKind::integer || value.number < 0)
      fail_tensor(name,
                  "has something else where a number is expected; the file is damaged, download it again");
    return value.number;
  }
  std::vector<int64_t> numbers(const std::string& name, PickleRef ref) const {
    const PickleValue& value = pickle_[ref];
    if (value.kind != PickleKind::tuple || value.items.size() > kMostDimensions)
      fail_tensor(name, cat("has no shape of at most ", kMostDimensions, " extents; the file is damaged"));
    std::vector<int64_t> numbers;
    for (const PickleRef item : value.items) numbers.push_back(number(name, item));
    return numbers;
  }

  /// ('storage', type, key, place, count[, view]): equal keys mean the same storage.
  Storages::const_reference storage_of(const std::string& name, const PickleValue& value) {
    if (value.kind == PickleKind::persistent && pickle_[value.items[0]].kind == PickleKind::tuple) {
      const std::vector<PickleRef>& id = pickle_[value.items[0]].items;
      const auto kind = [&](size_t i) { return pickle_[id[i]].kind; };
      const bool fits = (id.size() == 5 || id.size() == 6) && kind(0) == PickleKind::text &&
                        pickle_[id[0]].text == "storage" && kind(1) == PickleKind::global &&
                        kind(2) == PickleKind::text && (id.size() == 5 || kind(5) == PickleKind::none);
      if (fits) return add_storage(name, pickle_[id[1]].text, pickle_[id[2]].text, number(name, id[4]));
    }
    fail_tensor(name, "has no storage of a supported kind; " + std::string(kSaveAgain));
  }

  Storages::const_reference add_storage(const std::string& name, std::string_view global,
                                        std::string_view key, int64_t count) {
    const auto row = std::find(kGlobals.end() - kTypes.size(), kGlobals.end(), global);
    if (row == kGlobals.end())
      fail_tensor(name, "has a storage without a type; the file is damaged, download it again");
    Storage storage;
    storage.type = kTypes[size_t(row - (kGlobals.end() - kTypes.size()))];
    storage.count = count;
    const auto [place, fresh] = storages.emplace(key, storage);
    if (!fresh && (place->second.type != storage.type || place->second.count != count))
      fail_tensor(name, cat("contradicts another tensor about the storage '", printable(key), "'"));
    return *place;
  }

  /// Every element lies in the storage, which has at least as many as the tensor.
  static void check_extent(const TorchTensor& tensor, int64_t count) {
    if (tensor.strides.size() != tensor.shape.size())
      fail_tensor(tensor.name,
                  "does not have as many strides as extents; the file is damaged, download it again");
    const auto bytes = bytes_of(tensor.type, tensor.shape);
    if (!bytes) fail_tensor(tensor.name, cat("has the impossible shape ", shape_text(tensor.shape)));
    int64_t last = tensor.offset;
    const bool empty = *bytes == 0;
    bool fits = tensor.size() <= count;
    for (size_t i = 0; i < tensor.shape.size() && !empty; ++i) {
      int64_t step;
      fits = fits && !__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &step) &&
             !__builtin_add_overflow(last, step, &last);
    }
    if (!fits || (!empty && last >= count))
      fail_tensor(tensor.name,
                  cat("of shape ", shape_text(tensor.shape), " and strides ", shape_text(tensor.strides),
                      " from ", tensor.offset, " on has more elements than its storage, ", count,
                      "; save it whole: x.contiguous()"));
  }

  const Pickle& pickle_;
  std::unordered_set<std::string> names_;
  uint64_t visits_ = 0;
};

uint64_t bytes_in(const Storage& storage, std::string_view key) {
  const auto bytes = bytes_of(storage.type, {storage.count});
  if (!bytes) fail(cat("storage '", printable(key), "' has the impossible size of ", storage.count));
  return *bytes;
}

/// The older form: pickles of a magic number, a version, sizes of C's types, the dict and the storages' keys;
/// then for each key a count (8 bytes) and the numbers.
std::vector<Description> read_pickles(std::string_view rest, TorchContent content) {
  rest.remove_prefix(kMagic.size());
  const auto next = [&](std::span<const std::string_view> globals) {
    Pickle pickle(rest, globals);
    rest.remove_prefix(pickle.size());
    return pickle;
  };
  const Pickle version = next({});
  if (version.root().kind != PickleKind::integer || version.root().number != kProtocol)
    fail(cat("is of a version other than ", kProtocol, " of torch.save's older form; ", kSaveAgain));
  const Pickle machine = next({});
  const std::vector<PickleRef>& facts = machine.root().items;
  for (size_t i = 0; machine.root().kind == PickleKind::dict && i < facts.size(); i += 2)
    if (machine[facts[i]].text == "little_endian" && machine[facts[i + 1]].number == 0)
      fail("was written on a big-endian machine, which is not supported; save it again on another");
  const Pickle weights = next(kGlobals), keys = next({});
  StateDict dict(weights, content);
  if (keys.root().kind != PickleKind::list)
    fail("has no list of storages; the file is damaged, download it again");
  for (const PickleRef ref : keys.root().items) {
    const auto found = dict.storages.find(keys[ref].text);
    if (keys[ref].kind != PickleKind::text || found == dict.storages.end())
      fail(cat("has a storage '", printable(keys[ref].text), "' that belongs to no tensor; ", kSaveAgain));
    Storage& storage = found->second;
    const uint64_t bytes = bytes_in(storage, found->first);
    if (rest.size() < 8 || bytes > rest.size() - 8)
      fail(cat("truncated: storage '", printable(found->first), "' has ", bytes, " bytes, the file has ",
               rest.size() - std::min<uint64_t>(8, rest.size()), " left; download it again"));
    if (load_little<int64_t>(rest.data()) != storage.count || storage.bytes.data())
      fail(cat("contradicts itself about storage '", printable(found->first),
               "'; the file is damaged, download it again"));
    storage.bytes = rest.substr(8, bytes);
    rest.remove_prefix(8 + bytes);
  }
  if (!rest.empty())
    fail(cat("too long: ", rest.size(), " bytes follow the last storage; download it again"));
  for (Description& tensor : dict.tensors) {
    const Storage& storage = dict.storages.find(tensor.key)->second;
    if (!storage.bytes.data())
      fail(cat("lacks storage '", printable(tensor.key), "'; the file is damaged, download it again"));
    tensor.tensor.storage = storage.bytes;
  }
  return std::move(dict.tensors);
}

/// The bytes of an entry that has to be stored as it is, its checksum compared.
std::string_view entry_bytes(const ZipReader& zip, const ZipEntry& entry) {
  if (entry.method != 0)
    fail(cat("'", printable(entry.name), "' is compressed, and torch.save compresses nothing"));
  const std::string_view bytes = zip.packed(entry);
  if (crc32(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()) != entry.checksum)
    fail(cat("the checksum of '", printable(entry.name),
             "' is wrong; the file is damaged, download it again"));
  return bytes;
}

/// The newer form: FOLDER/data.pkl and, for each key, FOLDER/data/KEY.
std::vector<Description> read_archive(std::string_view file, TorchContent content) {
  const ZipReader zip(file, "its archive");
  constexpr std::string_view kPickle = "/data.pkl";
  std::string folder;
  for (const ZipEntry& entry : zip.entries()) {
    const std::string_view name = entry.name;
    if (name.size() <= kPickle.size() || name.substr(name.size() - kPickle.size()) != kPickle) continue;
    const std::string_view before = name.substr(0, name.size() - kPickle.size());
    if (before.find('/') != std::string_view::npos) continue;
    if (!folder.empty()) fail("has two files data.pkl; such an archive is not read");
    folder = before;
  }
  if (folder.empty()) fail("is a zip archive, but not of torch.save: it has no data.pkl");
  if (const ZipEntry* order = zip.find(folder + "/byteorder"); order && entry_bytes(zip, *order) != "little")
    fail("was written on a big-endian machine, which is not supported; save it again on another");
  const Pickle pickle(entry_bytes(zip, *zip.find(folder + std::string(kPickle))), kGlobals);
  StateDict dict(pickle, content);
  for (auto& [key, storage] : dict.storages) {
    const ZipEntry* entry = zip.find(cat(folder, "/data/", key));
    if (!entry) fail(cat("lacks storage '", printable(key), "'; the file is damaged, download it again"));
    if (entry->bytes != bytes_in(storage, key))
      fail(cat("storage '", printable(key), "' should have ", bytes_in(storage, key), " bytes and has ",
               entry->bytes, "; the file is damaged, download it again"));
    storage.bytes = entry_bytes(zip, *entry);
  }
  for (Description& tensor : dict.tensors)
    tensor.tensor.storage = dict.storages.find(tensor.key)->second.bytes;
  return std::move(dict.tensors);
}

std::vector<Description> read_either(std::string_view file, TorchContent content) {
  if (file.substr(0, kZipMagic.size()) == kZipMagic) return read_archive(file, content);
  if (file.substr(0, kMagic.size()) == kMagic) return read_pickles(file, content);
  if (file.empty()) fail("the file is empty; download it again");
  if (kMagic.substr(0, file.size()) == file || kZipMagic.substr(0, file.size()) == file)
    fail("truncated: the file ends within its first bytes; download it again");
  if (is_web_page(file)) fail("an HTML page instead of a file of weights; download the file again");
  fail(cat("not a file of torch.save; ", kSaveAgain));
}

/// The elements of the axes from `axis` on, in C order.
void read_strided(const TorchTensor& tensor, size_t axis, int64_t at, float*& to) {
  const auto size = int64_t(size_of(tensor.type));
  const auto* numbers = reinterpret_cast<const std::byte*>(tensor.storage.data());
  if (axis == tensor.shape.size()) return to_f32(tensor.type, numbers + at * size, 1, to++);
  if (axis + 1 == tensor.shape.size() && tensor.strides[axis] == 1) {
    to_f32(tensor.type, numbers + at * size, tensor.shape[axis], to);
    to += tensor.shape[axis];
    return;
  }
  for (int64_t i = 0; i < tensor.shape[axis]; ++i)
    read_strided(tensor, axis + 1, at + i * tensor.strides[axis], to);
}

}  // namespace

int64_t TorchTensor::size() const {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

TorchFileReader::TorchFileReader(const std::filesystem::path& path, TorchContent content) : file_(path) {
  try {
    const std::string_view bytes(reinterpret_cast<const char*>(file_.data()), file_.size());
    for (Description& tensor : read_either(bytes, content)) tensors_.push_back(std::move(tensor.tensor));
  } catch (const Error& error) {
    error.rethrow_at(path.string());
  }
  for (size_t i = 0; i < tensors_.size(); ++i) index_[tensors_[i].name] = i;
}

const TorchTensor* TorchFileReader::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TorchTensor& TorchFileReader::at(const std::string& name) const {
  const TorchTensor* tensor = find(name);
  if (!tensor) fail(cat(path().string(), ": has no tensor '", name, "' among its ", tensors_.size()));
  return *tensor;
}

const TorchTensor& TorchFileReader::real_at(const std::string& name) const {
  const TorchTensor& tensor = at(name);
  if (!is_real(tensor.type))
    fail(cat(path().string(), ": '", name, "' is ", name_of(tensor.type), "; real numbers are expected"));
  return tensor;
}

void TorchFileReader::read(const std::string& name, const TakeNumbers& take, int64_t most) const {
  const TorchTensor& tensor = real_at(name);
  if (tensor.size() == 0) return;
  const bool scalar = tensor.shape.empty();
  const int64_t rows = scalar ? 1 : tensor.shape[0], row = tensor.size() / rows;
  const int64_t stride = scalar ? 0 : tensor.strides[0], some = std::max<int64_t>(1, most / row);
  std::vector<float> piece;
  for (int64_t first = 0; first < rows; first += some) {
    const int64_t last = std::min(rows, first + some);
    piece.resize(size_t((last - first) * row));
    float* position = piece.data();
    for (int64_t i = first; i < last; ++i)
      read_strided(tensor, scalar ? 0 : 1, tensor.offset + i * stride, position);
    take(piece);
  }
}

void TorchFileReader::read(const std::string& name, std::span<float> to) const {
  const TorchTensor& tensor = real_at(name);
  if (int64_t(to.size()) != tensor.size())
    fail(cat(path().string(), ": '", name, "' is of shape ", shape_text(tensor.shape), ", and ", to.size(),
             " numbers are wanted"));
  if (to.empty()) return;
  float* position = to.data();
  read_strided(tensor, 0, tensor.offset, position);
}

std::vector<float> TorchFileReader::values(const std::string& name) const {
  std::vector<float> numbers(size_t(at(name).size()));
  read(name, numbers);
  return numbers;
}

}  // namespace ito::io
