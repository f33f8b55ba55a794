#include "engine/agreement.h"

#include <algorithm>
#include <cstring>
#include <exception>

namespace ito::engine {

std::vector<std::string> gather_texts(kernels::Wire& ranks, const std::string& text) {
  const std::vector<uint64_t> sizes = gather_values(ranks, uint64_t(text.size()));
  const size_t most = *std::max_element(sizes.begin(), sizes.end());
  std::string padded = text, all(most * sizes.size(), '\0');
  padded.resize(most);
  ranks.all_gather(padded.data(), all.data(), most);
  std::vector<std::string> texts;
  for (size_t r = 0; r < sizes.size(); ++r) texts.push_back(all.substr(r * most, sizes[r]));
  return texts;
}

std::string broadcast_text(kernels::Wire& ranks, const std::string& text) {
  std::string result = text;
  result.resize(broadcast_value(ranks, uint64_t(text.size())));
  ranks.broadcast(result.data(), result.size());
  return result;
}

void barrier(kernels::Wire& ranks) { gather_values(ranks, char(0)); }

Outcome agree(kernels::Wire& ranks, int code, const std::string& text) {
  const std::vector<int> codes = gather_values(ranks, code);
  const auto worst = std::max_element(codes.begin(), codes.end());  // the first of equal ones
  if (*worst == 0) return {};
  const std::vector<std::string> texts = gather_texts(ranks, text);
  const auto rank = size_t(worst - codes.begin());
  return {*worst, int(rank), texts[rank]};
}

void together(kernels::Wire& ranks, const std::function<void()>& work) {
  constexpr int kFailed = 1, kInterrupted = 2;
  if (ranks.size() == 1) return work();
  std::exception_ptr problem;
  std::string text;
  int code = 0;
  try {
    work();
  } catch (const std::exception& e) {
    problem = std::current_exception();
    text = e.what(), code = kFailed;
  } catch (const Interrupted&) {
    code = kInterrupted;
  }
  const Outcome outcome = agree(ranks, code, text);
  if (outcome.code == kInterrupted) throw Interrupted{};
  if (problem) std::rethrow_exception(problem);
  if (outcome.code) throw FailedElsewhere(cat("rank ", outcome.rank, ": ", outcome.text), "");
}

void check_equal(kernels::Wire& ranks, const Facts& facts) {
  if (ranks.size() == 1) return;
  for (const auto& [name, value] : facts) {
    const std::vector<std::string> all = gather_texts(ranks, value);
    for (size_t r = 1; r < all.size(); ++r)
      if (all[r] != all[0])
        fail(cat("the ranks differ in ", name, ": rank ", r, " has\n", all[r], "\nand rank 0\n", all[0]));
  }
}

}  // namespace ito::engine
