#include "model/training/session.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>

#include "model/diffusion/sampler.h"
#include "model/training/checkpoint.h"

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

  void count(const StepReport& report, double seconds) {
    seconds_ += seconds;
    skipped_ += report.skipped;
    loss_sum_ += report.loss;
    ++loss_count_;
    // The first two steps choose plans and touch memory for the first time.
    if (++steps_ > 2) steady_seconds_ += seconds;
  }
  Progress progress() const {
    const TrainingOptions& o = trainer_.options();
    Progress p;
    p.step = trainer_.step_number(), p.steps = o.steps, p.skipped = skipped_;
    p.loss = loss_count_ ? loss_sum_ / double(loss_count_) : last_loss_;
    if (steps_ > 2) p.images_per_second = double(steps_ - 2) * images_a_step() / steady_seconds_;
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
  Trainer& trainer_;
  int64_t first_step_, steps_ = 0, skipped_ = 0, loss_count_ = 0;
  double start_, seconds_ = 0, steady_seconds_ = 0, loss_sum_ = 0, last_loss_ = 0;
};

std::string log_line(const Progress& p, const StepReport& r) {
  return nlohmann::json({{"step", p.step},
                         {"loss", p.loss},
                         {"grad_norm", r.grad_norm},
                         {"lr", r.learning_rate},
                         {"images_per_second", p.images_per_second},
                         {"skipped", p.skipped}})
      .dump();
}

std::filesystem::path save(Trainer& trainer, const RunFolder& folder, const SessionHooks& hooks) {
  const std::filesystem::path path = folder.checkpoint(trainer.step_number());
  save_checkpoint(path, trainer);
  folder.prune(trainer.options().keep);
  hooks.saved(path);
  return path;
}

void draw_grid(engine::Device& device, Trainer& trainer, const RunFolder& folder, const SessionHooks& hooks) {
  const TrainingOptions& o = trainer.options();
  if (!hooks.write_grid || o.sample_count < 1) return;
  trainer.pause();
  hooks.write_grid(folder.sample_grid(trainer.step_number()),
                   sample_ema(device, trainer, o.sample_count, o.sample_steps), o.sample_count,
                   o.network.height, o.network.width);
}

}  // namespace

std::vector<uint8_t> sample_ema(engine::Device& device, Trainer& trainer, int count, int steps) {
  const TrainingOptions& o = trainer.options();
  const Sde sde = make_sde(o.diffusion.sde);
  std::vector<uint64_t> seeds(static_cast<size_t>(count));
  std::iota(seeds.begin(), seeds.end(), uint64_t(0));
  DenoiserOptions denoiser{
      o.diffusion.preconditioning, o.precision == "bf16" ? engine::DType::bf16 : engine::DType::f32, {}, {}};
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
  folder.resume_log(trainer.step_number());
  folder.write_options(to_json(o));
  Meter meter(trainer);
  bool stop = false;
  while (!stop && trainer.step_number() < o.steps) {
    const double before = now();
    const StepReport report = trainer.step();
    meter.count(report, now() - before);
    const int64_t step = trainer.step_number();
    const bool last = step == o.steps;
    hooks.report(meter.progress());
    if (step % kLogEvery == 0 || last) {
      folder.append_log(log_line(meter.progress(), report));
      meter.restart_mean();
    }
    if (step % o.sample_every == 0 || last) draw_grid(device, trainer, folder, hooks);
    stop = hooks.interrupted();
    if (step % o.save_every == 0 || last || stop) result.checkpoint = save(trainer, folder, hooks);
  }
  result.finished = trainer.step_number() >= o.steps;
  result.progress = meter.progress();
  result.images = meter.images();
  result.training_seconds = meter.seconds();
  return result;
}

}  // namespace ito::model
