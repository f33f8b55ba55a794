#include "model/import/scheduler.h"

#include <algorithm>
#include <set>

#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"
#include "model/json_value.h"

namespace ito::model {

using nlohmann::json;

namespace {

/// Takes values by their keys, and knows in the end which keys were not taken.
class Keys {
 public:
  explicit Keys(const json& object) : object_(object) {}

  template <class T>
  T number(const char* name, T otherwise) {
    const json* value = find(name);
    if (!value) return otherwise;
    if (!value->is_number()) refuse(name, "a number", *value);
    return value_as<T>(*value, name);
  }
  bool flag(const char* name, bool otherwise) {
    const json* value = find(name);
    if (!value) return otherwise;
    if (!value->is_boolean()) refuse(name, "true or false", *value);
    return value->get<bool>();
  }
  /// One of the names, as our value.
  template <class T>
  T choice(const char* name, const char* otherwise, const std::vector<std::pair<const char*, T>>& table) {
    const json* value = find(name);
    const json wanted = value ? *value : json(otherwise);
    std::string allowed;
    for (const auto& [theirs, ours] : table) {
      if (wanted == theirs) return ours;
      allowed += cat(allowed.empty() ? "" : " or ", "\"", theirs, "\"");
    }
    refuse(name, allowed, wanted);
  }
  /// A key that must have its one value, which is also diffusers' default.
  void only(const char* name, const json& allowed, const char* why) {
    const json* value = find(name);
    if (value && *value != allowed) refuse(name, cat(io::json_text(allowed), " (", why, ")"), *value);
  }
  /// A key that says nothing where another has the value that it must have.
  void without_meaning(const char* name) { find(name); }
  std::vector<double> numbers(const char* name) {
    std::vector<double> values;
    const json* list = find(name);
    if (!list || list->is_null()) return values;
    if (!list->is_array()) refuse(name, "null or a list of numbers", *list);
    for (const json& value : *list) {
      if (!value.is_number()) refuse(name, "a list of numbers", value);
      values.push_back(value.get<double>());
    }
    return values;
  }
  void refuse_the_rest() const {
    for (const auto& [name, value] : object_.items())
      if (name.rfind('_', 0) != 0 && !taken_.count(name))
        fail(cat("unknown key ", name.substr(0, 60), " (its value is ", shown(value), ")"));
  }

 private:
  const json* find(const char* name) {
    taken_.insert(name);
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }
  static std::string shown(const json& value) { return io::json_text(value).substr(0, 160); }
  [[noreturn]] static void refuse(const char* name, const std::string& allowed, const json& value) {
    fail(cat(name, " must be ", allowed, ", is ", shown(value)));
  }

  const json& object_;
  std::set<std::string> taken_;
};

/// Our values and diffusers' names, for both directions.
const std::vector<std::pair<const char*, Prediction>> kPredictions = {
    {"epsilon", Prediction::noise}, {"sample", Prediction::x0}, {"v_prediction", Prediction::v}};
const std::vector<std::pair<const char*, BetaSchedule>> kSchedules = {
    {"linear", BetaSchedule::linear},
    {"scaled_linear", BetaSchedule::scaled_linear},
    {"squaredcos_cap_v2", BetaSchedule::cosine},
    {"sigmoid", BetaSchedule::sigmoid}};
const std::vector<std::pair<const char*, Grid>> kSpacings = {
    {"leading", Grid::leading}, {"linspace", Grid::linspace}, {"trailing", Grid::trailing}};

/// What all three have.
void read_common(Keys& keys, Scheduler& s) {
  // Before prediction_type files of 2022 had predict_epsilon; they also name the kind of arrays.
  const bool noise = keys.flag("predict_epsilon", true);
  keys.without_meaning("tensor_format");
  const Prediction prediction = keys.choice("prediction_type", noise ? "epsilon" : "sample", kPredictions);
  s.diffusion = default_diffusion(NetworkKind::unet, prediction);
  s.diffusion.preconditioning.condition = NoiseCondition::index;
  s.diffusion.sde.kind = SdeKind::table;
  NoiseTableOptions& table = s.diffusion.sde.table;
  table.levels = keys.number("num_train_timesteps", 1000);
  table.beta_start = keys.number("beta_start", 1e-4), table.beta_end = keys.number("beta_end", 0.02);
  for (const double beta : {table.beta_start, table.beta_end})
    if (!(beta > 0 && beta < 1))
      fail(cat("beta_start and beta_end: every beta must be above 0 and below 1, not ", beta));
  table.schedule = keys.choice("beta_schedule", "linear", kSchedules);
  table.betas = keys.numbers("trained_betas");
  if (!table.betas.empty()) {
    table.schedule = BetaSchedule::listed;
    if (int64_t(table.betas.size()) != table.levels)
      fail(cat("trained_betas lists ", table.betas.size(), " betas, and num_train_timesteps is ",
               table.levels));
  }
  betas_of(table);  // checks them
  s.diffusion.preconditioning.last_index = table.levels - 1;
  s.sampler.grid = keys.choice("timestep_spacing", "leading", kSpacings);
  const int offset = keys.number("steps_offset", 0);
  if (offset < 0 || offset >= table.levels)
    fail(cat("steps_offset must be from 0 to ", table.levels - 1, ", is ", offset));
  if (offset > 0 && s.sampler.grid == Grid::leading) s.sampler.offset = offset;
}

/// how: what clipping means to the scheduler.
void read_clip(Keys& keys, Scheduler& s, const char* how) {
  s.sampler.clip = keys.flag("clip_sample", true) ? how : "none";
  if (s.sampler.clip == how)
    keys.only("clip_sample_range", 1.0, "images are cut to -1 .. 1");
  else
    keys.without_meaning("clip_sample_range");
  keys.only("thresholding", false, "dynamic thresholding is asked for when sampling");
  keys.without_meaning("dynamic_thresholding_ratio"), keys.without_meaning("sample_max_value");
  keys.only("rescale_betas_zero_snr", false, "a level without any image has no sigma");
}

void read_ddpm(Keys& keys, Scheduler& s) {
  s.sampler.sampler = SamplerKind::ancestral;
  s.sampler.variance = keys.choice<std::optional<Variance>>("variance_type", "fixed_small",
                                                            {{"fixed_small", Variance::small},
                                                             {"fixed_small_log", Variance::small},
                                                             {"fixed_large", Variance::large},
                                                             {"learned", std::nullopt},
                                                             {"learned_range", std::nullopt}});
  s.sampler.steps = std::min(1000, s.diffusion.sde.table.levels);
  if (!s.sampler.variance) {
    s.learned_variance = true;
    s.sampler.sampler = SamplerKind::ddim, s.sampler.steps = std::min(100, s.diffusion.sde.table.levels);
    s.notes.emplace_back(kWithoutVariances);
  }
  read_clip(keys, s, "static");
}

void read_last_level(Keys& keys, Scheduler& s, bool otherwise) {
  if (!keys.flag("set_alpha_to_one", otherwise)) s.sampler.final_step = FinalStep::first_level;
}

void read_ddim(Keys& keys, Scheduler& s) {
  s.sampler.sampler = SamplerKind::ddim;
  s.sampler.steps = std::min(50, s.diffusion.sde.table.levels);
  read_last_level(keys, s, true);
  read_clip(keys, s, "image");
}

void read_pndm(Keys& keys, Scheduler& s) {
  s.sampler.sampler = SamplerKind::ddim;
  s.sampler.steps = std::min(50, s.diffusion.sde.table.levels);
  s.sampler.clip = "none";
  read_last_level(keys, s, false);
  keys.without_meaning("skip_prk_steps");
  s.notes.emplace_back(
      "PNDM is not among Ito's samplers: images are drawn by DDIM with the same noise levels");
}

/// Consistency models (arXiv:2303.01469): no chain, but levels of EDM's.
void read_consistency(Keys& keys, Scheduler& s) {
  s.diffusion = default_diffusion(NetworkKind::unet, Prediction::consistency);
  Preconditioning& p = s.diffusion.preconditioning;
  p.condition = NoiseCondition::log_sigma_250;
  p.sigma_data = keys.number("sigma_data", 0.5);
  SdeOptions& sde = s.diffusion.sde;
  sde.sigma_min = p.boundary_sigma = keys.number("sigma_min", 0.002);
  sde.sigma_max = keys.number("sigma_max", 80.0);
  make_sde(sde);  // checks them
  if (!(p.sigma_data > 0)) fail(cat("sigma_data must be above 0, is ", p.sigma_data));
  if (sde.sigma_max > Ve{}.sigma_max)
    fail(cat("sigma_max must be at most ", Ve{}.sigma_max, ", is ", sde.sigma_max));
  for (const char* name : {"num_train_timesteps", "rho", "s_noise"})
    keys.without_meaning(name);  // of several steps
  s.sampler = {.sampler = SamplerKind::consistency, .steps = 1};
  s.sampler.clip = keys.flag("clip_denoised", true) ? "static" : "none";
}

Scheduler parse(const json& object) {
  if (!object.is_object()) fail("must be an object");
  const auto name = object.find("_class_name");
  const std::pair<const char*, void (*)(Keys&, Scheduler&)> readers[] = {
      {"DDPMScheduler", read_ddpm},
      {"DDIMScheduler", read_ddim},
      {"PNDMScheduler", read_pndm},
      {"CMStochasticIterativeScheduler", read_consistency}};
  for (const auto& [scheduler, read] : readers) {
    if (name == object.end() || *name != scheduler) continue;
    Scheduler s;
    Keys keys(object);
    if (read != read_consistency) read_common(keys, s);
    read(keys, s);
    keys.refuse_the_rest();
    return s;
  }
  fail(
      cat("_class_name must be DDPMScheduler, DDIMScheduler, PNDMScheduler or "
          "CMStochasticIterativeScheduler, is ",
          name == object.end() ? "missing" : io::json_text(*name).substr(0, 160)));
}

}  // namespace

Scheduler scheduler_from_json(const std::string& text, const std::string& file) {
  try {
    return parse(parse_shallow(text, "is nested too deeply"));
  } catch (const json::exception& e) {
    fail(cat(file, " is not as expected: ", e.what()));
  } catch (const Error& e) {
    fail(cat(file, ": ", e.what()));
  }
}

namespace {

template <class T>
const char* name_in(const std::vector<std::pair<const char*, T>>& table, T value) {
  for (const auto& [theirs, ours] : table)
    if (ours == value) return theirs;
  return nullptr;
}

/// Why diffusers cannot draw with the model; "" if it can.
std::string missing_in_diffusers(const TrainingOptions& o) {
  const Preconditioning& p = o.diffusion.preconditioning;
  if (o.network.kind != NetworkKind::unet || o.network.patch > 1 || o.network.condition ||
      o.network.augment || o.network.skips != SkipKind::concatenate)
    return "its UNet2DModel has neither patches nor conditions nor added skips";
  if (o.network.heads || !o.network.groups)
    return "its UNet2DModel has heads of one width and norms of one number of groups";
  if (o.network.embedding != EmbeddingKind::sinusoidal || o.network.activation != Activation::silu)
    return "with these schedulers its UNet2DModel has the positional embedding and SiLU";
  if (p.prediction == Prediction::consistency) return "";
  if (o.objective == ObjectiveKind::consistency)
    return "its scheduler of consistency models joins network and image in another way than this model, "
           "which was "
           "tuned from a denoiser";
  if (o.network.classes)
    return "its DDIM and DDPM pipelines pass no classes to a network (its UNet2DModel itself reads this "
           "one's "
           "folder unet/)";
  if (o.diffusion.sde.kind != SdeKind::table || p.condition != NoiseCondition::index)
    return cat("its schedulers are for a table of noise levels, and this model learned under ",
               name_of(o.diffusion.sde.kind), " and is given ", name_of(p.condition));
  if (p.last_index != o.diffusion.sde.table.levels - 1) return "its networks are given an index as it is";
  if (!name_in(kPredictions, p.prediction))
    return cat("its schedulers know no prediction ", name_of(p.prediction));
  return "";
}

}  // namespace

namespace {

std::string index_of(const std::string& pipeline, const char* scheduler) {
  const json index = {{"_class_name", pipeline},
                      {"scheduler", {"diffusers", scheduler}},
                      {"unet", {"diffusers", "UNet2DModel"}}};
  return io::json_text(index, 2) + "\n";
}

DiffusersFiles consistency_files(const TrainingOptions& o) {
  const DiffusionOptions& d = o.diffusion;
  const std::string clip = o.own_sampler ? o.own_sampler->clip.value_or("static") : "static";
  const json j = {{"_class_name", "CMStochasticIterativeScheduler"},
                  {"num_train_timesteps", 40},
                  {"sigma_min", d.preconditioning.boundary_sigma},
                  {"sigma_max", d.sde.sigma_max},
                  {"sigma_data", d.preconditioning.sigma_data},
                  {"s_noise", 1.0},
                  {"rho", 7.0},
                  {"clip_denoised", clip == "static"}};
  const std::string pipeline = "ConsistencyModelPipeline";
  return {io::json_text(j, 2) + "\n", index_of(pipeline, "CMStochasticIterativeScheduler"), pipeline,
          o.network.classes ? "num_inference_steps=1, class_labels=0" : "num_inference_steps=1", ""};
}

}  // namespace

std::optional<DiffusersFiles> diffusers_files(const TrainingOptions& o, std::string* why) {
  const std::string missing = missing_in_diffusers(o);
  if (why) *why = missing;
  if (!missing.empty()) return {};
  if (o.diffusion.preconditioning.prediction == Prediction::consistency) return consistency_files(o);
  const SamplerOptions own = o.own_sampler.value_or(SamplerOptions{.sampler = SamplerKind::ddim});
  const NoiseTableOptions& table = o.diffusion.sde.table;
  const bool ancestral = own.sampler == SamplerKind::ancestral;
  const SamplerSettings usual =
      settle({.sampler = SamplerKind::ddim}, o.diffusion.preconditioning.prediction);
  const std::string clip = own.clip.value_or(usual.clip.text());
  const char* const schedule = name_in(kSchedules, table.schedule);
  const char* const spacing = name_in(kSpacings, own.grid.value_or(Grid::leading));
  json j = {{"_class_name", ancestral ? "DDPMScheduler" : "DDIMScheduler"},
            {"num_train_timesteps", table.levels},
            {"beta_start", table.beta_start},
            {"beta_end", table.beta_end},
            {"beta_schedule", schedule ? schedule : "linear"},
            {"trained_betas", nullptr},
            {"prediction_type", name_in(kPredictions, o.diffusion.preconditioning.prediction)},
            {"timestep_spacing", spacing ? spacing : "leading"},
            {"steps_offset", own.offset.value_or(0)},
            {"clip_sample", clip == "static" || clip == "image"}};
  if (!table.betas.empty()) j["trained_betas"] = table.betas;
  if (ancestral)
    j["variance_type"] = own.variance == Variance::large ? "fixed_large" : "fixed_small";
  else
    j["set_alpha_to_one"] = own.final_step != FinalStep::first_level;
  const std::string pipeline = ancestral ? "DDPMPipeline" : "DDIMPipeline";
  DiffusersFiles files{io::json_text(j, 2) + "\n",
                       index_of(pipeline, ancestral ? "DDPMScheduler" : "DDIMScheduler"), pipeline, "", ""};
  files.call = cat("num_inference_steps=", own.steps.value_or(usual.steps));
  if (!ancestral && own.eta.value_or(0) > 0) files.call += cat(", eta=", *own.eta);
  if (!ancestral && clip == "static") files.call += ", use_clipped_model_output=True";
  if (!ancestral && own.grid == Grid::linspace)
    files.note = "with linspace diffusers' DDIM aims at other levels than those that it visits next";
  if (ancestral) files.note = "the noise of its steps is PyTorch's";
  return files;
}

void write_diffusers_files(const std::filesystem::path& folder, const TrainingOptions& options) {
  const auto files = diffusers_files(options);
  if (!files) return;
  std::filesystem::create_directory(folder / "scheduler");
  io::write_file_atomic(folder / "scheduler/scheduler_config.json", files->scheduler);
  io::write_file_atomic(folder / "model_index.json", files->index);
}

}  // namespace ito::model
