#pragma once

#include <string>

#include "apps/training/request.h"

namespace ito::apps {

/// Which images a run learns from, as data.json in its folder says.
struct RunData {
  std::string path, split;  // absolute
  int64_t images = 0;
  std::string hash;  // of the images as the network sees them, and of their attributes where it is told them
};

template <FieldsOf<RunData> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.path, Field("path"));
  visit(o.split, Field("split"));
  visit(o.images, Field("images", "", from(1).to(9e18L)));
  visit(o.hash, Field("hash"));
}

/// Of the images that are open now.
RunData run_data(const TrainingRequest& request, const model::TrainingOptions& options,
                 const data::Dataset& images);

/// A run that goes on keeps to its images, wherever they lie now. What is to be said about it, or nothing. Error, with
/// both places: they are others, and --new-data is not given.
std::string check_run_data(const std::string& run, const RunData& now, const TrainingRequest& request,
                           const model::TrainingOptions& options);

/// At a start: a run that has learned nothing yet, or is from before there was a data.json, takes these for its own.
void begin_run_data(const std::string& run, const RunData& data);
/// With a checkpoint: now the run has learned from them.
void write_run_data(const std::string& run, const RunData& data);

}  // namespace ito::apps
