#include <algorithm>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "engine/io/json_text.h"
#include "engine/io/safetensors.h"
#include "kernels/base/byte_order.h"
#include "kernels/base/error.h"

namespace ito::io {
namespace {

using nlohmann::json;

constexpr uint64_t kPrefixBytes = 8;
constexpr uint64_t kLargestHeader = 100'000'000;  // the format's own limit
constexpr size_t kMostDimensions = 32;
constexpr char kMetadataKey[] = "__metadata__";

/// Hands over each member of the header as soon as it is parsed, and keeps none: a hostile header cannot make the
/// parser build more than is accepted. Refuses deep nesting and repeated keys inside
/// a member.
class HeaderVisitor {
 public:
  using Take = std::function<void(const std::string& name, const json& value)>;
  explicit HeaderVisitor(Take take) : take_(std::move(take)) {}

  /// nlohmann's parser callback; depth 1 is a member of the header, 2 inside it, 3 inside its shape or range.
  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    const bool starts = event == Event::object_start || event == Event::array_start;
    if (starts && (depth > 2 || (depth == 2 && event == Event::object_start))) refuse("is nested too deeply");
    if (event == Event::array_start && depth < 2) refuse("is not an object");
    if (event == Event::value && depth < 2) refuse("is not an object");
    if (event == Event::key && depth == 1) name_ = parsed.get<std::string>(), keys_ = 0;
    if (event == Event::key && depth == 2) ++keys_;
    if (event == Event::array_start) elements_ = 0;
    if (event == Event::value && depth == 3 && ++elements_ > kMostDimensions) refuse("has too long a list");
    if (event != Event::object_end || depth != 1) return true;
    if (keys_ != parsed.size()) refuse("repeats a key");
    take_(name_, parsed);
    return false;
  }

 private:
  [[noreturn]] void refuse(const char* what) const {
    fail(name_.empty() ? cat("it ", what) : cat("'", name_, "' ", what));
  }

  Take take_;
  std::string name_;
  size_t keys_ = 0, elements_ = 0;
};

/// A list of numbers in [0, 2^63). Anything else is an error.
std::vector<int64_t> parse_numbers(const std::string& name, const json& list, const char* what) {
  std::vector<int64_t> numbers;
  for (const json& item : list) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > uint64_t(INT64_MAX)) {
      fail(cat("'", name, "' has a bad ", what, ": ", io::json_text(list)));
    }
    numbers.push_back(item.get<int64_t>());
  }
  return numbers;
}

TensorInfo parse_tensor(const std::string& name, const json& value) {
  const auto dtype = value.find("dtype"), shape = value.find("shape"), offsets = value.find("data_offsets");
  if (value.size() != 3 || dtype == value.end() || shape == value.end() || offsets == value.end() ||
      !dtype->is_string() || !shape->is_array() || !offsets->is_array() || offsets->size() != 2) {
    fail(cat("'", name, "' is not {dtype, shape, data_offsets: [begin, end]}"));
  }
  TensorInfo tensor;
  tensor.name = name;
  const std::string type_name = dtype->get<std::string>();
  const auto type = element_type_from_name(type_name);
  if (!type) fail(cat("'", name, "' has the unknown dtype '", type_name, "'"));
  tensor.type = *type;
  tensor.shape = parse_numbers(name, *shape, "shape");
  const std::vector<int64_t> range = parse_numbers(name, *offsets, "range");
  tensor.begin = uint64_t(range[0]), tensor.end = uint64_t(range[1]);
  const auto bytes = bytes_of(tensor.type, tensor.shape);
  if (!bytes || tensor.begin > tensor.end || tensor.bytes() != *bytes) {
    fail(cat("'", name, "' is ", type_name, " ", shape_text(tensor.shape), ", which contradicts its range [",
             tensor.begin, ", ", tensor.end, ")"));
  }
  return tensor;
}

}  // namespace

SafetensorsReader::SafetensorsReader(const std::filesystem::path& path) : file_(path) {
  const std::string name = path.string();
  if (file_.size() < kPrefixBytes) {
    fail(cat(name, ": truncated: a safetensors file has at least 8 bytes, this one has ", file_.size()));
  }
  const uint64_t header_bytes = load_little<uint64_t>(file_.data());
  if (header_bytes > kLargestHeader) {
    fail(cat(name, ": not a safetensors file: says its header has ", header_bytes, " bytes (at most ",
             kLargestHeader, ")"));
  }
  if (header_bytes > file_.size() - kPrefixBytes) {
    fail(cat(name, ": truncated: says its header has ", header_bytes, " bytes, the file has ",
             file_.size() - kPrefixBytes, " after the first 8"));
  }
  data_ = file_.data() + kPrefixBytes + header_bytes;
  try {
    parse_header(header_bytes);
    check_ranges(file_.size() - kPrefixBytes - header_bytes);
  } catch (const Error& error) {
    error.rethrow_at(name);
  } catch (const json::exception& error) {
    fail(cat(name, ": not a safetensors file: ", error.what()));
  }
}

void SafetensorsReader::parse_header(uint64_t header_bytes) {
  const char* text = reinterpret_cast<const char*>(file_.data() + kPrefixBytes);
  if (header_bytes == 0 || text[0] != '{') fail("not a safetensors file: its header does not begin with '{'");
  bool has_metadata = false;
  HeaderVisitor visitor([&](const std::string& name, const json& value) {
    if (name == kMetadataKey) {
      if (has_metadata) fail("its header has __metadata__ twice");
      has_metadata = true;
      for (const auto& [key, item] : value.items()) {
        if (!item.is_string()) fail(cat("__metadata__ '", key, "' is not a string"));
        metadata_[key] = item.get<std::string>();
      }
      return;
    }
    if (!index_.emplace(name, 0).second) fail(cat("its header has '", name, "' twice"));
    tensors_.push_back(parse_tensor(name, value));
  });
  [[maybe_unused]] const json emptied = json::parse(text, text + header_bytes, std::ref(visitor));
}

/// The ranges must cover the data exactly, each byte once.
void SafetensorsReader::check_ranges(uint64_t data_bytes) {
  std::sort(tensors_.begin(), tensors_.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t position = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const TensorInfo& tensor = tensors_[i];
    if (tensor.begin > position) {
      fail(cat("bytes ", position, " to ", tensor.begin, " before '", tensor.name, "' belong to no tensor"));
    }
    if (tensor.begin < position) fail(cat("'", tensors_[i - 1].name, "' and '", tensor.name, "' overlap"));
    position = tensor.end;
    index_[tensor.name] = i;
  }
  if (position > data_bytes) {
    fail(cat("truncated: header says ", position, " bytes of data, file has ", data_bytes));
  }
  if (position < data_bytes) {
    fail(cat("too long: header says ", position, " bytes of data, file has ", data_bytes));
  }
}

const TensorInfo* SafetensorsReader::find(const std::string& name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

const TensorInfo& SafetensorsReader::at(const std::string& name) const {
  const TensorInfo* tensor = find(name);
  if (!tensor) fail(cat(path().string(), ": has no tensor '", name, "' among its ", tensors_.size()));
  return *tensor;
}

void SafetensorsReader::copy_values(const std::string& name, ElementType wanted, void* destination) const {
  const TensorInfo& tensor = at(name);
  if (tensor.type != wanted) {
    fail(cat(path().string(), ": '", name, "' is ", name_of(tensor.type), ", expected ", name_of(wanted)));
  }
  if (tensor.bytes() > 0) std::memcpy(destination, data(tensor), tensor.bytes());
}

const TensorInfo& SafetensorsReader::real_at(const std::string& name) const {
  const TensorInfo& tensor = at(name);
  if (!is_real(tensor.type))
    fail(cat(path().string(), ": '", name, "' is ", name_of(tensor.type), ", expected real numbers"));
  return tensor;
}

void SafetensorsReader::reals(const std::string& name, const TakeNumbers& take, int64_t most) const {
  const TensorInfo& tensor = real_at(name);
  const auto size = int64_t(size_of(tensor.type)), count = int64_t(tensor.bytes()) / size;
  std::vector<float> piece(size_t(std::min(count, most)));
  for (int64_t first = 0; first < count; first += most) {
    const int64_t n = std::min(most, count - first);
    to_f32(tensor.type, data(tensor) + first * size, n, piece.data());
    take({piece.data(), size_t(n)});
  }
}

std::vector<float> SafetensorsReader::reals(const std::string& name) const {
  const TensorInfo& tensor = real_at(name);
  std::vector<float> result(tensor.bytes() / size_of(tensor.type));
  to_f32(tensor.type, data(tensor), int64_t(result.size()), result.data());
  return result;
}

}  // namespace ito::io
