#include "apps/training/run_data.h"

#include <filesystem>

#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"
#include "kernels/base/commands.h"
#include "kernels/base/hash.h"
#include "kernels/base/path_text.h"
#include "model/option_json.h"
#include "model/training/run_folder.h"

namespace ito::apps {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFile = "data.json";

std::optional<RunData> read_run_data(const fs::path& run) {
  const fs::path file = run / kFile;
  if (!fs::exists(file)) return {};
  try {
    RunData data;
    model::read_json(model::parse_shallow(io::read_file(file), "it is nested too deeply"), data);
    return data;
  } catch (const std::exception& e) {
    fail(cat(file.string(), " is not as ", commands::kTrain, " writes it: ", e.what(),
             "; remove it, and the run takes the images of the next command for its own"));
  }
}

std::string text_of(const RunData& data) {
  return cat(data.images, " images of ", data.path, " (split ", data.split, ")");
}

/// A folder for another run, named after the last two folders of the images: runs/dogs-images-small.
std::string other_run(const RunData& now, const model::TrainingOptions& options) {
  const fs::path path = now.path, parent = path.parent_path().filename();
  return cat("runs/", parent.empty() ? "" : parent.string() + "-", path.stem().string(), "-", options.preset);
}

}  // namespace

RunData run_data(const TrainingRequest& request, const model::TrainingOptions& options,
                 const data::Dataset& images) {
  fs::path path = fs::absolute(request.data).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();  // "faces/" has an empty one
  Hash hash;
  hash.add(images.content_hash());
  if (options.network.condition) {
    const std::vector<int8_t> rows = images.attribute_columns(options.attributes);
    hash.add(rows.data(), rows.size());
  }
  if (options.network.classes) hash.add(images.classes().data(), images.classes().size() * sizeof(int32_t));
  return {as_utf8(path.string()), images.split(), int64_t(images.count()), hex(hash.value())};
}

std::string check_run_data(const std::string& run, const RunData& now, const TrainingRequest& request,
                           const model::TrainingOptions& options) {
  if (!model::newest_checkpoint(run)) return "";  // nothing is learned yet
  const std::optional<model::TrainingOptions> begun = options_of_run(run);
  if (begun && !model::differences(*begun, options).empty())
    return "";  // the trainer refuses these with a better message
  const std::optional<RunData> there = read_run_data(run);
  if (!there) return "";
  if (there->hash == now.hash)
    return there->path == now.path
               ? ""
               : cat("the run's images were in ", there->path, ", and are in ", now.path, " now");
  const bool same_place = there->path == now.path && there->split == now.split && there->images == now.images;
  const std::string change = same_place
                                 ? cat("the run in ", run, " has learned from the images of ", now.path,
                                       ", and these are not the same any more, by their files",
                                       options.network.condition ? ", their attributes"
                                       : options.network.classes ? ", their classes"
                                                                 : "",
                                       " or by --orientation")
                                 : cat("the run in ", run, " has learned from ", text_of(*there),
                                       ", and these are other images: ", text_of(now));
  if (request.new_data) return change + "; it goes on with them (--new-data)";
  fail(cat(change, "; begin another run with --out ", shell_quoted(other_run(now, options)),
           ", or go on with these images by --new-data"));
}

void begin_run_data(const std::string& run, const RunData& data) {
  if (!fs::exists(fs::path(run) / kFile) || !model::newest_checkpoint(run)) write_run_data(run, data);
}

void write_run_data(const std::string& run, const RunData& data) {
  io::write_file_atomic(fs::path(run) / kFile, io::json_text(model::json_of(data), 2) + "\n");
}

}  // namespace ito::apps
