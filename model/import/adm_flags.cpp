#include "model/import/adm_flags.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <sstream>

#include "kernels/base/math.h"
#include "kernels/base/options.h"

namespace ito::model {

namespace {

/// Flags of training, speed, files and seeds, which say nothing about what the weights mean.
constexpr std::array kWithoutMeaning = {"attention_type",
                                        "batch_size",
                                        "begin",
                                        "data_dir",
                                        "distill_steps_per_iter",
                                        "dropout",
                                        "ema_rate",
                                        "end",
                                        "end_scales",
                                        "fp16_scale_growth",
                                        "generator",
                                        "global_batch_size",
                                        "input_pertub",
                                        "log_interval",
                                        "loss_norm",
                                        "lr",
                                        "lr_anneal_steps",
                                        "microbatch",
                                        "model_path",
                                        "num_samples",
                                        "ref_batch",
                                        "rescale_learned_sigmas",
                                        "resume_checkpoint",
                                        "save_interval",
                                        "scale_mode",
                                        "schedule_sampler",
                                        "seed",
                                        "start_ema",
                                        "start_scales",
                                        "target_ema_mode",
                                        "teacher_dropout",
                                        "teacher_model_path",
                                        "total_training_steps",
                                        "ts",
                                        "use_checkpoint",
                                        "use_fp16",
                                        "use_kl",
                                        "weight_decay",
                                        "weight_schedule"};

/// Flags that one of the programs has alone.
constexpr std::array kOfImproved = {"sigma_small"};
constexpr std::array kOfGuided = {"channel_mult", "num_head_channels", "resblock_updown",
                                  "use_new_attention_order"};
constexpr std::array kOfConsistency = {"s_churn", "sampler",   "sigma_max",     "sigma_min",
                                       "steps",   "s_noise",   "training_mode", "weight_schedule",
                                       "s_tmin",  "loss_norm", "s_tmax",        "target_ema_mode"};

template <size_t n>
bool is_among(const std::string& name, const std::array<const char*, n>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The flags with their texts; knows in the end which were not read.
class Given {
 public:
  explicit Given(const std::string& text) {
    std::istringstream words(text);
    std::string word, name;
    while (words >> word) {
      if (word == "\\") continue;  // a line that goes on
      if (name.empty()) {
        if (word.rfind("--", 0) != 0 || word.size() < 3)
          fail(
              cat("flags are pairs such as image_size 64; '", word.substr(0, 60), "' is in place of a name"));
        name = word.substr(2);
        if (const size_t equals = name.find('='); equals != std::string::npos) {
          add(name.substr(0, equals), name.substr(equals + 1));
          name.clear();
        }
        continue;
      }
      add(name, word);
      name.clear();
    }
    if (!name.empty()) fail(cat(name.substr(0, 60), " has no value"));
  }

  bool has(const std::string& name) const { return texts_.count(name) > 0; }
  template <size_t n>
  bool has_any(const std::array<const char*, n>& names) const {
    return std::any_of(names.begin(), names.end(), [&](const char* name) { return has(name); });
  }

  std::string text(const char* name, const std::string& otherwise) {
    read_.insert(name);
    const auto found = texts_.find(name);
    return found == texts_.end() ? otherwise : found->second;
  }
  template <class T>
  T number(const char* name, T otherwise, const Range& range) {
    return has(name) ? parse_option<T>(std::string(name), text(name, ""), range)
                     : (read_.insert(name), otherwise);
  }
  /// As argparse reads them there: yes, true, t, y, 1 and their opposites, in any case.
  bool flag(const char* name, bool otherwise) {
    if (!has(name)) return read_.insert(name), otherwise;
    std::string value = text(name, "");
    std::transform(value.begin(), value.end(), value.begin(),
                   [](unsigned char c) { return char(std::tolower(c)); });
    for (const char* yes : {"yes", "true", "t", "y", "1"})
      if (value == yes) return true;
    for (const char* no : {"no", "false", "f", "n", "0"})
      if (value == no) return false;
    fail(cat(name, " must be True or False, is ", value.substr(0, 60)));
  }

  void refuse_the_rest() const {
    for (const auto& [name, value] : texts_) {
      if (read_.count(name) || is_among(name, kWithoutMeaning)) continue;
      const std::string start = name.substr(0, 60);
      if (name.rfind("classifier_", 0) == 0)
        fail(cat(start, ": guidance by a classifier, which is a network of its own, is not among Ito's"));
      std::vector<std::string> known(read_.begin(), read_.end());
      known.insert(known.end(), kWithoutMeaning.begin(), kWithoutMeaning.end());
      fail(cat("unknown flag ", start, "; did you mean ", nearest_name(start, known), "?"));
    }
  }

 private:
  void add(const std::string& name, const std::string& value) {
    const auto [there, is_new] = texts_.emplace(name, value);
    if (!is_new && there->second != value)
      fail(cat(name.substr(0, 60), " is given twice, as ", there->second.substr(0, 60), " and as ",
               value.substr(0, 60)));
  }

  std::map<std::string, std::string> texts_;
  std::set<std::string> read_;
};

AdmCode code_of(const Given& given) {
  const bool improved = given.has_any(kOfImproved), guided = given.has_any(kOfGuided),
             consistency = given.has_any(kOfConsistency);
  if (improved && (guided || consistency))
    fail_advising("these flags are of improved-diffusion and of another program at once",
                  {"{code} with the program that they are of"});
  if (improved) return AdmCode::improved;
  if (consistency) return AdmCode::consistency;
  if (guided || given.has("rescale_timesteps")) return AdmCode::guided;
  fail_advising(
      "these flags are of improved-diffusion or of guided-diffusion, which differ in what they leave out: "
      "rescale_timesteps is True in the first, False in the second",
      {"{code} improved-diffusion", "{code} guided-diffusion"});
}

std::vector<int> whole_numbers(const std::string& name, const std::string& list) {
  std::vector<int> numbers;
  for (const std::string& text : split_list(list))
    numbers.push_back(parse_option<int>(cat("each number of ", name), text, from(1).to(4096)));
  return numbers;
}

/// Channels of each level, in multiples of the first.
std::vector<int> multiples(Given& given, AdmCode code, int size) {
  const std::string list = given.text("channel_mult", "");
  if (!list.empty()) {
    std::vector<int> numbers = whole_numbers("channel_mult", list);
    if (numbers.front() != 1) fail(cat("channel_mult must begin with 1, is ", list.substr(0, 60)));
    return numbers;
  }
  if (size == 256) return {1, 1, 2, 2, 4, 4};
  if (size == 128 && code != AdmCode::improved) return {1, 1, 2, 3, 4};
  if (size == 64) return {1, 2, 3, 4};
  if (size == 32) return {1, 2, 2, 2};
  fail(cat("image_size ", size, " has no channels of its own here",
           size == 512 ? ", since the network's first level has half of num_channels" : "",
           "; with channel_mult 1,2,..., image sizes are free"));
}

void read_heads(Given& given, NetworkConfig& network) {
  const int heads = given.number<int>("num_heads", 4, from(1).to(1 << 16)),
            up = given.number<int>("num_heads_upsample", -1, from(-1).to(1 << 16)),
            width = given.number<int>("num_head_channels", -1, from(-1).to(1 << 16));
  if (width == 0) fail("num_head_channels must be -1 or at least 1");
  if (width > 0) {
    network.head_width = width;
    return;
  }
  if (up != -1 && up != heads) fail(cat("num_heads_upsample must be -1 or num_heads, ", heads, ", is ", up));
  std::set<int> widths = {network.block_channels.back()};  // of the attentions; the middle has one always
  for (int level = 0; level < network.levels(); ++level)
    if (network.attention[size_t(level)]) widths.insert(network.block_channels[size_t(level)]);
  // Where all are equally wide, heads have a width, which diffusers can say, too.
  if (widths.size() == 1 && heads > 1 && *widths.begin() % heads == 0)
    network.head_width = *widths.begin() / heads;
  else if (heads > 1)
    network.heads = heads;
}

NetworkConfig read_network(Given& given, AdmCode code) {
  NetworkConfig c;
  const int size = given.number<int>("image_size", 64, from(1).to(4096)),
            channels = given.number<int>("num_channels", 128, from(1).to(1 << 16));
  c.height = c.width = size;
  c.block_channels.clear();
  for (const int times : multiples(given, code, size)) c.block_channels.push_back(times * channels);
  c.attention.assign(c.block_channels.size(), false);
  const std::string resolutions =
      given.text("attention_resolutions", code == AdmCode::consistency ? "32,16,8" : "16,8");
  for (const int resolution : whole_numbers("attention_resolutions", resolutions))
    for (int level = 0; level < c.levels(); ++level)
      if (size / resolution == 1 << level) c.attention[size_t(level)] = true;
  c.layers_per_block = given.number<int>("num_res_blocks", 2, from(1).to(64));
  read_heads(given, c);
  c.scale_shift = given.flag("use_scale_shift_norm", true);
  c.residual_resampling = given.flag("resblock_updown", false);
  c.embedding = EmbeddingKind::sinusoidal;
  return c;
}

/// "", "250" or "ddim25": how many of T indices are visited, and which.
void read_respacing(Given& given, SamplerOptions& sampler, int levels) {
  const std::string text = given.text("timestep_respacing", "");
  const bool strides = text.rfind("ddim", 0) == 0;
  if (text.empty()) {
    sampler.grid = Grid::linspace, sampler.steps = levels;
    return;
  }
  if (text.find(',') != std::string::npos)
    fail(
        cat("timestep_respacing ", text.substr(0, 60), ": sections are not among Ito's grids; leave it out"));
  const int count = parse_option<int>("timestep_respacing", text.substr(strides ? 4 : 0), from(2).to(levels));
  sampler.steps = count, sampler.grid = strides ? Grid::leading : Grid::linspace;
  if (!strides) return;
  int stride = 1;  // as they find it: the first whole one that visits so many
  while (stride < levels && div_up(levels, stride) != count) ++stride;
  if (stride == levels)
    fail(cat("timestep_respacing ", text, ": no whole stride visits so many of diffusion_steps ", levels));
  if (stride != levels / count)
    fail(cat("timestep_respacing ", text, ": its stride of ", stride,
             " is not among Ito's grids; leave it out"));
}

void read_chain(Given& given, AdmFlags& f) {
  const bool x0 = given.flag("predict_xstart", false);
  f.diffusion = default_diffusion(NetworkKind::unet, x0 ? Prediction::x0 : Prediction::noise);
  f.diffusion.preconditioning.condition = NoiseCondition::index;
  f.diffusion.sde.kind = SdeKind::table;
  NoiseTableOptions& table = f.diffusion.sde.table;
  table.levels = given.number<int>("diffusion_steps", 1000, from(2).to(1e6));
  const std::string schedule = given.text("noise_schedule", "linear");
  if (schedule != "linear" && schedule != "cosine")
    fail(cat("noise_schedule must be linear or cosine, is ", schedule.substr(0, 60)));
  const double scale = 1000.0 / table.levels;  // so that the last level has about the noise of 1,000 levels
  if (schedule == "cosine")
    table.schedule = BetaSchedule::cosine;
  else
    table.beta_start = scale * 1e-4, table.beta_end = scale * 0.02;
  betas_of(table);  // checks them
  const bool rescale = given.flag("rescale_timesteps", f.code == AdmCode::improved);
  f.diffusion.preconditioning.last_index = (table.levels - 1) * (rescale ? scale : 1.0);
  f.learned_variance = given.flag("learn_sigma", false);

  const bool ddim = given.flag("use_ddim", false), small = given.flag("sigma_small", false);
  read_respacing(given, f.sampler, table.levels);
  f.sampler.clip = given.flag("clip_denoised", true) ? "static" : "none";
  f.sampler.sampler = ddim || f.learned_variance ? SamplerKind::ddim : SamplerKind::ancestral;
  if (f.sampler.sampler == SamplerKind::ancestral)
    f.sampler.variance = small ? Variance::small : Variance::large;
  if (f.learned_variance && !ddim) {
    f.notes.emplace_back(
        "the network's variances are left out: its authors' ancestral steps need them, DDIM does not, so "
        "that images "
        "are drawn by DDIM");
    if (!given.has("timestep_respacing"))
      f.sampler.grid = Grid::leading, f.sampler.steps = std::min(100, table.levels);
  }
}

/// EDM's objective, or the consistency models that were made from such a model.
void read_karras(Given& given, AdmFlags& f) {
  const std::string mode = given.text("training_mode", "edm");
  const bool consistency = mode.find("consistency") != std::string::npos;
  if (!consistency && mode != "edm")
    fail(cat("training_mode must be edm, consistency_distillation or consistency_training, is ",
             mode.substr(0, 60)));
  f.diffusion = default_diffusion(NetworkKind::unet, consistency ? Prediction::consistency : Prediction::edm);
  f.diffusion.preconditioning.condition = NoiseCondition::log_sigma_250;
  SdeOptions& sde = f.diffusion.sde;
  sde.sigma_min = given.number<double>("sigma_min", 0.002, above(0).to(1e6));
  sde.sigma_max = given.number<double>("sigma_max", Ve{}.sigma_max, above(0).to(Ve{}.sigma_max));
  f.diffusion.preconditioning.boundary_sigma = sde.sigma_min;
  make_sde(sde);  // checks them
  if (given.flag("learn_sigma", false)) fail("learn_sigma must be False: nothing uses a variance here");
  const std::string sampler = given.text("sampler", consistency ? "onestep" : "heun");
  const int steps = given.number<int>("steps", 40, kSamplerSteps);
  if (given.number<double>("s_churn", 0, from(0).to(1e30)) != 0)
    fail("s_churn must be 0: ask for it when images are drawn");
  for (const char* unused : {"s_tmin", "s_tmax", "s_noise"}) given.text(unused, "");
  f.sampler.clip = given.flag("clip_denoised", true) ? "static" : "none";
  f.sampler.sampler = consistency          ? SamplerKind::consistency
                      : sampler == "euler" ? SamplerKind::euler
                                           : SamplerKind::heun;
  f.sampler.steps = consistency ? 1 : steps;
  if (!consistency) f.sampler.grid = Grid::karras;
  if (sampler != (consistency ? "onestep" : "heun") && sampler != "euler")
    f.notes.push_back(cat("their sampler ", sampler.substr(0, 60), " is not taken: images are drawn by ",
                          name_of(*f.sampler.sampler)));
}

}  // namespace

AdmFlags adm_flags(const std::string& text, std::optional<AdmCode> code) {
  Given given(text);
  AdmFlags f;
  f.code = code ? *code : code_of(given);
  f.network = read_network(given, f.code);
  f.class_cond = given.flag("class_cond", false);
  const bool new_order = given.flag("use_new_attention_order", false);
  // The published consistency models were trained by a faster attention, which splits first whatever the flag says.
  f.split_first = new_order || f.code == AdmCode::consistency;
  if (f.code == AdmCode::consistency)
    read_karras(given, f);
  else
    read_chain(given, f);
  given.refuse_the_rest();
  check(f.network);
  return f;
}

}  // namespace ito::model
