#include "engine/io/pickle.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "engine/io/printable.h"
#include "kernels/base/byte_order.h"
#include "kernels/base/error.h"

namespace ito::io {
namespace {

constexpr uint64_t kMostInstructions = 1 << 18;  // a tensor takes about 40
constexpr std::string_view kOrderedDict = "collections\nOrderedDict";

/// Executes the instructions on a stack of values, a list of marks in it, and a memo of numbered values.
class Unpickler {
 public:
  Unpickler(std::string_view bytes, std::span<const std::string_view> globals)
      : bytes_(bytes), globals_(globals) {}

  /// Returns the value that STOP leaves.
  PickleRef run() {
    for (;;) {
      spend(1);
      const char instruction = take(1)[0];
      if (instruction == '.') break;
      if (!execute_value(instruction) && !execute_container(instruction) && !execute_object(instruction))
        refuse_instruction(instruction);
    }
    if (stack_.size() != 1 || !marks_.empty()) fail_damaged("ends with values left over");
    return stack_[0];
  }

  std::vector<PickleValue>& values() { return values_; }
  uint64_t position() const { return position_; }

 private:
  [[noreturn]] void fail_damaged(const char* what) const {
    fail(cat("the pickle at byte ", position_, " ", what, "; the file is damaged, download it again"));
  }
  [[noreturn]] void refuse_instruction(char instruction) const {
    fail(cat("its pickle has the instruction ", int(static_cast<unsigned char>(instruction)), " at byte ",
             position_ - 1,
             ", which is not supported; save the weights again: torch.save(model.state_dict(), FILE)"));
  }

  /// What keeps memory in bounds: a value has a bounded size for each instruction that made it.
  void spend(uint64_t instructions) {
    if (instructions > left_)
      fail(cat("its pickle has more than ", kMostInstructions, " instructions, more than weights need"));
    left_ -= instructions;
  }
  std::string_view take(uint64_t bytes) {
    if (bytes > bytes_.size() - position_)
      fail("truncated: the file ends within its pickle; download it again");
    const std::string_view part = bytes_.substr(position_, bytes);
    position_ += bytes;
    return part;
  }
  /// Little-endian, unsigned.
  uint64_t number(int bytes) { return load_little(take(uint64_t(bytes)).data(), size_t(bytes)); }
  /// Two's complement of any width, as LONG1 has it.
  int64_t signed_number(int bytes) {
    if (bytes == 0) return 0;
    if (bytes > 8) fail_damaged("has a number beyond 64 bits");
    const int unused = 64 - 8 * bytes;
    return int64_t(number(bytes) << unused) >> unused;
  }
  std::string_view line() {
    const size_t end = bytes_.find('\n', position_);
    if (end == std::string_view::npos) fail("truncated: the file ends within its pickle; download it again");
    const std::string_view text = take(end - position_);
    take(1);
    return text;
  }

  void push(PickleRef ref) { stack_.push_back(ref); }
  PickleValue& push_new(PickleKind kind, int64_t number = 0, std::string_view text = {}) {
    push(PickleRef(values_.size()));
    return values_.emplace_back(PickleValue{kind, number, text, {}});
  }
  /// Where the part of the stack above its last mark begins.
  size_t bottom() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleRef pop() {
    if (stack_.size() <= bottom()) fail_damaged("takes a value from an empty stack");
    const PickleRef top = stack_.back();
    stack_.pop_back();
    return top;
  }
  std::vector<PickleRef> pop_last(size_t count) {
    if (stack_.size() - bottom() < count) fail_damaged("takes a value from an empty stack");
    std::vector<PickleRef> items(stack_.end() - ptrdiff_t(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }
  std::vector<PickleRef> pop_to_mark() {
    if (marks_.empty()) fail_damaged("has no mark");
    std::vector<PickleRef> items = pop_last(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }
  /// The value on top of the stack, which grows by `items`.
  void grow_top(PickleKind kind, const std::vector<PickleRef>& items) {
    if (stack_.size() <= bottom()) fail_damaged("takes a value from an empty stack");
    PickleValue& value = values_[stack_.back()];
    if (value.kind != kind) fail_damaged("adds items to a value that holds none");
    if (kind == PickleKind::dict && items.size() % 2 != 0) fail_damaged("has a key without a value");
    value.items.insert(value.items.end(), items.begin(), items.end());
  }

  bool execute_value(char instruction) {
    switch (instruction) {
      case 'N':
        push_new(PickleKind::none);
        return true;
      case '\x88':
        push_new(PickleKind::boolean, 1);
        return true;
      case '\x89':
        push_new(PickleKind::boolean, 0);
        return true;
      case 'K':
        push_new(PickleKind::integer, int64_t(number(1)));
        return true;
      case 'M':
        push_new(PickleKind::integer, int64_t(number(2)));
        return true;
      case 'J':
        push_new(PickleKind::integer, signed_number(4));
        return true;
      case '\x8a':
        push_new(PickleKind::integer, signed_number(int(number(1))));
        return true;
      case 'G':
        take(8), push_new(PickleKind::real);
        return true;
      case 'U':
        push_text(number(1));
        return true;  // texts of Python 2
      case 'T':
      case 'X':
        push_text(number(4));
        return true;
      default:
        return false;
    }
  }
  void push_text(uint64_t bytes) { push_new(PickleKind::text, 0, take(bytes)); }

  bool execute_container(char instruction) {
    switch (instruction) {
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case ')':
        push_new(PickleKind::tuple);
        return true;
      case ']':
        push_new(PickleKind::list);
        return true;
      case '}':
        push_new(PickleKind::dict);
        return true;
      case '\x85':
        push_tuple(pop_last(1));
        return true;
      case '\x86':
        push_tuple(pop_last(2));
        return true;
      case '\x87':
        push_tuple(pop_last(3));
        return true;
      case 't':
        push_tuple(pop_to_mark());
        return true;
      case 'a':
        grow_top(PickleKind::list, pop_last(1));
        return true;
      case 'e':
        grow_top(PickleKind::list, pop_to_mark());
        return true;
      case 's':
        grow_top(PickleKind::dict, pop_last(2));
        return true;
      case 'u':
        grow_top(PickleKind::dict, pop_to_mark());
        return true;
      default:
        return false;
    }
  }
  void push_tuple(std::vector<PickleRef> items) { push_new(PickleKind::tuple).items = std::move(items); }

  bool execute_object(char instruction) {
    switch (instruction) {
      case '\x80':
        if (const uint64_t protocol = number(1); protocol != 2)
          fail(cat("its pickle is of protocol ", protocol, "; only 2 is read, torch.save's default"));
        return true;
      case 'q':
        memo_[uint32_t(number(1))] = top();
        return true;
      case 'r':
        memo_[uint32_t(number(4))] = top();
        return true;
      case 'h':
        push(remembered(uint32_t(number(1))));
        return true;
      case 'j':
        push(remembered(uint32_t(number(4))));
        return true;
      case 'c':
        push_global();
        return true;
      case 'R':
        call();
        return true;
      case 'Q': {
        const PickleRef id = pop();
        push_new(PickleKind::persistent).items = {id};
        return true;
      }
      case 'b':
        pop(), top();
        return true;  // the object stays as it is
      default:
        return false;
    }
  }
  PickleRef top() const {
    if (stack_.size() <= bottom()) fail_damaged("takes a value from an empty stack");
    return stack_.back();
  }
  PickleRef remembered(uint32_t index) const {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail_damaged("asks for a value that it did not keep");
    return found->second;
  }
  void push_global() {
    const uint64_t begin = position_;
    const std::string_view module = line(), name = line();
    const std::string_view global = bytes_.substr(begin, module.size() + 1 + name.size());
    if (std::find(globals_.begin(), globals_.end(), global) == globals_.end())
      fail(cat("names ", printable(module), ".", printable(name),
               ", which weights do not need; nothing of it was run. Save the weights alone: "
               "torch.save(model.state_dict(), FILE)"));
    push_new(PickleKind::global, 0, global);
  }
  void call() {
    const PickleRef arguments = pop(), callable = pop();
    if (values_[callable].kind != PickleKind::global || values_[arguments].kind != PickleKind::tuple)
      fail_damaged("calls something that is not a function");
    if (values_[callable].text == kOrderedDict)
      push_new(PickleKind::dict).items = pairs_of(arguments);
    else
      push_new(PickleKind::call).items = {callable, arguments};
  }
  /// An OrderedDict has no arguments or, from Python 2, a list of lists of a key and a value.
  std::vector<PickleRef> pairs_of(PickleRef arguments) {
    std::vector<PickleRef> items;
    const PickleValue& tuple = values_[arguments];
    if (tuple.items.empty()) return items;
    const PickleValue& pairs = values_[tuple.items[0]];
    if (tuple.items.size() != 1 || pairs.kind != PickleKind::list)
      fail_damaged("makes an OrderedDict of what is none");
    spend(pairs.items.size());
    for (const PickleRef ref : pairs.items) {
      const PickleValue& pair = values_[ref];
      const bool fits =
          (pair.kind == PickleKind::list || pair.kind == PickleKind::tuple) && pair.items.size() == 2;
      if (!fits) fail_damaged("makes an OrderedDict of what is none");
      items.insert(items.end(), pair.items.begin(), pair.items.end());
    }
    return items;
  }

  std::string_view bytes_;
  std::span<const std::string_view> globals_;
  uint64_t position_ = 0, left_ = kMostInstructions;
  std::vector<PickleValue> values_;
  std::vector<PickleRef> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint32_t, PickleRef> memo_;
};

}  // namespace

Pickle::Pickle(std::string_view bytes, std::span<const std::string_view> globals) {
  Unpickler unpickler(bytes, globals);
  root_ = unpickler.run();
  size_ = unpickler.position();
  values_ = std::move(unpickler.values());
}

}  // namespace ito::io
