#include "apps/inputs/checkpoint.h"

#include <charconv>

#include "kernels/base/commands.h"
#include "model/training/run_folder.h"

namespace ito::apps {

namespace fs = std::filesystem;

namespace {

uint64_t parse_seed(std::string_view text, const std::string& all) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail(cat("--seeds '", all, "' is not a list like 5, 0-63 or 0-15,100"));
  return value;
}

}  // namespace

std::optional<fs::path> included_model() {
  std::error_code none;
  const fs::path programs = fs::read_symlink("/proc/self/exe", none).parent_path();
  for (const char* folder :
       {"data/drawn_model", "../share/ito/drawn_model"})  // the repository's, a package's
    if (fs::exists(programs / folder, none)) return (programs / folder).lexically_normal();
  return {};
}

fs::path find_checkpoint(const std::string& checkpoint, const std::string& run) {
  const std::string advice = cat("; train one first: ", commands::kHowToTrain);
  if (!checkpoint.empty()) {
    if (!fs::exists(checkpoint)) fail(cat("there is no checkpoint ", checkpoint, advice));
    return checkpoint;
  }
  std::optional<fs::path> folder = run.empty() ? model::newest_run("runs") : fs::path(run);
  if (!folder) {
    if (const auto included = included_model()) return *included;
    fail(cat("there is no trained model below runs/", advice));
  }
  const auto newest = model::newest_checkpoint(*folder);
  if (!newest) fail(cat("the run ", folder->string(), " has no checkpoint yet", advice));
  return *newest;
}

fs::path run_or_checkpoint(const std::string& flag, const std::string& value) {
  fs::path folder = value;
  if (!fs::exists(folder)) fail(cat(flag, " ", value, ": there is no such run or checkpoint"));
  if (!fs::is_directory(folder))
    fail(cat(flag, " ", value, " is a file, and not the folder of a run or of a checkpoint"));
  if (fs::exists(folder / "options.json") && fs::exists(folder / "unet")) return folder;
  if (const auto newest = model::newest_checkpoint(folder)) return *newest;
  fail(cat(flag, " ", value, ": there is no checkpoint in it"));
}

std::vector<uint64_t> parse_seeds(const std::string& text) {
  std::vector<uint64_t> seeds;
  for (const std::string& item : split_list(text)) {
    const std::string_view part = item;
    const size_t dash = part.find('-');
    const uint64_t first = parse_seed(part.substr(0, dash), text);
    const uint64_t last = dash == std::string_view::npos ? first : parse_seed(part.substr(dash + 1), text);
    if (last < first) fail(cat("--seeds '", text, "': ", first, "-", last, " runs backwards"));
    if (last - first >= uint64_t(kMostSeeds) - seeds.size())
      fail(cat("--seeds '", text, "' names more than a million images"));
    // Counted from the first seed: there is no number past the largest one to stop at.
    for (uint64_t i = 0; i <= last - first; ++i) seeds.push_back(first + i);
  }
  return seeds;
}

engine::DeviceOptions device_options(const DeviceRequest& request) {
  return {request.threads, engine::choose_backend(request.device), request.conv};
}

std::string where(engine::Device& device) {
  if (device.backend() == engine::Backend::cuda) return device.name() + " (CUDA)";
  return cat(device.name(), ", ", device.threads(), device.threads() == 1 ? " thread" : " threads");
}

}  // namespace ito::apps
