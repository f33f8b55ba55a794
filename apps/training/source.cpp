#include "apps/training/source.h"

#include <algorithm>
#include <filesystem>

#include "apps/inputs/checkpoint.h"

namespace ito::apps {

namespace fs = std::filesystem;

namespace {

/// Both as the file system has them, without links where that can be known.
bool is_within(const fs::path& path, const fs::path& folder) {
  std::error_code ignored;
  const fs::path inner = fs::weakly_canonical(fs::absolute(path), ignored) / "";
  const fs::path outer = (fs::weakly_canonical(fs::absolute(folder), ignored) / "").parent_path();
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

/// Error, unless the run in that folder began from what is named.
void check_begun(const std::string& run, const model::TrainingOptions& begun, const TrainingRequest& f) {
  const std::string advice = "; leave --from away to go on with it, or choose another --out";
  if (!begun.from) fail(cat("the run in ", run, " began from random weights, and not from ", f.from, advice));
  const SourceName named = name_of_source(f.from);
  if (named.run != begun.from->run || (named.step && named.step != begun.from->step))
    fail(cat("the run in ", run, " began from ", text_of(*begun.from), ", and not from ", f.from, advice));
}

}  // namespace

std::unique_ptr<Source> open_source(const TrainingRequest& f) {
  if (f.from.empty()) return {};
  const std::string run = run_path(f);
  if (is_within(f.from, run))
    fail(cat("--from ", f.from, " is of the run in ", run,
             " itself; leave --from away to go on with it, or choose another --out"));
  if (const auto begun = options_of_learned(run)) {
    check_begun(run, *begun, f);
    return {};
  }
  auto source = std::make_unique<Source>();
  const fs::path checkpoint = run_or_checkpoint("--from", f.from);
  try {
    source->model = model::load_model(source->device, checkpoint);
    source->origin = {name_of_source(f.from).run, source->model.step, model::hash_of_weights(checkpoint)};
  } catch (const Error& error) {
    error.rethrow_at("--from " + f.from);
  }
  return source;
}

}  // namespace ito::apps
