#include "apps/training/request.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "apps/inputs/pictures.h"
#include "apps/training/source.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/math.h"
#include "kernels/base/path_text.h"
#include "kernels/cuda_library.h"
#include "model/training/fine_tuning.h"
#include "model/training/run_folder.h"

namespace ito::apps {

namespace {

using model::TrainingOptions;

/// Height and width of --size, else of the preset.
data::ImageSize image_size(const TrainingRequest& f, const model::NetworkConfig& network) {
  return f.size.empty() ? data::ImageSize{network.width, network.height} : data::parse_image_size(f.size);
}

/// The default preset for the device.
std::string preset_for(engine::Backend backend) {
  const bool cuda = backend == engine::Backend::cuda;
  std::cout << "preset     "
            << (cuda ? "celeba64, the default on a GPU (small on a CPU)"
                     : "small, the default on a CPU (celeba64 on a GPU)")
            << "; --preset chooses another\n";
  return cuda ? "celeba64" : "small";
}

/// The default convolutions for the device.
kernels::Provider conv_for(engine::Backend backend) {
  if (backend == engine::Backend::cpu) return kernels::Provider::own;
  const bool cudnn = kernels::cudnn_available();
  std::cout << "conv       "
            << (cudnn ? "auto: each shape's convolution is timed once, ours and cuDNN's"
                      : "ours, since there is no cuDNN")
            << "; --conv chooses others\n";
  return cudnn ? kernels::Provider::fastest : kernels::Provider::own;
}

/// Visits options, and writes those that have a flag as the user would.
struct FlagsText {
  std::string& text;
  size_t& column;

  void add(const std::string& word) const {
    constexpr size_t kColumns = 100, kIndent = 11;
    const bool full = column + 1 + word.size() > kColumns;
    if (!text.empty()) text += full ? "\n" + std::string(kIndent, ' ') : " ";
    column = (full ? kIndent : column + 1) + word.size();
    text += word;
  }
  template <class T>
  void operator()(const T& value, const Field& field) const {
    const std::string& flag = field.flag;
    if (flag.empty()) return;
    if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>)
      if (field.absent_value && double(value) == *field.absent_value) return;
    if constexpr (std::is_same_v<T, bool>) {
      if (value != (flag.rfind("--no-", 0) == 0)) add(flag);
    } else if constexpr (Nameable<T>) {
      add(cat(flag, " ", name_of(value)));
    } else if constexpr (is_number<T>) {
      add(flag + " " + shortest_text(value));
    }
  }
  template <class Options>
  void object(const char*, const Options& options) const {
    fields(options, *this);
  }
};

data::Dataset open_split(const TrainingRequest& f, const TrainingOptions& o, const std::string& split) {
  data::DatasetOptions options;
  options.split = split;
  if (f.crop) options.crop = name_of(*f.crop);
  options.orientation = f.orientation;
  options.size_step = o.network.stride();
  options.height = o.network.height, options.width = o.network.width;
  options.cache_dir = f.cache;
  options.threads = f.threads;
  options.attributes = named_attributes(f);
  options.classes = f.classes;
  return open_pictures(f.data, options);
}

/// What a run that begins from other weights takes from their run's options.
TrainingOptions base_of(const TrainingOptions& there, const model::Origin& origin) {
  TrainingOptions base = model::options_from(there);
  base.from = origin;
  return base;
}

/// The same for a run that did so, and goes on without its source.
std::optional<TrainingOptions> base_of_begun(const std::string& run) {
  const auto learned = options_of_learned(run);
  if (!learned || !learned->from) return {};
  return base_of(*learned, *learned->from);
}

/// Weighting and draw follow --prediction where they are not asked for.
void follow_prediction(const Flags& flags, const std::optional<TrainingOptions>& begun, TrainingOptions& o) {
  o.diffusion = model::default_diffusion(o.network.kind, o.diffusion.preconditioning.prediction);
  flags.read_into(o.diffusion);
  // A run keeps the weighting that it was started with, whatever the default has become.
  const bool same =
      begun && begun->diffusion.preconditioning.prediction == o.diffusion.preconditioning.prediction;
  if (same && !flags.given("--weighting")) o.diffusion.weighting = begun->diffusion.weighting;
}

}  // namespace

void add_flags(Flags& flags) {
  flags.add(TrainingRequest{});
  flags.add(TrainingOptions{});
}

TrainingRequest training_request(const Flags& flags) {
  TrainingRequest f;
  flags.read_into(f);
  if (int(flags.given("--steps")) + int(flags.given("--epochs")) + int(flags.given("--minutes")) > 1)
    fail("give one of --steps, --epochs and --minutes");
  named_attributes(f);
  if (f.classes && f.attributes)
    fail(
        "--classes and --attributes exclude each other: a network has one kind of condition; give one of "
        "them");
  if (f.fid_every == 0 && !f.inception.empty()) fail("--inception does nothing without --fid-every N");
  if (f.fid_every == 0 && flags.given("--fid-count")) fail("--fid-count does nothing without --fid-every N");
  return f;
}

SourceName name_of_source(const std::string& run_or_checkpoint) {
  std::filesystem::path folder = std::filesystem::absolute(run_or_checkpoint).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  const auto step = model::step_of_name(folder.filename());
  const bool is_checkpoint = folder.parent_path().filename() == "checkpoints";
  if (is_checkpoint) folder = folder.parent_path().parent_path();
  return {as_utf8(folder.filename().string()), step};
}

std::string run_path(const TrainingRequest& f) {
  if (!f.out.empty()) return f.out;
  std::filesystem::path folder = std::filesystem::absolute(f.data).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  return "runs/" + folder.filename().string() + "-" +
         (f.from.empty() ? f.preset.value() : "from-" + name_of_source(f.from).run);
}

std::optional<TrainingOptions> options_of_run(const std::string& run) {
  const std::filesystem::path file = std::filesystem::path(run) / "options.json";
  if (!std::filesystem::exists(file)) return {};
  try {
    return model::training_options_from_json(io::read_file(file));
  } catch (const Error& error) {
    fail(cat(file.string(), ": ", error.what(), "; restore the file, or begin a new run with another --out"));
  }
}

std::optional<TrainingOptions> options_of_learned(const std::string& run) {
  const auto newest = model::newest_checkpoint(run);
  return newest ? options_of_run(newest->string()) : std::nullopt;
}

namespace {

/// Refuses objectives that learned no faces by any sampler (docs/samplers.md). F = -z / s runs from 1/80 to 500 under
/// ve, and at the most noise the denoised image has sigma s = 6400 times F's error.
void check_objective(const model::DiffusionOptions& d) {
  const bool refused = d.sde.kind == model::SdeKind::ve || d.sde.kind == model::SdeKind::simple;
  if (refused && d.preconditioning.prediction == model::Prediction::score)
    fail(cat("networks that predict score under the SDE ", name_of(d.sde.kind),
             " learn no faces; try --prediction score-scaled or edm"));
}

/// Error: a flag of one objective with the other, where it does nothing.
void check_tuning_flags(const Flags& flags, const TrainingOptions& o) {
  const bool tunes = o.objective == model::ObjectiveKind::consistency;
  const auto refuse = [&](const char* flag) {
    if (flags.given(flag))
      fail(cat(flag, " does nothing with --objective ", name_of(o.objective), "; leave it out"));
  };
  if (tunes) return refuse("--sample-steps");
  for (const char* flag :
       {"--stages", "--stage-ratio", "--pair-near", "--pair-slope", "--huber", "--weight-power"})
    refuse(flag);
}

}  // namespace

TrainingOptions training_options(const Flags& flags, TrainingRequest& f, engine::Backend backend,
                                 const Source* source) {
  TrainingOptions asked;
  flags.read_into(asked);  // every value is checked, before anything else is
  check_tuning_flags(flags, asked);
  const bool has_path = !f.out.empty() || !f.from.empty();
  std::optional<TrainingOptions> begun, base;
  if (source) base = base_of(source->model.options, source->origin);
  if (!f.preset && base) f.preset = base->preset;
  if (!f.preset && has_path && (begun = options_of_run(run_path(f)))) f.preset = begun->preset;
  if (!f.preset) f.preset = preset_for(backend);
  begun = options_of_run(run_path(f));
  if (!base) base = base_of_begun(run_path(f));
  TrainingOptions o = base ? *base : model::default_options(*f.preset);
  o.preset = *f.preset;
  const bool tunes = asked.objective == model::ObjectiveKind::consistency;
  if (tunes) tune_to_consistency(o);
  model::apply(f.recipe, o);
  const data::ImageSize size = image_size(f, o.network);
  o.network.height = size.height, o.network.width = size.width;
  flags.read_into(o);
  o.network.augment = o.augment > 0;
  if (source) {
    if (flags.given("--preset")) model::check_same_network(*base, o.preset);
    model::check_same_model(*base, o);
  } else if (!base && flags.given("--prediction")) {
    follow_prediction(flags, begun, o);
  }
  if (!flags.given("--conv")) o.conv = begun ? begun->conv : conv_for(backend);
  if (f.crop) o.crop = name_of(*f.crop);
  set_steps(o, o.steps);
  check(o);
  if (!begun) check_objective(o.diffusion);
  return o;
}

std::string flags_text(const TrainingRequest& f, const TrainingOptions& options) {
  std::string text;
  size_t column = 11;
  const FlagsText flags{text, column};
  if (!f.from.empty()) flags.add("--from " + shell_quoted(f.from));
  const std::vector<std::string> presets = model::preset_names();
  if (std::find(presets.begin(), presets.end(), options.preset) !=
      presets.end())  // an imported network has none
    flags.add("--preset " + options.preset);
  flags.add(cat("--size ", options.network.height, "x", options.network.width));
  flags.add("--crop " + options.crop);
  if (f.attributes) flags.add(cat("--attributes", f.attributes->empty() ? "" : "=", *f.attributes));
  if (f.classes) flags.add("--classes");
  fields(options, flags);
  return text;
}

data::Dataset open_images(const TrainingRequest& f, const TrainingOptions& o) {
  return open_split(f, o, f.split);
}

std::optional<data::Dataset> open_validation(const TrainingRequest& f, const TrainingOptions& o,
                                             const data::Dataset& images) {
  if (o.validate_count == 0) return {};
  std::string why = cat("the split ", images.split(), " contains CelebA's valid one");
  if (images.kind() != "celeba") why = "a folder has no valid split";
  if (images.kind() == "celeba" && (images.split() == "train" || images.split() == "test")) {
    try {
      return open_split(f, o, "valid");
    } catch (const data::EmptySplit& error) {
      why = error.what();
    }
  }
  std::cout << "note       validation uses images that the run also learns from: " << why << "\n";
  return {};
}

std::vector<std::string> named_attributes(const TrainingRequest& f) {
  if (!f.attributes || f.attributes->empty()) return {};
  std::vector<std::string> names = split_list(*f.attributes);
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) fail(cat("--attributes=", *f.attributes, " is not a list like Smiling,Eyeglasses"));
    if (std::find(names.begin(), names.begin() + std::ptrdiff_t(i), names[i]) !=
        names.begin() + std::ptrdiff_t(i))
      fail(cat("--attributes=", *f.attributes, " names ", names[i], " twice"));
  }
  return names;
}

void complete(TrainingOptions& o, const TrainingRequest& f, const data::Dataset& images) {
  o.crop = images.crop();
  if (f.epochs) {
    const int64_t batch = int64_t(o.batch) * o.accumulate;
    set_steps(o, div_up(*f.epochs * int64_t(images.count()), batch));
  }
  if (f.attributes) {
    if (images.attributes().empty())
      fail("--attributes needs CelebA's list_attr_celeba.txt next to the images");
    const std::vector<std::string> named = named_attributes(f);
    o.attributes = named.empty() ? images.attribute_names() : named;
    o.network.condition = int(o.attributes.size());
  }
  if (f.classes) {
    o.classes = images.class_names();
    o.network.classes = int(o.classes.size());
  }
  check(o);
}

}  // namespace ito::apps
