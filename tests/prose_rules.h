#pragma once

#include <algorithm>
#include <cctype>
#include <cstring>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "source_lexer.h"

/// The glossary of docs/style.md as a rule: its left-hand words are in no comment, text or document.
namespace prose_rules {

/// A word of a text in lower case, and where it begins. `follows`: nothing but blanks, a hyphen and the marks of
/// comments are between it and the word before.
struct Word {
  std::string text;
  size_t at;
  bool follows;
};

inline std::vector<Word> words_of(const std::string& text) {
  std::vector<Word> words;
  bool follows = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const auto is_letter = [&](size_t i) {
      return i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_');
    };
    if (!is_letter(at)) {
      follows = follows && std::strchr(" \n\t/*#-", text[at]);
      continue;
    }
    Word word{"", at, follows};
    for (; is_letter(at); ++at) word.text += char(std::tolower(static_cast<unsigned char>(text[at])));
    words.push_back(word);
    --at, follows = true;
  }
  return words;
}

using Phrase = std::vector<Word>;

/// A row of the glossary: words to avoid, phrases with them that are right, and what to write instead.
struct Row {
  std::vector<Phrase> avoid, allowed;
  std::string write;
};

/// What is in backticks.
inline std::vector<Phrase> quoted(const std::string& text) {
  static const std::regex quote("`([^`]+)`");
  std::vector<Phrase> phrases;
  for (std::sregex_iterator it(text.begin(), text.end(), quote), end; it != end; ++it)
    phrases.push_back(words_of((*it)[1]));
  return phrases;
}

/// The table below "| avoid | write |".
inline std::vector<Row> glossary(const std::string& page) {
  static const std::regex row("\\| ([^|(]+)(\\(but [^|)]*\\) )?\\| ([^|]+) \\|");
  std::vector<Row> rows;
  std::istringstream lines(page.substr(page.find("| avoid | write |")));
  std::string line;
  std::getline(lines, line), std::getline(lines, line);  // its head
  for (std::smatch match; std::getline(lines, line) && std::regex_match(line, match, row);)
    rows.push_back({quoted(match[1]), quoted(match[2]), match[3]});
  return rows;
}

/// The phrase begins at word i; it may be broken over lines.
inline bool is_at(const std::vector<Word>& words, size_t i, const Phrase& phrase) {
  for (size_t k = 0; k < phrase.size(); ++k)
    if (i + k >= words.size() || words[i + k].text != phrase[k].text || (k && !words[i + k].follows))
      return false;
  return true;
}

/// How many of the words, from word i on, one of the phrases takes; 0: none is there.
inline size_t words_at(const std::vector<Word>& words, size_t i, const std::vector<Phrase>& phrases) {
  const auto found =
      std::find_if(phrases.begin(), phrases.end(), [&](const Phrase& p) { return is_at(words, i, p); });
  return found == phrases.end() ? 0 : found->size();
}

/// Comments and string literals of source, the rest blank.
inline std::string prose_of(const std::string& source) {
  const std::string code = source_lexer::code_only(source);
  std::string prose = source;
  for (size_t i = 0; i < prose.size(); ++i)
    if (code[i] != ' ' && code[i] != '\n') prose[i] = ' ';
  return prose;
}

/// "path:line: what is wrong" for each phrase of `text` that the glossary avoids.
inline std::vector<std::string> check_words(const std::string& path, const std::string& text,
                                            const std::vector<Row>& rows) {
  static const std::regex source("\\.(h|cpp|cuh?)$");
  const std::vector<Word> words = words_of(std::regex_search(path, source) ? prose_of(text) : text);
  std::vector<std::string> complaints;
  for (size_t i = 0; i < words.size(); ++i)
    for (const Row& row : rows) {
      const size_t count = words_at(words, i, row.avoid);
      if (count == 0 || words_at(words, i, row.allowed)) continue;
      const Word &first = words[i], &last = words[i + count - 1];
      const auto line = 1 + std::count(text.begin(), text.begin() + ptrdiff_t(first.at), '\n');
      complaints.push_back(ito::cat(path, ":", line, ": \"",
                                    text.substr(first.at, last.at + last.text.size() - first.at),
                                    "\"; write: ", row.write));
    }
  return complaints;
}

}  // namespace prose_rules
