#include "apps/training/shared_run.h"

#include <algorithm>

#include "apps/console/program.h"
#include "engine/agreement.h"
#include "model/training/checkpoint.h"

namespace ito::apps {

void check_ranks(engine::Device& device, const model::TrainingOptions& options, const RunData& data) {
  kernels::Wire& ranks = device.ranks();
  engine::check_equal(ranks, {{"version", version_text()}});
  const std::vector<std::string> all = engine::gather_texts(ranks, to_json(options));
  for (size_t r = 1; r < all.size(); ++r) {
    const auto changed = model::differences(model::training_options_from_json(all[0]),
                                            model::training_options_from_json(all[r]));
    if (!changed.empty())
      fail(
          cat("rank ", r, " of ", ranks.size(), " has other options than rank 0 (there): ", changed.front()));
  }
  engine::check_equal(ranks,
                      {{"images", cat(data.images, " images, hash ", data.hash)}, {"device", device.name()}});
}

std::vector<std::string> notes_about(const kernels::Wire& ranks, engine::Reduction reduction) {
  if (ranks.size() == 1) return {};
  if (reduction == engine::Reduction::nccl)
    return {
        "NCCL sums gradients in an order of its own: the results depend on the number of ranks and on how "
        "GPUs are connected"};
  if ((ranks.size() & (ranks.size() - 1)) == 0) return {};
  return {
      cat("gradients of ", ranks.size(),
          " ranks are summed in an order of their own: the results differ from one rank's in the last bits")};
}

model::RunFolder open_run(kernels::Wire& ranks, const std::string& out, const RunData& data) {
  std::optional<model::RunFolder> folder;
  engine::together(ranks, [&] {
    if (ranks.rank() > 0) return;
    folder.emplace(out);
    begin_run_data(out, data);
  });
  return folder ? std::move(*folder) : model::RunFolder::of_rank_0(out);
}

std::string where_training_is(const std::string& out, int64_t step) {
  std::optional<std::filesystem::path> newest;
  try {
    newest = model::newest_checkpoint(out);
    if (newest) step = std::max(step, model::checkpoint_steps(out).back());
  } catch (const std::exception&) {  // then it has none that could be named
  }
  return cat("at step ", step, "; ",
             newest
                 ? cat("the last checkpoint is ", newest->string(), "; the same command goes on from there")
                 : "there is no checkpoint yet; the same command begins again");
}

}  // namespace ito::apps
