#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

/// Pickles (docs.python.org, "pickletools") of protocol 2, as far as PyTorch's writers use it. Nothing that a
/// pickle names is ever looked up or called: what Python would call is kept as a value, to be looked at.
namespace ito::io {

enum class PickleKind : uint8_t {
  none,
  boolean,
  integer,
  real,
  text,
  tuple,
  list,
  dict,
  global,
  call,
  persistent
};

/// Where a value is in its pickle.
using PickleRef = uint32_t;

struct PickleValue {
  PickleKind kind = PickleKind::none;
  int64_t number = 0;     // a boolean's or an integer's; a real's is not kept
  std::string_view text;  // of the pickle's own bytes; a global's is "module\nname"
  /// Of a tuple or list its items; of a dict key, value, key, value; of a call its global and its arguments
  /// (a tuple); of a persistent id the id.
  std::vector<PickleRef> items;
};

/// One pickle, at the front of some bytes that outlive it. An OrderedDict is a dict, and attributes that are
/// set on an object are dropped. Memory is bounded, whatever the pickle says. Error: cut short, damaged, an
/// instruction or a global that is not on the list (it is named), or more than 2^18 instructions.
class Pickle {
 public:
  /// `globals`: those that may be named, as "module\nname".
  Pickle(std::string_view bytes, std::span<const std::string_view> globals);

  const PickleValue& root() const { return values_[root_]; }
  const PickleValue& operator[](PickleRef ref) const { return values_[ref]; }
  /// How many of the bytes were the pickle.
  uint64_t size() const { return size_; }

 private:
  std::vector<PickleValue> values_;
  PickleRef root_ = 0;
  uint64_t size_ = 0;
};

}  // namespace ito::io
