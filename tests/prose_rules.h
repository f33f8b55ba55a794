#pragma once

#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "source_lexer.h"

/// The glossary of docs/style.md as a rule: its left-hand words are in no comment, text or document.
namespace prose_rules {

/// A row of the glossary: words to avoid, phrases with them that are right, and what to write instead.
struct Row {
  std::vector<std::string> avoid, allowed;
  std::string write;
};

/// The words in backticks.
inline std::vector<std::string> quoted(const std::string& text) {
  static const std::regex word("`([^`]+)`");
  std::vector<std::string> words;
  for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it)
    words.push_back((*it)[1]);
  return words;
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

/// Finds whole words in any case; a phrase may be broken over lines, of comments too.
inline std::regex pattern(const std::string& phrase) {
  return std::regex("\\b" + std::regex_replace(phrase, std::regex(" "), "[\\s/*#]+") + "\\b",
                    std::regex::icase | std::regex::optimize);
}

/// Comments and string literals of source, the rest blank.
inline std::string prose_of(const std::string& source) {
  const std::string code = source_lexer::code_only(source);
  std::string prose = source;
  for (size_t i = 0; i < prose.size(); ++i)
    if (code[i] != ' ' && code[i] != '\n') prose[i] = ' ';
  return prose;
}

/// "path:line: what is wrong" for each word of `text` that the glossary avoids.
inline std::vector<std::string> check_words(const std::string& path, const std::string& text,
                                            const std::vector<Row>& rows) {
  std::string prose = std::regex_search(path, std::regex("\\.(h|cpp|cuh?)$")) ? prose_of(text) : text;
  std::vector<std::string> complaints;
  for (const Row& row : rows) {
    for (const std::string& phrase : row.allowed)
      for (std::smatch match; std::regex_search(prose, match, pattern(phrase));)
        prose.replace(size_t(match.position()), 1, "_");
    for (const std::string& phrase : row.avoid) {
      const std::regex words = pattern(phrase);
      for (std::sregex_iterator it(prose.begin(), prose.end(), words), end; it != end; ++it) {
        const auto line = 1 + std::count(prose.begin(), prose.begin() + it->position(), '\n');
        complaints.push_back(ito::cat(path, ":", line, ": \"", it->str(), "\"; write: ", row.write));
      }
    }
  }
  return complaints;
}

}  // namespace prose_rules
