#pragma once

#include <filesystem>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "apps/inputs/guidance.h"
#include "apps/sampling/picture.h"
#include "apps/sampling/starts.h"
#include "apps/serving/easel.h"
#include "apps/studio/face_query.h"
#include "model/diffusion/sampler.h"
#include "model/training/checkpoint.h"

namespace ito::apps {

/// A model, and what draws from it. What is const may be called by any thread; drawing is for the one that loaded it.
class Painter {
 public:
  /// All that draws by one choice of options, whatever the seeds are.
  struct Setup {
    Setup(Painter& painter, const SampleRequest& request);

    model::SamplerSettings settings;
    model::SamplerPlan plan;
    GuidedModel guided;
    model::Denoiser denoiser;
    Chunk chunk;
    model::Sampler sampler;
  };

  /// Error: as of load_model.
  Painter(const DeviceRequest& device, const std::filesystem::path& checkpoint);

  const model::LoadedModel& loaded() const { return loaded_; }
  const std::filesystem::path& checkpoint() const { return checkpoint_; }
  engine::Device& device() { return device_; }
  engine::Shape image() const;
  /// Images that a grid is drawn by at a time: few, so that each client's turn is short and pictures come one by one.
  int chunk() const;
  /// What the model is sampled by where nothing is asked: its own sampler, or else the one for a first look.
  model::SamplerOptions usual_sampler() const;

  /// A query's request with all that decides about bytes: checkpoint, device, sampler, chunk. Error: options that do
  /// not go together or not with this model; more than kMostEvaluations.
  SampleRequest complete(SampleRequest asked) const;
  /// What draws by these options: made, or one of the few that were used last. Error: the model cannot be asked for
  /// this.
  Setup& setup(const SampleRequest& request);

 private:
  struct Kept {
    std::string options;
    std::unique_ptr<Setup> setup;
  };
  void make_room();

  DeviceRequest asked_;
  engine::Device device_;
  std::filesystem::path checkpoint_;
  model::LoadedModel loaded_;
  std::list<Kept> kept_;  // the last used one first
  size_t room_ = 0;       // bytes of the arena
};

/// The line that repeats pictures of a completed request: their bytes are those of its files.
std::string command_of(const SampleRequest& request);

/// Where the pictures of a painting go, as they get ready. Its thread is the engine's.
class Gallery {
 public:
  struct Picture {
    uint64_t number = 0, seed = 0;  // of its file; of its noise
    std::vector<uint8_t> png;
  };
  virtual ~Gallery() = default;
  /// State k of n of the first picture on its way.
  virtual void state(int k, int n, const std::vector<uint8_t>& png) = 0;
  virtual void picture(const Picture&) = 0;
  virtual void done(const std::vector<std::string>& notes) = 0;
  virtual void failed(int status, const std::string& sentence) = 0;
  virtual void replaced() = 0;
  /// It has taken what there is.
  virtual bool may_go_on() const = 0;
};

/// Pictures first .. end - 1 of a completed request (end: its last one where there are fewer).
struct PictureRange {
  size_t first = 0, end = 0;
};

/// A painting of pictures. `states`: denoised states of the first one.
std::shared_ptr<Painting> paint_faces(Painter& painter, const SampleRequest& request, PictureRange range,
                                      int states, std::shared_ptr<Gallery> gallery);

}  // namespace ito::apps
