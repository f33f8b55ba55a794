#pragma once

#include <string>

#include "apps/training/request.h"

namespace ito::apps {

/// Which images a run learns from: data.json in its folder.
struct RunData {
  std::string path, split;  // absolute
  int64_t images = 0;
  std::string
      hash;  // of the images as the network sees them, and of their attributes or classes if it gets those
};

template <FieldsOf<RunData> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.path, Field("path"));
  visit(o.split, Field("split"));
  visit(o.images, Field("images", "", from(1).to(9e18L)));
  visit(o.hash, Field("hash"));
}

/// The data of the images that are open now.
RunData run_data(const TrainingRequest& request, const model::TrainingOptions& options,
                 const data::Dataset& images);

/// Checks that a run that goes on learns from the same images, wherever these are now. Returns a note for the user, or
/// nothing. Error, with both places: they are other images, and --new-data is not given.
std::string check_run_data(const std::string& run, const RunData& now, const TrainingRequest& request,
                           const model::TrainingOptions& options);

/// At a start: a run without checkpoint or without data.json (an older one) takes these images for its own.
void begin_run_data(const std::string& run, const RunData& data);
/// With a checkpoint, by which the run has learned from them.
void write_run_data(const std::string& run, const RunData& data);

}  // namespace ito::apps
