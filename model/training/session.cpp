#include "model/training/session.h"

#include <cmath>
#include <numeric>

#include "engine/agreement.h"
#include "kernels/base/clock.h"
#include "kernels/base/file.h"
#include "model/training/attribute_request.h"
#include "model/training/checkpoint.h"
#include "model/training/class_request.h"
#include "model/training/power_average.h"
#include "model/training/retention.h"
#include "model/training/run_journal.h"
#include "model/training/validation.h"

namespace ito::model {

namespace {

constexpr int64_t kLogEvery = 10;  // steps

/// What the run's number of steps decides besides its end, where that number was another one; "" if nothing.
std::string replanned_since(const TrainingOptions& there, const TrainingOptions& now) {
  if (there.steps == now.steps) return "";
  const bool decays = now.optimizer.learning_rate.decay != engine::Decay::constant;
  const bool stages = now.objective == ObjectiveKind::consistency && now.consistency.stages > 1;
  if (!decays && !stages) return "";
  return cat(decays ? "the learning rate's schedule" : "", decays && stages ? " and " : "",
             stages ? "the stages of consistency" : "", stages ? " were" : " was", " re-planned, from ",
             there.steps, " to ", now.steps, " steps");
}

/// One session of a run: from its newest checkpoint to its last step or an interruption.
class Session {
 public:
  Session(engine::Device&, Trainer&, const RunFolder&, const SessionHooks&, const ImageSet* held_out);
  SessionResult run();

 private:
  /// What is to be written after a step.
  struct Due {
    bool grid, fid, validation, save, stop, guide = false;  // guide: what is saved is kept as one
    bool any() const { return grid || fid || validation || save || stop; }
  };
  void go_on();
  void open_folder(bool continues, const std::string& replanned);
  void share_start();
  void share_weights();
  void note_guide();
  void begin();
  bool step();
  void take(const std::vector<StepReport>&);
  void note_bad_step(const StepReport&);
  Due due_now() const;
  void write(Due);
  void make(Due&, CheckpointRecord&, bool& good);
  void make_up();
  void give_way() const;
  void draw_grid();
  void measure_fid();
  bool try_to(const char* what, const std::function<void()>& make);
  std::optional<double> validate();
  void settle();
  void note_links(const std::string& problem);
  void save(const CheckpointRecord&, bool good);
  void write_checkpoint(const std::filesystem::path&, const CheckpointRecord&, bool good);
  bool is_last() const { return trainer_.step_number() == options_.steps; }
  bool is_due(int64_t every) const { return is_last() || trainer_.step_number() % every == 0; }
  Progress progress() const;
  std::string last_good() const;
  void note(const std::string&);

  engine::Device& device_;
  Trainer& trainer_;
  const TrainingOptions& options_;
  const RunFolder& folder_;
  const SessionHooks& hooks_;
  kernels::Wire& ranks_;
  const bool writes_;  // rank 0
  std::optional<Validation> validation_;
  std::optional<double> validation_loss_;  // the latest
  std::filesystem::path checkpoint_;       // the newest
  std::filesystem::path good_checkpoint_;  // the newest whose last step was not a bad one
  bool stopped_ = false;                   // by an interruption
  bool links_noted_ = false;               // that the links cannot be made
  bool continues_ = false;                 // from a checkpoint
  CheckpointRecord record_;                // of the newest one
  std::optional<RunJournal> journal_;      // rank 0's
  std::optional<Meter> meter_;
};

Session::Session(engine::Device& device, Trainer& trainer, const RunFolder& folder, const SessionHooks& hooks,
                 const ImageSet* held_out)
    : device_(device),
      trainer_(trainer),
      options_(trainer.options()),
      folder_(folder),
      hooks_(hooks),
      ranks_(device.ranks()),
      writes_(ranks_.rank() == 0) {
  if (options_.validate_count > 0)
    validation_.emplace(device, trainer, held_out ? *held_out : trainer.images());
}

void Session::go_on() {
  const auto newest = newest_checkpoint(folder_.path());
  std::string replanned;
  bool good = false;
  if (newest) {
    const TrainingOptions there = resume_from(*newest, trainer_);
    replanned = replanned_since(there, options_);
    checkpoint_ = *newest;
    record_ = read_record(*newest);
    validation_loss_ = record_.validation_loss;
    good = trainer_.bad_steps() == 0 && !record_.owed.any();
    if (good) {
      good_checkpoint_ = *newest;
    } else if (const auto earlier =
                   checkpoint_before(folder_.path(), trainer_.step_number() - trainer_.bad_steps() + 1)) {
      // An interruption among bad steps: no earlier checkpoint is removed for it.
      good_checkpoint_ = *earlier;
    }
  }
  continues_ = newest.has_value();
  open_folder(newest.has_value(), replanned);
  if (good) settle();  // a kill may have left this undone
}

void Session::open_folder(bool continues, const std::string& replanned) {
  if (device_.backend() == engine::Backend::cuda)
    device_.conv_policy().plan = kernels::ConvPlan::from_text(folder_.conv_plan());
  folder_.write_options(to_json(options_));
  // Of a run without a checkpoint nothing is kept, a process that was killed before may have logged step 0.
  journal_.emplace(folder_, options_, continues ? trainer_.step_number() : -1, hooks_.note);
  if (!folder_.note().empty()) note(folder_.note());
  if (!replanned.empty()) note(replanned);
  if (continues && options_.accumulate > 2 && options_.accumulate % 2 == 0 && !sums_by_tree(checkpoint_))
    note(cat("the checkpoint is of an older version, which added the gradients of the ", options_.accumulate,
             " batches of a step in another order: what is learned from here on differs in the last bits"));
  note_guide();
  // What a run before this one, or a longer part of it, has left.
  remove_power_averages_after(folder_.power_averages(0).parent_path(), continues ? trainer_.updates() : 0);
}

/// The other ranks receive where the run is, its numbers, and the plan of its convolutions.
void Session::share_start() {
  if (ranks_.size() == 1) return;
  struct Start {
    bool continues, has_loss;
    Owed owed;
    double loss;
    int64_t step, updates, bad_steps;
  };
  const Start start = engine::broadcast_value(
      ranks_, Start{continues_, validation_loss_.has_value(), record_.owed, validation_loss_.value_or(0),
                    trainer_.step_number(), trainer_.updates(), trainer_.bad_steps()});
  std::string plan = device_.conv_policy().plan.to_text();
  plan = engine::broadcast_text(ranks_, plan);
  device_.conv_policy().plan = kernels::ConvPlan::from_text(plan);
  const std::string good =
      engine::broadcast_text(ranks_, good_checkpoint_.string());  // errors of all ranks name it
  if (start.continues) share_weights();
  if (writes_ || !start.continues) return;
  good_checkpoint_ = good;
  continues_ = true;
  record_.owed = start.owed;
  if (start.has_loss) validation_loss_ = start.loss;
  trainer_.resume_at(start.step, start.updates, start.bad_steps);
  checkpoint_ = folder_.checkpoint(start.step);
}

/// Rank 0's masters, averages and moments become everyone's.
void Session::share_weights() {
  if (ranks_.size() == 1) return;
  engine::ParamStore& store = trainer_.store();
  std::vector<float> numbers(static_cast<size_t>(store.flat_count()));
  std::vector<float*> buffers{store.master(), store.ema(), store.moment1(), store.moment2()};
  for (int k = 0; k < kernels::kPowerAverages && store.keeps_power_averages(); ++k)
    buffers.push_back(store.power_average(k));
  for (float* const buffer : buffers) {
    const size_t bytes = numbers.size() * sizeof(float);
    if (writes_) device_.download(numbers.data(), buffer, bytes);
    ranks_.broadcast(numbers.data(), bytes);
    if (!writes_) device_.upload(buffer, numbers.data(), bytes);
  }
  if (!writes_) store.refresh_half();
}

/// Says which guide there is, where it is not the one that the options ask for, and will not be made.
void Session::note_guide() {
  const auto wanted = guide_step(options_);
  if (!wanted || *wanted > trainer_.step_number()) return;
  std::optional<int64_t> there;
  for (const int64_t step : checkpoint_steps(folder_.path()))
    if (read_record(folder_.checkpoint(step)).guide) there = step;
  if (!there)
    note(cat("no guide is kept: step ", *wanted, ", after which it would have been made, is past"));
  else if (*there != *wanted)
    note(cat("the guide that is kept is of step ", *there, ": step ", *wanted, " is past"));
}

/// A run from other weights takes them, and is then as one that goes on from a checkpoint of step 0.
void Session::begin() {
  if (continues_ || !options_.from) return;
  engine::together(ranks_, [&] {
    if (!writes_) return;
    for (const std::string& text : hooks_.begin()) note(text);
  });
  share_weights();
  write(due_now());
}

void Session::note(const std::string& text) {
  if (!writes_) return;  // it is the same on all ranks
  hooks_.note(text);
  journal_->message(text);
}

std::string Session::last_good() const {
  return good_checkpoint_.empty() ? "there is no checkpoint yet"
                                  : cat("the last good checkpoint is ", good_checkpoint_.string());
}

Progress Session::progress() const {
  Progress p = meter_->progress();
  p.validation_loss = validation_loss_;
  return p;
}

void Session::note_bad_step(const StepReport& r) {
  const std::string what =
      std::isfinite(r.loss) ? cat("its gradient's norm is ", r.grad_norm) : cat("its loss is ", r.loss);
  if (r.bad_steps < options_.max_bad_steps) {
    note(cat("step ", r.step + 1, " was skipped, ", what, " (", r.bad_steps, " in a row, ",
             trainer_.skipped(), " in all)"));
    return;
  }
  fail_advising(cat("step ", r.step + 1, " was skipped, ", what, ", as the last of ", r.bad_steps,
                    " in a row (max_bad_steps): the run has diverged; ", last_good()),
                {"another {out} with a lower {lr}, a longer {warmup} or a lower {clip}"});
}

/// Logs by the step of a report, not by when it arrives: the log does not depend on how late reports are.
void Session::take(const std::vector<StepReport>& reports) {
  for (const StepReport& report : reports) {
    if (report.skipped) note_bad_step(report);
    meter_->count(report);
    if ((report.step + 1) % kLogEvery && report.step + 1 != options_.steps) continue;
    if (writes_) journal_->step(meter_->progress(), report);
    meter_->restart_mean();
  }
}

void Session::draw_grid() {
  if (!hooks_.write_grid || options_.sample_count < 1) return;
  engine::together(ranks_, [&] { give_way(); });
  trainer_.pause();
  const std::filesystem::path path = folder_.sample_grid(trainer_.step_number());
  const int count = std::min(options_.sample_count, hooks_.most_in_grid);
  std::vector<uint64_t> seeds(static_cast<size_t>(count));
  std::iota(seeds.begin(), seeds.end(), uint64_t(0));
  std::vector<std::vector<uint8_t>> grids;
  for (const SamplerSettings& sampler : grid_samplers(options_))
    grids.push_back(sample_ema(device_, trainer_, sampler, seeds, [&](double) { give_way(); }));
  if (!writes_) return;
  hooks_.write_grid(path, grids, count);
  journal_->grid(trainer_.step_number(), path);
}

void Session::give_way() const {
  if (hooks_.interrupted()) throw engine::Interrupted{};
}

/// Makes a picture or a number about the training; if that fails, training goes on. False: it failed because the
/// model's numbers are not finite.
bool Session::try_to(const char* what, const std::function<void()>& make) {
  const auto note_failure = [&](const std::exception& e) {
    note(cat("step ", trainer_.step_number(), ": ", what, ": ", message_of(e), "; training goes on"));
  };
  bool finite = true;
  try {
    make();
  } catch (const NotFinite& e) {
    note_failure(e);
    finite = false;
  } catch (const std::exception& e) {
    note_failure(e);
  }
  return engine::agree(ranks_, finite ? 0 : 1, "").code == 0;
}

void Session::measure_fid() {
  if (!hooks_.fid) return;
  engine::together(ranks_, [&] { give_way(); });
  trainer_.pause();
  const std::optional<double> fid = hooks_.fid();
  if (!fid) throw engine::Interrupted{};
  if (writes_) journal_->fid(trainer_.step_number(), *fid);
}

std::optional<double> Session::validate() {
  const double loss = validation_->loss([&] { give_way(); });
  if (writes_) journal_->validation(trainer_.step_number(), loss);
  if (std::isfinite(loss)) return validation_loss_ = loss;
  note(cat("step ", trainer_.step_number(), ": the validation loss is ", loss));
  return {};
}

void Session::settle() {
  if (writes_) note_links(settle_checkpoints(folder_, options_.keep));
}

void Session::note_links(const std::string& problem) {
  if (problem.empty() || links_noted_) return;
  links_noted_ = true;
  note(cat("the links to checkpoints are not kept, and training goes on without them: ", problem));
}

void Session::save(const CheckpointRecord& record, bool good) {
  const std::filesystem::path path = folder_.checkpoint(trainer_.step_number());
  if (writes_) write_checkpoint(path, record, good);
  record_ = record;
  checkpoint_ = path;
  if (good && !record.owed.any()) good_checkpoint_ = path;
}

void Session::write_checkpoint(const std::filesystem::path& path, const CheckpointRecord& record, bool good) {
  // Before the checkpoint that was made with it.
  if (const kernels::ConvPlan& plan = device_.conv_policy().plan; plan.size() > 0)
    folder_.write_conv_plan(plan.to_text());
  if (options_.power_ema && record.scheduled && trainer_.updates() > 0)
    save_power_averages(folder_.power_averages(trainer_.updates()), trainer_.store(), trainer_.updates());
  save_checkpoint(path, trainer_, record);
  if (good && !record.owed.any())  // else no earlier checkpoint is removed for it
    settle();
  else if (good)
    note_links(folder_.point("last", trainer_.step_number()));
  journal_->saved(trainer_.step_number());
  hooks_.saved(path);
}

/// Makes grid, FID and validation, if they are due, in this order; `due` keeps what an interruption left.
void Session::make(Due& due, CheckpointRecord& record, bool& good) {
  try {
    if (due.grid) good &= try_to("no grid", [&] { draw_grid(); });
    due.grid = false;
    if (due.fid) good &= try_to("no FID", [&] { measure_fid(); });
    due.fid = false;
    if (due.validation && good) {
      const std::optional<double> loss = validate();
      good = loss.has_value();
      // How well pairs of levels agree does not tell which checkpoint draws best (docs/real-time.md).
      if (options_.objective == ObjectiveKind::denoising) record.validation_loss = loss;
    }
    due.validation = false;
  } catch (const engine::Interrupted&) {
    due.stop = true;
  }
  record.owed = {due.grid, due.fid, due.validation};
  stopped_ = due.stop;
}

Session::Due Session::due_now() const {
  const int64_t validate_every = options_.validate_every ? options_.validate_every : options_.save_every;
  const bool guide = guide_step(options_) == trainer_.step_number();
  return {is_due(options_.sample_every),
          hooks_.fid_every > 0 && is_due(hooks_.fid_every),
          validation_ && is_due(validate_every),
          guide || is_due(options_.save_every),
          ranks_.size() == 1 ? hooks_.interrupted() : trainer_.stops(),
          guide};
}

/// Makes what is due and then the checkpoint, which therefore has everything, or records what is missing.
void Session::write(Due due) {
  try {
    bool good = trainer_.bad_steps() == 0;
    CheckpointRecord record{due.save, {}, {}, due.guide};
    make(due, record, good);
    if (due.stop || is_last() || (due.save && good))
      save(record, good);
    else if (due.save)
      note(cat("step ", trainer_.step_number(), " is not saved: its numbers are not finite"));
  } catch (const engine::FailedElsewhere&) {
    throw;
  } catch (const std::exception& e) {
    fail(cat("step ", trainer_.step_number(), ": ", message_of(e), ". ", last_good(),
             "; the same command goes on from there"));
  }
}

/// Makes what an interruption left when it made the newest checkpoint.
void Session::make_up() {
  if (!continues_ || stopped_ || !record_.owed.any()) return;
  Due due{record_.owed.grid, record_.owed.fid, record_.owed.validation && validation_, false, false};
  bool good = true;
  make(due, record_, good);
  if (writes_) write_record(checkpoint_, record_);
  if (!good || stopped_) return;
  good_checkpoint_ = checkpoint_;
  settle();
}

/// One step; true if it is the session's last.
bool Session::step() {
  const double before = now();
  if (ranks_.size() > 1) trainer_.wish_to_stop(hooks_.interrupted());
  take(trainer_.advance());
  const Due due = due_now();
  if (due.any()) take(trainer_.finish());
  meter_->count_step(now() - before);
  if (!due.stop) hooks_.report(progress());  // else it is printed after saving
  if (writes_) journal_->progress(progress());
  write(due);
  return stopped_ || is_last();
}

SessionResult Session::run() {
  engine::together(ranks_, [&] {
    if (writes_) go_on();
  });
  share_start();
  try {
    begin();
    meter_.emplace(trainer_);  // behind it: the time that step 0 takes comes once, and not with each step
    make_up();
    while (!stopped_ && trainer_.step_number() < options_.steps)
      if (step()) break;
  } catch (const std::exception& e) {
    if (writes_) journal_->ended(message_of(e));
    throw;
  }
  if (writes_) journal_->ended("it was interrupted; the same command goes on");
  SessionResult result;
  result.finished = trainer_.step_number() >= options_.steps && !(stopped_ && record_.owed.any());
  result.progress = progress();
  result.checkpoint = checkpoint_;
  result.images = meter_->images();
  result.training_seconds = meter_->seconds();
  return result;
}

}  // namespace

std::vector<uint8_t> sample_ema(engine::Device& device, Trainer& trainer, const SamplerSettings& sampler,
                                const std::vector<uint64_t>& seeds, const SampleProgress& progress) {
  const TrainingOptions& o = trainer.options();
  const DenoiserOptions options{o.diffusion.preconditioning, compute_type(o)};
  const Network& network = trainer.ema_network();
  const int classes = o.network.classes;
  return sample_images(device,
                       classes ? class_denoiser(device, network, options, {classes, {}}, {})
                               : varied_denoiser(device, network, options, trainer.attributes()),
                       make_sampler_plan(sampler, make_sde(o.diffusion.sde)),
                       {o.network.height, o.network.width, o.network.channels}, seeds, progress);
}

std::vector<uint8_t> sample_ema(engine::Device& device, Trainer& trainer, const std::vector<uint64_t>& seeds,
                                const SampleProgress& progress) {
  return sample_ema(device, trainer, grid_sampler(trainer.options()), seeds, progress);
}

SessionResult run_session(engine::Device& device, Trainer& trainer, const RunFolder& folder,
                          const SessionHooks& hooks, const ImageSet* held_out) {
  return Session(device, trainer, folder, hooks, held_out).run();
}

}  // namespace ito::model
