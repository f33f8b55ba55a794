#include "engine/io/npy.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "engine/io/atomic_file.h"
#include "engine/io/mapped_file.h"
#include "kernels/base/byte_order.h"
#include "kernels/base/math.h"

namespace ito::io {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr size_t kMostDimensions = 32;

struct TypeName {
  ElementType type;
  std::string_view name;
};
constexpr std::array<TypeName, 5> kTypeNames{{{ElementType::f32, "<f4"},
                                              {ElementType::f64, "<f8"},
                                              {ElementType::u8, "|u1"},
                                              {ElementType::i32, "<i4"},
                                              {ElementType::i64, "<i8"}}};

/// The header is a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } in any order.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  void parse() {
    expect('{');
    int fields = 0;
    for (; !take('}'); ++fields) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && descr.empty())
        descr = quoted();
      else if (key == "fortran_order")
        fortran_order = boolean();
      else if (key == "shape" && !has_shape_)
        tuple();
      else
        fail(cat("its header has the unexpected field '", key, "'"));
      if (!take(',')) {
        expect('}');
        ++fields;
        break;
      }
    }
    skip_space();
    if (fields != 3 || descr.empty() || !has_shape_ || position_ != text_.size()) {
      fail("its header is not {'descr', 'fortran_order', 'shape'}");
    }
  }

  std::string_view descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;

 private:
  void skip_space() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n')) ++position_;
  }
  bool take(char c) {
    skip_space();
    if (position_ >= text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(cat("its header has no '", c, "' at character ", position_));
  }
  std::string_view quoted() {
    const char quote = take('"') ? '"' : '\'';
    if (quote == '\'') expect('\'');
    const size_t end = text_.find(quote, position_);
    if (end == std::string_view::npos) fail("its header has a text without an end");
    const std::string_view inside = text_.substr(position_, end - position_);
    position_ = end + 1;
    return inside;
  }
  bool boolean() {
    skip_space();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(position_, word.size()) != word) continue;
      position_ += word.size();
      return word == "True";
    }
    fail("its header's fortran_order is neither True nor False");
  }
  int64_t number() {
    skip_space();
    const size_t begin = position_;
    int64_t value = 0;
    for (; position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9'; ++position_) {
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text_[position_] - '0', &value)) {
        fail("its shape has a number beyond 2^63");
      }
    }
    if (position_ == begin) fail(cat("its shape has no number at character ", position_));
    return value;
  }
  void tuple() {
    has_shape_ = true;
    expect('(');
    while (!take(')')) {
      shape.push_back(number());
      if (shape.size() > kMostDimensions) fail(cat("it has more than ", kMostDimensions, " dimensions"));
      if (!take(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view text_;
  size_t position_ = 0;
  bool has_shape_ = false;
};

ElementType type_from_descr(std::string_view descr) {
  for (const TypeName& row : kTypeNames) {
    if (descr == row.name) return row.type;
  }
  if (!descr.empty() && descr.back() == 'O')
    fail("it holds pickled Python objects, which are never executed here; save plain numbers");
  fail(cat("its type is '", descr, "'; expected one of <f4 <f8 |u1 <i4 <i8 (in Python: x.astype('<f4'))"));
}

}  // namespace

uint64_t find_npy_data(std::string_view start, uint64_t size) {
  if (size < 10) fail(cat("truncated: an .npy file has more than 10 bytes, this one has ", size));
  if (start.substr(0, kMagic.size()) != kMagic) fail("not an .npy file: it does not begin with \\x93NUMPY");
  const int major = static_cast<unsigned char>(start[6]);
  if (major != 1 && major != 2) fail(cat("is of .npy version ", major, "; versions 1 and 2 are read"));
  const uint64_t prefix = major == 1 ? 10 : kNpyPrefix;
  if (size < prefix) fail("truncated: the file ends inside its header's length");
  const uint64_t length = load_little(start.data() + 8, prefix - 8);
  if (length > size - prefix) {
    fail(cat("truncated: says its header has ", length, " bytes, the file has ", size - prefix, " after it"));
  }
  return prefix + length;
}

NpyHeader parse_npy_header(std::string_view start, uint64_t size) {
  NpyHeader header;
  header.begin = find_npy_data(start, size);
  const uint64_t prefix = start[6] == 1 ? 10 : kNpyPrefix;
  HeaderParser parser(start.substr(prefix, header.begin - prefix));
  parser.parse();
  header.type = type_from_descr(parser.descr);
  header.shape = parser.shape;
  if (parser.fortran_order)
    fail("is in Fortran order; save it in C order (in Python: np.ascontiguousarray(x))");
  const auto bytes = bytes_of(header.type, header.shape);
  const uint64_t available = size - header.begin;
  if (!bytes) fail(cat("has the impossible shape ", shape_text(header.shape)));
  if (*bytes != available) {
    fail(cat(*bytes > available ? "truncated" : "too long", ": shape ", shape_text(header.shape), " needs ",
             *bytes, " bytes of data, file has ", available));
  }
  header.bytes = *bytes;
  return header;
}

NpyArray read_npy(const std::filesystem::path& path) {
  const MappedFile file(path);
  try {
    const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
    NpyHeader header = parse_npy_header(bytes, bytes.size());
    return {header.type, std::move(header.shape), {file.data() + header.begin, file.data() + file.size()}};
  } catch (const Error& error) {
    error.rethrow_at(path.string());
  }
}

std::string npy_header(ElementType type, const std::vector<int64_t>& shape) {
  std::string_view descr;
  for (const TypeName& row : kTypeNames) {
    if (row.type == type) descr = row.name;
  }
  if (descr.empty() || !bytes_of(type, shape))
    fail(cat(name_of(type), " ", shape_text(shape), " cannot be written as .npy"));
  std::string dimensions;
  for (const int64_t dimension : shape) dimensions += cat(dimension, shape.size() == 1 ? "," : ", ");
  if (shape.size() > 1) dimensions.resize(dimensions.size() - 2);
  std::string header = cat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (", dimensions, "), }");
  const size_t whole = align_up(10 + header.size() + 1, size_t(64));  // the data begins at a multiple of 64
  header.resize(whole - 10 - 1, ' ');
  header += '\n';
  return std::string(kMagic) + '\x01' + '\0' + little_endian(header.size(), 2) + header;
}

void write_npy(const std::filesystem::path& path, ElementType type, const std::vector<int64_t>& shape,
               const void* data) {
  std::string header;
  try {
    header = npy_header(type, shape);
  } catch (const Error& error) {
    error.rethrow_at(path.string());
  }
  AtomicFile file(path);
  file.write(header.data(), header.size());
  file.write(data, *bytes_of(type, shape));
  file.commit();
}

}  // namespace ito::io
