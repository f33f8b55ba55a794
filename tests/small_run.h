#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "model/training/session.h"
#include "model/unet/presets.h"
#include "tests/blobs.h"
#include "tests/helpers.h"

/// A whole run that takes a moment, with everything that could make resuming inexact: dropout, flips,
/// accumulation, a moving average, epochs that end inside a step.
namespace ito::tests {

struct SmallRun {
  static constexpr int kImages = 13, kSize = 8;
  std::vector<uint8_t> pixels = blobs(kImages, kSize), others = blobs(2 * kImages, kSize);
  model::TrainingOptions options;
  kernels::Wire* wire = nullptr;  // to other ranks

  SmallRun() {
    options.preset = "tiny";
    options.network = model::preset("tiny").network;
    options.network.height = options.network.width = kSize;
    options.network.dropout = 0.2f;
    options.batch = 2, options.accumulate = 2;
    options.optimizer.learning_rate = {engine::Decay::cosine, 2e-3, 5, 0, 0.1};
    options.optimizer.ema.decay = 0.9;
    options.sample_count = 0;
    options.save_every = 2, options.keep = 2, options.validate_count = 5;
    set_steps(options, 12);
  }
  model::ImageSet images() const { return {pixels.data(), kImages, kSize, kSize, 3, "none", {}}; }
  model::ImageSet held_out() const {
    return {others.data() + pixels.size(), kImages, kSize, kSize, 3, "none", {}};
  }

  /// A session with the hooks that `hooks_for` makes for its trainer.
  template <class F>
  model::SessionResult train_with(const std::filesystem::path& folder, F&& hooks_for) const {
    engine::Device device({.threads = 1, .wire = wire});
    model::Trainer trainer(device, options, images());
    const bool writes = device.ranks().rank() == 0;
    const model::RunFolder run = writes ? model::RunFolder(folder) : model::RunFolder::of_rank_0(folder);
    const model::ImageSet validation = held_out();
    return run_session(device, trainer, run, hooks_for(trainer), &validation);
  }
  model::SessionResult train(const std::filesystem::path& folder,
                             const model::SessionHooks& hooks = {}) const {
    return train_with(folder, [&](model::Trainer&) { return hooks; });
  }
  /// The same, ended as by Ctrl-C after step `last`.
  model::SessionResult train_until(int64_t last, const std::filesystem::path& folder) const {
    return train_with(folder, [&](model::Trainer& trainer) {
      model::SessionHooks hooks;
      hooks.interrupted = [&trainer, last] { return trainer.step_number() == last; };
      return hooks;
    });
  }
};

/// Runs `action` in a process of its own. Threads of this one do not go along, so this one must have none.
template <class F>
pid_t start(F&& action) {
  const pid_t child = fork();
  if (child != 0) return child;
  int status = 1;
  try {
    action();
    status = 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
  }
  _exit(status);
}

/// How many times a test kills a run: ITO_KILLS, or a few.
inline int wanted_kills() {
  const char* text = std::getenv("ITO_KILLS");
  return text ? std::atoi(text) : 20;
}

/// Its exit status; minus the signal that ended it.
inline int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace ito::tests
