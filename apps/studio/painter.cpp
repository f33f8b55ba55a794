#include "apps/studio/painter.h"

#include <algorithm>
#include <optional>
#include <set>

#include "apps/console/command_line.h"
#include "apps/console/program.h"
#include "kernels/base/commands.h"

namespace ito::apps {

namespace {

constexpr size_t kSetups = 4;  // kept, with the memory of an evaluation each

/// The options without what chooses pictures.
std::string options_of(SampleRequest request) {
  request.seeds.clear(), request.count.reset();
  request.variations.reset(), request.spread.reset(), request.interpolate.clear();
  return command_line("", request);
}

/// Thrown out of the sampler where no client waits for the pictures any more.
struct Cancelled {};

class Faces : public Painting {
 public:
  Faces(Painter& painter, const SampleRequest& request, PictureRange range, int states,
        std::shared_ptr<Gallery> gallery)
      : painter_(painter),
        request_(request),
        next_(range.first),
        end_(range.end),
        states_(states),
        gallery_(std::move(gallery)) {}

  bool paint() override;
  bool may_go_on() const override { return gallery_->may_go_on(); }
  void replaced() override { gallery_->replaced(); }

 private:
  void begin(Painter::Setup&);
  void paint_chunk(Painter::Setup&);
  model::SampleHooks hooks_of();
  void show_state(const model::Tensor& denoised);

  Painter& painter_;
  SampleRequest request_;
  size_t next_, end_;
  int states_;
  std::shared_ptr<Gallery> gallery_;
  std::optional<Starts> starts_;
  SampleNote note_;
  std::vector<std::string> notes_;
  std::set<size_t> shown_;  // stages whose states are shown
  int shown_states_ = 0;
};

/// What depends on the pictures, once.
void Faces::begin(Painter::Setup& setup) {
  starts_.emplace(request_, painter_.image());
  end_ = std::min(end_, starts_->size());
  if (next_ >= end_) fail(cat("there is no picture ", next_, " of ", starts_->size()));
  note_ = note_of(request_, painter_.checkpoint(), painter_.loaded(), setup.settings, setup.guided, *starts_);
  notes_ = setup.guided.notes();
  if (states_ > 0) shown_ = shown_stages(setup.plan, states_);
}

void Faces::show_state(const model::Tensor& denoised) {
  const engine::Shape image = painter_.image();
  const std::vector<uint8_t> pixels = state_pixels(painter_.device(), denoised, 1, image);
  gallery_->state(shown_states_++, int(shown_.size()), data::encode_png(picture_of(pixels.data(), image)));
}

model::SampleHooks Faces::hooks_of() {
  model::SampleHooks hooks;
  hooks.progress = [this](double) {
    if (is_cancelled()) throw Cancelled{};
  };
  if (shown_states_ < int(shown_.size()))
    hooks.look = [this](size_t stage, const model::Tensor& denoised) {
      if (shown_.count(stage)) show_state(denoised);
    };
  return hooks;
}

void Faces::paint_chunk(Painter::Setup& setup) {
  const engine::Shape image = painter_.image();
  const size_t count = std::min(end_ - next_, size_t(setup.sampler.chunk()));
  const std::vector<uint8_t> pixels =
      model::quantised(draw_numbers(setup.sampler, setup.denoiser, *starts_, next_, count, hooks_of()));
  for (size_t i = 0; i < count && !is_cancelled(); ++i) {
    const uint64_t number = starts_->numbers()[next_ + i];
    gallery_->picture(
        {.number = number,
         .seed = starts_->seeds()[next_ + i],
         .png = encode_picture(pixels.data() + i * size_t(image.count()), image, note_, number)});
  }
  next_ += count;
}

bool Faces::paint() {
  if (is_cancelled()) return false;
  bool drawing = false;
  try {
    Painter::Setup& setup = painter_.setup(request_);
    if (!starts_) begin(setup);
    drawing = true;
    paint_chunk(setup);
    if (next_ < end_) return true;
    gallery_->done(notes_);
  } catch (const Cancelled&) {
  } catch (const OutOfMemory& e) {
    gallery_->failed(503, e.what());
  } catch (const Error& e) {
    gallery_->failed(drawing ? 500 : 400, with_flags(e));
  } catch (const std::exception& e) {
    gallery_->failed(500, e.what());
  }
  return false;
}

}  // namespace

Painter::Setup::Setup(Painter& painter, const SampleRequest& request)
    : settings(painter.loaded().settle(request.sampler)),
      plan(model::make_sampler_plan(settings, painter.loaded().sde)),
      guided(painter.device(), painter.loaded(), request.guidance),
      denoiser(guided.denoiser()),
      chunk(chunk_of(request, painter.device(), denoiser, painter.image())),
      sampler(painter.device(), denoiser, plan, painter.image(), chunk.images) {}

Painter::Painter(const DeviceRequest& device, const std::filesystem::path& checkpoint)
    : asked_(device),
      device_(device_options(device)),
      checkpoint_(checkpoint),
      loaded_(model::load_model(device_, checkpoint)) {}

engine::Shape Painter::image() const {
  const model::NetworkConfig& net = loaded_.options.network;
  return {net.height, net.width, net.channels};
}

int Painter::chunk() const { return device_.backend() == engine::Backend::cpu ? 8 : 1; }

model::SamplerOptions Painter::usual_sampler() const {
  if (loaded_.options.own_sampler) return {};
  // Without noise in its steps, so that a face is what its first noise makes it, and what lies near that is near it.
  model::SamplerOptions quick{.sampler = model::SamplerKind::dpmpp_2m, .steps = 20};
  try {
    loaded_.settle(quick);
  } catch (const Error&) {  // it allows one sampler alone, for example
    return {};
  }
  return quick;
}

SampleRequest Painter::complete(SampleRequest asked) const {
  model::SamplerOptions& s = asked.sampler;
  if (!s.fast && !s.best && !s.sampler) {
    const model::SamplerOptions usual = usual_sampler();
    s.sampler = usual.sampler;
    if (!s.steps && !s.evaluations) s.steps = usual.steps;
  }
  const model::SamplerSettings settings = loaded_.settle(s);
  if (model::evaluations_of(settings) > kMostEvaluations)
    fail(cat("an image would take ", model::evaluations_of(settings), " evaluations of the network, and ",
             kMostEvaluations, " are the most here; fewer steps need fewer"));
  check_starts(asked);
  asked.checkpoint = checkpoint_.string();
  asked.device = asked_;
  asked.device.threads = 0;  // changes no bit
  asked.device.device =
      device_.backend() == engine::Backend::cpu ? engine::DeviceChoice::cpu : engine::DeviceChoice::cuda;
  return asked;
}

/// Room in the engine's arena for the steps of all that is kept: what runs first must not fix it at less than another
/// needs.
void Painter::make_room() {
  constexpr size_t kSpare = 4 << 20;
  const size_t evaluation = kept_.front().setup->chunk.evaluation_bytes,
               needed = evaluation + evaluation / 8 + kSpare;
  if (needed > room_) {
    kept_.erase(std::next(kept_.begin()), kept_.end());
    device_.reserve(needed);
    room_ = needed;
  }
  // Its peak is what may be used once steps are fixed, and is forgotten when the last of them goes.
  engine::Arena& arena = device_.arena();
  if (!arena.sealed()) arena.release(arena.allocate(room_));
}

Painter::Setup& Painter::setup(const SampleRequest& request) {
  const std::string options = options_of(request);
  const auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.options == options; });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
  } else {
    if (kept_.size() == kSetups) kept_.pop_back();  // first, since two may not fit
    kept_.push_front({options, std::make_unique<Setup>(*this, request)});
  }
  make_room();
  return *kept_.front().setup;
}

std::string command_of(const SampleRequest& request) { return command_line(commands::kSample, request); }

std::shared_ptr<Painting> paint_faces(Painter& painter, const SampleRequest& request, PictureRange range,
                                      int states, std::shared_ptr<Gallery> gallery) {
  return std::make_shared<Faces>(painter, request, range, states, std::move(gallery));
}

}  // namespace ito::apps
