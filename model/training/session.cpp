#include "model/training/session.h"

#include <chrono>
#include <numeric>

#include "model/diffusion/sampler.h"
#include "model/training/checkpoint.h"
#include "model/training/run_journal.h"

namespace ito::model {

namespace {

constexpr int64_t kLogEvery = 10;  // steps

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Rates and means of one session. Only what people read depends on the clock.
class Meter {
 public:
  explicit Meter(Trainer& trainer) : trainer_(trainer), first_step_(trainer.step_number()), start_(now()) {}

  void count_step(double seconds) {
    seconds_ += seconds;
    // The first steps choose plans, touch memory for the first time and are recorded.
    if (++steps_ > kFirstSteps) steady_seconds_ += seconds;
  }
  void count(const StepReport& report) {
    skipped_ += report.skipped;
    loss_sum_ += report.loss;
    ++loss_count_;
  }
  Progress progress() const {
    const TrainingOptions& o = trainer_.options();
    Progress p;
    p.step = trainer_.step_number(), p.steps = o.steps, p.skipped = skipped_;
    p.loss = loss_count_ ? loss_sum_ / double(loss_count_) : last_loss_;
    if (steps_ > kFirstSteps)
      p.images_per_second = double(steps_ - kFirstSteps) * images_a_step() / steady_seconds_;
    const int64_t done = p.step - first_step_;
    if (done > 0) p.seconds_left = (now() - start_) / double(done) * double(p.steps - p.step);
    return p;
  }
  void restart_mean() {
    if (loss_count_) last_loss_ = loss_sum_ / double(loss_count_);
    loss_sum_ = 0, loss_count_ = 0;
  }
  double images_a_step() const { return double(trainer_.options().batch) * trainer_.options().accumulate; }
  int64_t images() const { return int64_t(double(steps_) * images_a_step()); }
  double seconds() const { return seconds_; }

 private:
  static constexpr int64_t kFirstSteps = 3;
  Trainer& trainer_;
  int64_t first_step_, steps_ = 0, skipped_ = 0, loss_count_ = 0;
  double start_, seconds_ = 0, steady_seconds_ = 0, loss_sum_ = 0, last_loss_ = 0;
};

std::filesystem::path save(engine::Device& device, Trainer& trainer, const RunFolder& folder,
                           const SessionHooks& hooks) {
  // Before the checkpoint that was made with it.
  if (const std::string plan = device.conv_plan(); !plan.empty()) folder.write_conv_plan(plan);
  const std::filesystem::path path = folder.checkpoint(trainer.step_number());
  save_checkpoint(path, trainer);
  folder.prune(trainer.options().keep);
  hooks.saved(path);
  return path;
}

void draw_grid(engine::Device& device, Trainer& trainer, const RunFolder& folder, const SessionHooks& hooks,
               RunJournal& journal) {
  const TrainingOptions& o = trainer.options();
  if (!hooks.write_grid || o.sample_count < 1) return;
  trainer.pause();
  const std::filesystem::path path = folder.sample_grid(trainer.step_number());
  hooks.write_grid(path, sample_ema(device, trainer, o.sample_count, o.sample_steps), o.sample_count,
                   o.network.height, o.network.width);
  journal.grid(trainer.step_number(), path);
}

}  // namespace

std::vector<uint8_t> sample_ema(engine::Device& device, Trainer& trainer, int count, int steps) {
  const TrainingOptions& o = trainer.options();
  const Sde sde = make_sde(o.diffusion.sde);
  std::vector<uint64_t> seeds(static_cast<size_t>(count));
  std::iota(seeds.begin(), seeds.end(), uint64_t(0));
  const DenoiserOptions denoiser{o.diffusion.preconditioning,
                                 o.precision == "bf16" ? engine::DType::bf16 : engine::DType::f32};
  return sample_images(device, network_denoiser(trainer.ema_network(), denoiser),
                       heun_plan(sde, heun_options(sde, steps)),
                       {o.network.height, o.network.width, o.network.channels}, seeds);
}

SessionResult run_session(engine::Device& device, Trainer& trainer, const RunFolder& folder,
                          const SessionHooks& hooks) {
  SessionResult result;
  const TrainingOptions& o = trainer.options();
  if (const auto checkpoint = newest_checkpoint(folder.path())) {
    resume_from(*checkpoint, trainer);
    result.checkpoint = *checkpoint;
  }
  device.set_conv_plan(folder.conv_plan());
  folder.write_options(to_json(o));
  RunJournal journal(folder, o, trainer.step_number(), hooks.note);
  Meter meter(trainer);
  // By the step that a report is of, not when it arrives: the log does not depend on how far behind they are.
  const auto log = [&](const std::vector<StepReport>& reports) {
    for (const StepReport& report : reports) {
      meter.count(report);
      if ((report.step + 1) % kLogEvery && report.step + 1 != o.steps) continue;
      journal.step(meter.progress(), report);
      meter.restart_mean();
    }
  };
  bool stop = false;
  const auto advance = [&] {
    const double before = now();
    log(trainer.advance());
    const int64_t step = trainer.step_number();
    const bool last = step == o.steps;
    stop = hooks.interrupted();
    const bool draws = step % o.sample_every == 0 || last, saves = step % o.save_every == 0 || last || stop;
    if (draws || saves) log(trainer.finish());
    meter.count_step(now() - before);
    hooks.report(meter.progress());
    journal.progress(meter.progress());
    if (draws) draw_grid(device, trainer, folder, hooks, journal);
    if (saves) {
      result.checkpoint = save(device, trainer, folder, hooks);
      journal.saved(step);
    }
  };
  try {
    while (!stop && trainer.step_number() < o.steps) advance();
  } catch (const std::exception& e) {
    journal.ended(e.what());
    throw;
  }
  journal.ended("it was interrupted; the same command goes on");
  result.finished = trainer.step_number() >= o.steps;
  result.progress = meter.progress();
  result.images = meter.images();
  result.training_seconds = meter.seconds();
  return result;
}

}  // namespace ito::model
