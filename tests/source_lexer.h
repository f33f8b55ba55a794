#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

/// Just enough of C++'s lexical rules to find functions in a source file without a compiler.
namespace source_lexer {

/// Parts a text in two of its size, code and comments, by blanking out the rest; of the code also the insides of
/// strings and preprocessor lines. Every line break stays in both.
class Blanker {
 public:
  explicit Blanker(std::string_view text) : in_(text), out_(text), comments_(text) {
    for (char& c : comments_) {
      if (c != '\n') c = ' ';
    }
  }

  std::string comments() {
    run();
    return comments_;
  }
  std::string run() {
    bool line_is_blank = true;
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '#' && line_is_blank)
        blank_directive();
      else if (starts("//") || starts("/*"))
        blank_comment(starts("//") ? "\n" : "*/");
      else if (c == '"')
        blank_string();
      else if (c == '\'' && !is_digit_separator())
        blank_quoted('\'');
      else
        ++at_;
      line_is_blank = c == '\n' || (line_is_blank && std::isspace(static_cast<unsigned char>(c)));
    }
    return out_;
  }

 private:
  bool starts(std::string_view word) const { return in_.substr(at_, word.size()) == word; }
  static bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

  void blank(size_t count) {
    for (const size_t end = std::min(at_ + count, in_.size()); at_ < end; ++at_) {
      if (in_[at_] != '\n') out_[at_] = ' ';
    }
  }
  /// Up to the word, not including it.
  void blank_until(std::string_view word) { blank(std::min(in_.find(word, at_), in_.size()) - at_); }

  void blank_comment(std::string_view end) {
    const size_t begin = at_;
    blank_until(end);
    in_.copy(comments_.data() + begin, at_ - begin, begin);
    if (end == "*/") blank(2);
  }
  /// Up to the line's end, or to the comment behind it.
  void blank_directive() {
    const size_t comment = in_.find("//", at_);
    if (comment < in_.find('\n', at_)) return blank(comment - at_);
    blank_until("\n");
    while (at_ < in_.size() && in_[at_ - 1] == '\\') ++at_, blank_until("\n");
  }
  void blank_quoted(char quote) {
    for (++at_; at_ < in_.size() && in_[at_] != quote;) blank(in_[at_] == '\\' ? 2 : 1);
    ++at_;
  }
  void blank_string() {
    if (at_ == 0 || in_[at_ - 1] != 'R') return blank_quoted('"');
    const size_t open = std::min(in_.find('(', at_), in_.size() - 1);
    const std::string close = ")" + std::string(in_.substr(at_ + 1, open - at_ - 1)) + "\"";
    ++at_;
    blank_until(close);
    blank(close.size() - 1);
    ++at_;
  }
  /// As in 1'000: the word before it begins with a digit.
  bool is_digit_separator() const {
    size_t begin = at_;
    while (begin > 0 && (is_word(in_[begin - 1]) || in_[begin - 1] == '\'')) --begin;
    return begin < at_ && std::isdigit(static_cast<unsigned char>(in_[begin]));
  }

  std::string_view in_;
  std::string out_, comments_;
  size_t at_ = 0;
};

inline std::string code_only(std::string_view text) { return Blanker(text).run(); }
inline std::string comments_only(std::string_view text) { return Blanker(text).comments(); }

struct Function {
  std::string head;
  int first_line = 0, last_line = 0;
};

/// Finds the outermost functions by following braces: the text between the last ; { or } and a brace says
/// whether the brace opens a scope (namespace, class), a function or a list of values.
class FunctionFinder {
 public:
  explicit FunctionFinder(std::string_view text) : code_(code_only(text)) {}

  /// Sets `balanced` to false if the braces do not pair up.
  std::vector<Function> run(bool& balanced) {
    for (; at_ < code_.size(); ++at_) step(code_[at_]);
    balanced = balanced_ && depth_ == 0;
    return functions_;
  }

 private:
  void step(char c) {
    if (c == '\n') ++line_;
    if (c == '(') ++parentheses_;
    if (c == ')') --parentheses_;
    if (c == '{') return open();
    if (c == '}') {
      if (--depth_ < 0) balanced_ = false, depth_ = 0;
      return head_.clear();
    }
    if (c == ';' && parentheses_ == 0) return head_.clear();
    if (c == ':' && (head_ == "public" || head_ == "private" || head_ == "protected")) return head_.clear();
    const bool space = std::isspace(static_cast<unsigned char>(c));
    if (head_.empty() && !space) head_line_ = line_;
    if (!space)
      head_ += c;
    else if (!head_.empty() && head_.back() != ' ')
      head_ += ' ';
  }

  void open() {
    const std::string head = head_.substr(0, head_.find_last_not_of(' ') + 1);
    if (parentheses_ == 0 && is_scope(head)) {
      ++depth_;
      return head_.clear();
    }
    const bool values = parentheses_ > 0 || head.find('(') == std::string::npos || head.back() == '=';
    skip_block();
    const size_t next = code_.find_first_not_of(" \n", at_ + 1);
    // Behind a member's initialiser, x_{1}, comes the next one or the body.
    const bool initialiser = next != std::string::npos && (code_[next] == ',' || code_[next] == '{');
    if (values || initialiser) {
      head_ += "{}";
      return;
    }
    functions_.push_back({head, head_line_, line_});
    head_.clear();
  }

  /// From an opening brace to its closing one.
  void skip_block() {
    int depth = 0;
    for (; at_ < code_.size(); ++at_) {
      if (code_[at_] == '\n') ++line_;
      if (code_[at_] == '{') ++depth;
      if (code_[at_] == '}' && --depth == 0) return;
    }
    balanced_ = false;
  }

  /// The head without its leading template<...>.
  static std::string without_template(const std::string& head) {
    if (head.rfind("template", 0) != 0) return head;
    int depth = 0;
    for (size_t i = 8; i < head.size(); ++i) {
      if (head[i] == '<') ++depth;
      if (head[i] == '>' && --depth == 0) {
        const size_t rest = head.find_first_not_of(' ', i + 1);
        return rest == std::string::npos ? "" : without_template(head.substr(rest));
      }
    }
    return head;
  }

  static bool is_scope(const std::string& whole_head) {
    const std::string head = without_template(whole_head);
    if (head.find("namespace") == 0 || head.find("inline namespace") == 0) return true;
    if (head.find("extern \"") == 0) return head.find('(') == std::string::npos;
    for (const std::string_view word : {"class", "struct", "union", "enum"}) {
      if (head.compare(0, word.size(), word) != 0) continue;
      const std::string rest = head.substr(word.size());
      if (!rest.empty() && rest[0] != ' ' && rest[0] != '[') continue;
      const bool aligned =
          rest.find("alignas(") != std::string::npos || rest.find("__align__(") != std::string::npos;
      return aligned || rest.find('(') == std::string::npos;
    }
    return false;
  }

  std::string code_, head_;
  std::vector<Function> functions_;
  size_t at_ = 0;
  int line_ = 1, head_line_ = 1, depth_ = 0, parentheses_ = 0;
  bool balanced_ = true;
};

inline std::vector<Function> functions_of(std::string_view text, bool& balanced) {
  return FunctionFinder(text).run(balanced);
}

}  // namespace source_lexer
