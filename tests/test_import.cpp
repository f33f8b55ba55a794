#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/io/safetensors.h"
#include "io_helpers.h"
#include "model/diffusion/sampler.h"
#include "model/import/foreign_model.h"
#include "model/import/scheduler.h"
#include "model/training/checkpoint.h"
#include "parity_recipe.h"
#include "plan_runs.h"
#include "torch_pickles.h"

/// Others' models: schedulers against diffusers' own, names and containers, what is refused.
namespace ito::tests {
namespace {

namespace fs = std::filesystem;
using namespace model;
using nlohmann::json;

constexpr double kStart[] = {-1.3, -0.4, 0.05, 0.7, 1.9};  // sampler_values.py's, at the first level

/// What the scheduler of a case, read and settled, makes of its five pixels.
void check_case(const json& c) {
  const std::string config = c.at("config").dump();
  CAPTURE(config);
  CAPTURE(c.at("steps").get<int>());
  CAPTURE(c.value("eta", json()).dump());
  Scheduler scheduler = scheduler_from_json(config);
  scheduler.sampler.steps = c.at("steps").get<int>();
  if (!c.at("eta").is_null()) scheduler.sampler.eta = c.at("eta").get<double>();
  const Preconditioning& p = scheduler.diffusion.preconditioning;
  const SamplerPlan plan =
      make_sampler_plan(settle(scheduler.sampler, p.prediction), make_sde(scheduler.diffusion.sde));
  std::vector<int> timesteps;
  for (const Stage& stage : plan.stages) timesteps.push_back(int(float(p.at(stage.level).c_noise)));
  CHECK(timesteps == c.at("timesteps").get<std::vector<int>>());
  for (size_t pixel = 0; pixel < 5; ++pixel) {
    uint32_t step = 0;
    const auto noise = [&] { return double(parity_stream(100 + step++, 5, 1)[pixel]) * std::sqrt(3.0); };
    const auto denoise = [](double x, double sigma) { return Mixture().denoise(x, sigma); };
    CHECK(plan.prior_sigma == doctest::Approx(std::hypot(1, plan.stages[0].level.sigma)).epsilon(1e-12));
    const double got = run_plan(plan, kStart[pixel] * plan.stages[0].level.sigma, denoise, noise);
    CAPTURE(pixel);
    CHECK(got == doctest::Approx(c.at("result").at(pixel).get<double>()).epsilon(1e-5));
  }
}

/// An image network's configuration and numbers, as tests/reference/import_values.py has them.
struct Peer {
  json about = json::parse(std::ifstream(fixture("import.json")));
  std::string network() const { return about.at("network").dump(); }
  /// Every parameter's name, shape in files and numbers.
  std::vector<io::TensorSpec> specs;
  std::vector<std::vector<float>> numbers;

  Peer() {
    engine::Device device;
    engine::ParamStore store(device);
    const Network network(engine::Scope(store), network_config_from_json(this->network()));
    const auto names = about.at("parameters").get<std::vector<std::string>>();
    for (size_t i = 0; i < names.size(); ++i) {
      REQUIRE(store.find(names[i]) >= 0);
      const std::vector<int64_t> shape = engine::file_shape(store.specs()[size_t(store.find(names[i]))]);
      specs.push_back({names[i], io::ElementType::f32, shape});
      numbers.push_back(parity_parameter(uint32_t(i), names[i], shape));
    }
  }
  /// A folder as diffusers saves it.
  void save(const fs::path& folder, const std::string& scheduler) const {
    fs::create_directories(folder / "unet"), fs::create_directories(folder / "scheduler");
    put(folder / "unet/config.json", network());
    put(folder / "scheduler/scheduler_config.json", scheduler);
    std::vector<io::TensorEntry> entries;
    for (size_t i = 0; i < specs.size(); ++i) entries.push_back({specs[i], numbers[i].data()});
    io::write_safetensors(folder / "unet/diffusion_pytorch_model.safetensors", entries);
  }
};

/// [N,C,H,W] -> [N,H,W,C].
std::vector<float> channels_last(const std::vector<float>& from, int n, int c, int pixels) {
  std::vector<float> to(from.size());
  for (int i = 0; i < n; ++i)
    for (int k = 0; k < c; ++k)
      for (int p = 0; p < pixels; ++p)
        to[size_t((i * pixels + p) * c + k)] = from[size_t((i * c + k) * pixels + p)];
  return to;
}

std::vector<float> weights_of(const fs::path& checkpoint, const std::string& name) {
  return io::SafetensorsReader(checkpoint / "unet/diffusion_pytorch_model.safetensors").values<float>(name);
}

/// The message of importing this scheduler with the peer's network.
std::string refusal(json scheduler, const char* key, const json& value) {
  scheduler[key] = value;
  return error_of([&] { scheduler_from_json(scheduler.dump()); });
}

/// A checkpoint of ddim's: two levels of 32 and 64 channels, attention at the second, one block a level. Names and
/// shapes are those of its models/diffusion.py.
struct DdimFile {
  std::vector<std::pair<std::string, std::vector<int64_t>>> tensors;

  DdimFile() {
    pair("temb.dense.0", {128, 32}), pair("temb.dense.1", {128, 128}), pair("conv_in", {32, 3, 3, 3});
    block("down.0.block.0", 32, 32), pair("down.0.downsample.conv", {32, 32, 3, 3});
    block("down.1.block.0", 32, 64), attention("down.1.attn.0");
    block("mid.block_1", 64, 64), attention("mid.attn_1"), block("mid.block_2", 64, 64);
    block("up.0.block.0", 96, 32), block("up.0.block.1", 64, 32);
    block("up.1.block.0", 128, 64), block("up.1.block.1", 96, 64);
    attention("up.1.attn.0"), attention("up.1.attn.1"), pair("up.1.upsample.conv", {64, 64, 3, 3});
    pair("norm_out", {32}), pair("conv_out", {3, 32, 3, 3});
  }
  void pair(const std::string& name, std::vector<int64_t> weight) {
    const int64_t bias = weight[0];
    tensors.emplace_back(name + ".weight", std::move(weight)),
        tensors.emplace_back(name + ".bias", std::vector{bias});
  }
  void block(const std::string& name, int64_t in, int64_t out) {
    pair(name + ".norm1", {in}), pair(name + ".conv1", {out, in, 3, 3}),
        pair(name + ".temb_proj", {out, 128});
    pair(name + ".norm2", {out}), pair(name + ".conv2", {out, out, 3, 3});
    if (in != out) pair(name + ".nin_shortcut", {out, in, 1, 1});
  }
  void attention(const std::string& name) {
    pair(name + ".norm", {64});
    for (const char* part : {".q", ".k", ".v", ".proj_out"}) pair(name + part, {64, 64, 1, 1});
  }
  static int64_t count(const std::vector<int64_t>& shape) {
    int64_t n = 1;
    for (int64_t extent : shape) n *= extent;
    return n;
  }
  static std::vector<float> numbers(size_t i, int64_t count, uint32_t kind) {
    return parity_stream(uint32_t(i) + 10000 * kind, size_t(count), 0.1);
  }
  /// As torch.save writes [model, optimizer, epoch, step, EMA]; the numbers of kind 0 and 1.
  std::string list() const {
    std::vector<std::string> keys;
    std::string data, parts[2];
    for (uint32_t kind : {0, 1}) {
      torch_pickles::Items items;
      for (size_t i = 0; i < tensors.size(); ++i) {
        const auto& [name, shape] = tensors[i];
        const int64_t n = count(shape);
        keys.push_back(std::to_string(keys.size()));
        std::vector<int64_t> strides(shape.size(), 1);
        for (size_t k = shape.size() - 1; k > 0; --k) strides[k - 1] = strides[k] * shape[k];
        items.emplace_back((kind ? "" : "module.") + name,
                           torch_pickles::tensor(torch_pickles::storage(keys.back(), n), 0, shape, strides));
        data += torch_pickles::little_endian(uint64_t(n), 8);
        for (float x : numbers(i, n, kind))
          data += torch_pickles::little_endian(std::bit_cast<uint32_t>(x), 4);
      }
      parts[kind] = torch_pickles::dict(items);
    }
    const std::string optimizer = torch_pickles::dict({{"state", "}"}, {"lr", "G" + std::string(8, '\0')}});
    using torch_pickles::integer;
    const std::string all = "](" + parts[0] + optimizer + integer(3) + integer(1234) + parts[1] + "e";
    return torch_pickles::legacy(all, keys, data);
  }
  std::vector<float> values(const std::string& name, uint32_t kind) const {
    for (size_t i = 0; i < tensors.size(); ++i)
      if (tensors[i].first == name) return numbers(i, count(tensors[i].second), kind);
    FAIL("no such tensor: " << name);
    return {};
  }
};

}  // namespace

TEST_CASE("diffusers' schedulers: timesteps exactly, and every step's result") {
  const json cases = json::parse(std::ifstream(fixture("schedulers.json"))).at("cases");
  CHECK(cases.size() == 27);
  for (const json& c : cases) check_case(c);
}

TEST_CASE("a scheduler is written as it was read; the reason for none is stated") {
  TrainingOptions o;
  o.network.height = o.network.width = 8;
  const json cases = json::parse(std::ifstream(fixture("schedulers.json"))).at("cases");
  for (const json& c : cases) {
    const Scheduler read = scheduler_from_json(c.at("config").dump());
    o.diffusion = read.diffusion, o.own_sampler = read.sampler;
    const auto files = diffusers_files(o);
    REQUIRE(files.has_value());
    CHECK(files->pipeline ==
          (c.at("config").at("_class_name") == "DDPMScheduler" ? "DDPMPipeline" : "DDIMPipeline"));
    CHECK(contains(files->call, cat("num_inference_steps=", *read.sampler.steps)));
    CHECK_FALSE(contains(files->call, "use_clipped_model_output"));  // as its own DDIM clips
    CHECK(files->note.empty() ==
          (files->pipeline == "DDPMPipeline" || c.at("config").at("timestep_spacing") != "linspace"));
    const json written = json::parse(files->scheduler);
    for (const auto& [key, value] : written.items()) {
      CAPTURE(key);
      const bool listed = !written.at("trained_betas").is_null() && (key == "beta_schedule");
      if (!listed) CHECK(value == c.at("config").at(key));
    }
    const Scheduler again = scheduler_from_json(files->scheduler);
    CHECK(again.diffusion.sde.table == read.diffusion.sde.table);
    CHECK(text_of(settle(again.sampler, Prediction::noise)) ==
          text_of(settle(read.sampler, Prediction::noise)));
  }
  const auto why = [](const TrainingOptions& of) {
    std::string text;
    CHECK_FALSE(diffusers_files(of, &text).has_value());
    return text;
  };
  CHECK(contains(why(TrainingOptions{}), "this model learned under ve and is given log-sigma/4"));
  o.network.patch = 2;
  CHECK(contains(why(o), "neither patches"));
}

TEST_CASE("a folder of diffusers' becomes a checkpoint that draws the same images") {
  const Peer peer;
  const TempFolder folder;
  int number = 0;
  for (const json& c : peer.about.at("cases")) {
    CAPTURE(number);
    const fs::path from = folder / cat("from", number), to = folder / cat("to", number);
    ++number;
    peer.save(from, c.at("config").dump());
    const Imported imported = write_imported(to, diffusers_model(from));
    CHECK(imported.tensors == int64_t(peer.specs.size()));
    CHECK(weights_of(to, peer.specs[0].name) == peer.numbers[0]);
    write_imported(folder / cat("again", number), diffusers_model(to));  // it is such a folder itself
    engine::Device device;
    const LoadedModel model = load_model(device, to);
    const SamplerSettings sampler = model.settle({.steps = c.at("steps").get<int>()});
    const bool ancestral = c.at("config").at("_class_name") == "DDPMScheduler";
    CHECK(sampler.sampler == (ancestral ? SamplerKind::ancestral : SamplerKind::ddim));
    const SamplerPlan plan = make_sampler_plan(sampler, model.sde);
    const std::vector<float> noise =
        channels_last(parity_stream(kInputStream, 2 * 3 * 64, std::sqrt(3.0)), 2, 3, 64);
    const std::vector<float> got =
        Sampler(device, model.denoiser(), plan, {8, 8, 3}, 2).numbers({0, 1}, {.noise = noise.data()});
    const std::vector<float> want = channels_last(c.at("images").get<std::vector<float>>(), 2, 3, 64);
    double most = 0, error = 0;
    for (size_t i = 0; i < got.size(); ++i)
      most = std::max(most, std::abs(double(want[i]))),
      error = std::max(error, std::abs(double(got[i]) - want[i]));
    // Where it clips, what a network of random weights says is mostly noise times a hundred, and so is its rounding.
    CHECK(error < (plan.clip.kind == Clip::Kind::none ? 1e-5 : 2e-3) * most);
  }
}

TEST_CASE("containers of the same weights give the same checkpoint; older names of attention are known") {
  const Peer peer;
  const TempFolder folder;
  const std::string scheduler = peer.about.at("cases").at(0).at("config").dump();
  peer.save(folder / "whole", scheduler);
  write_imported(folder / "want", diffusers_model(folder / "whole"));
  const auto same = [&](const fs::path& made) {
    for (const io::TensorSpec& spec : peer.specs)
      CHECK(weights_of(folder / made, spec.name) == weights_of(folder / "want", spec.name));
  };
  // Two files and their index, the older names in one folder without inner ones.
  fs::create_directories(folder / "split");
  fs::copy(folder / "whole/unet/config.json", folder / "split/config.json");
  fs::copy(folder / "whole/scheduler/scheduler_config.json", folder / "split/scheduler_config.json");
  json map;
  std::vector<io::TensorEntry> parts[2];
  for (size_t i = 0; i < peer.specs.size(); ++i) {
    io::TensorSpec spec = peer.specs[i];
    for (const auto& [newer, older] : {std::pair{".to_q.", ".query."},
                                       {".to_k.", ".key."},
                                       {".to_v.", ".value."},
                                       {".to_out.0.", ".proj_attn."}})
      if (const size_t at = spec.name.find(newer); at != std::string::npos)
        spec.name.replace(at, std::string(newer).size(), older);
    map[spec.name] = cat("part", i % 2, ".safetensors");
    parts[i % 2].push_back({spec, peer.numbers[i].data()});
  }
  for (int k : {0, 1}) io::write_safetensors(folder / cat("split/part", k, ".safetensors"), parts[k]);
  put(folder / "split/diffusion_pytorch_model.safetensors.index.json", json{{"weight_map", map}}.dump());
  write_imported(folder / "made", diffusers_model(folder / "split"));
  same("made");
  map["absent"] = "part0.safetensors";
  put(folder / "split/diffusion_pytorch_model.safetensors.index.json", json{{"weight_map", map}}.dump());
  CHECK(contains(error_of([&] { diffusers_model(folder / "split"); }), "part0.safetensors lacks absent"));
}

TEST_CASE("a checkpoint of ddim's: averaged or last weights, under our names") {
  const DdimFile peer;
  const TempFolder folder;
  put(folder / "ckpt.pth", peer.list());
  const std::pair<const char*, const char*> pairs[] = {
      {"temb.dense.1.weight", "time_embedding.linear_2.weight"},
      {"down.0.downsample.conv.weight", "down_blocks.0.downsamplers.0.conv.weight"},
      {"down.1.block.0.nin_shortcut.weight", "down_blocks.1.resnets.0.conv_shortcut.weight"},
      {"down.1.block.0.temb_proj.bias", "down_blocks.1.resnets.0.time_emb_proj.bias"},
      {"down.1.attn.0.k.weight", "down_blocks.1.attentions.0.to_k.weight"},
      {"mid.attn_1.norm.weight", "mid_block.attentions.0.group_norm.weight"},
      {"mid.attn_1.proj_out.weight", "mid_block.attentions.0.to_out.0.weight"},
      {"mid.block_2.conv2.weight", "mid_block.resnets.1.conv2.weight"},
      {"up.1.block.0.conv1.weight", "up_blocks.0.resnets.0.conv1.weight"},
      {"up.1.upsample.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"},
      {"up.0.block.1.norm1.bias", "up_blocks.1.resnets.1.norm1.bias"},
      {"norm_out.weight", "conv_norm_out.weight"},
      {"conv_out.bias", "conv_out.bias"}};
  for (const bool raw : {false, true}) {
    const fs::path made = folder / (raw ? "raw" : "average");
    write_imported(made, ddim_model(folder / "ckpt.pth", {.raw = raw}));
    for (const auto& [theirs, ours] : pairs) {
      CAPTURE(theirs);
      CHECK(weights_of(made, ours) == peer.values(theirs, raw ? 0 : 1));
    }
    engine::Device device;
    const LoadedModel model = load_model(device, made);
    CHECK(model.options.network.width == 32);  // its attention is at 16
    CHECK_FALSE(model.options.network.pad_both_sides);
    CHECK(text_of(model.settle({})) == "ddim, 100 steps, grid leading, eta 0, clip none");
    CHECK(text_of(model.settle({.sampler = SamplerKind::heun})) ==
          "heun, 18 steps, grid karras, rho 7, clip none");
  }
  put(folder / "cut.pth", peer.list().substr(0, 100000));
  CHECK(contains(error_of([&] { ddim_model(folder / "cut.pth"); }), "truncated"));
}

TEST_CASE("outputs for learned variances are left out, where the scheduler says that there are some") {
  Peer peer;
  const TempFolder folder;
  json ddpm = {{"_class_name", "DDPMScheduler"}, {"variance_type", "learned_range"}};
  const Scheduler read = scheduler_from_json(ddpm.dump());
  CHECK((read.learned_variance && read.sampler.sampler == SamplerKind::ddim));
  peer.save(folder / "without", ddpm.dump());
  CHECK(contains(
      error_of([&] { diffusers_model(folder / "without"); }),
      "out_channels must be twice in_channels, 3, since the scheduler's variance_type is learned; is 3"));
  peer.about["network"]["out_channels"] = 6;
  const std::vector<float> weight = peer.numbers[peer.specs.size() - 2], bias = peer.numbers.back();
  for (size_t back : {1, 2}) {  // conv_out's bias and weight, with other numbers behind
    const size_t i = peer.specs.size() - back;
    REQUIRE(peer.specs[i].name.rfind("conv_out.", 0) == 0);
    peer.specs[i].shape[0] = 6, peer.numbers[i].resize(2 * peer.numbers[i].size(), 7.0f);
  }
  peer.save(folder / "with", ddpm.dump());
  const ForeignModel model = diffusers_model(folder / "with");
  write_imported(folder / "made", model);
  CHECK(weights_of(folder / "made", "conv_out.weight") == weight);
  CHECK(weights_of(folder / "made", "conv_out.bias") == bias);
  engine::Device device;
  const LoadedModel loaded = load_model(device, folder / "made");
  CHECK(contains(error_of([&] { loaded.settle({.sampler = SamplerKind::ancestral}); }), "an import leaves"));
  ddpm["variance_type"] = "fixed_small";
  peer.save(folder / "other", ddpm.dump());
  CHECK(contains(error_of([&] { diffusers_model(folder / "other"); }), "out_channels must be 3"));
}

TEST_CASE("a consistency model's scheduler; a model's card has its licence") {
  const Peer peer;
  const TempFolder folder;
  json config = {{"_class_name", "CMStochasticIterativeScheduler"},
                 {"num_train_timesteps", 40},
                 {"sigma_min", 0.002},
                 {"sigma_max", 80.0},
                 {"sigma_data", 0.5},
                 {"s_noise", 1.0},
                 {"rho", 7.0},
                 {"clip_denoised", true}};
  peer.save(folder / "from", config.dump());
  put(folder / "from/README.md", "---\ntags:\n- faces\nlicense: apache-2.0\n---\nlicense: another\n");
  const ForeignModel model = diffusers_model(folder / "from");
  CHECK(model.licence == "apache-2.0");
  write_imported(folder / "made", model);
  CHECK(json::parse(std::ifstream(folder / "made/import.json")).at("licence") == "apache-2.0");
  engine::Device device;
  const LoadedModel loaded = load_model(device, folder / "made");
  CHECK(text_of(loaded.settle({})) == "euler, 1 step, grid karras, rho 7, clip static");
  CHECK(loaded.options.diffusion.preconditioning.prediction == Prediction::consistency);
  CHECK_FALSE(fs::exists(folder / "made/scheduler"));
  CHECK(contains(refusal(config, "sigma_max", 100.0), "sigma_max must be at most 80, is 100"));
  CHECK(contains(refusal(config, "sigma_min", 90.0), "0 < sigma_min < sigma_max"));
  CHECK(contains(refusal(config, "prediction_type", "epsilon"), "unknown key prediction_type"));
}

TEST_CASE("files that are cut off, at every percent, and pickles that would run code") {
  const Peer peer;
  const TempFolder folder;
  const std::string scheduler = peer.about.at("cases").at(0).at("config").dump();
  peer.save(folder / "from", scheduler);
  const fs::path file = folder / "from/unet/diffusion_pytorch_model.safetensors";
  const auto bytes_of = [](const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto refuses_every_part = [&](const std::string& whole, const fs::path& place, const auto& import) {
    for (size_t percent = 0; percent < 100; ++percent) {
      put(place, whole.substr(0, whole.size() * percent / 100));
      CAPTURE(percent);
      CHECK_FALSE(error_of(import).empty());
      CHECK_FALSE(fs::exists(folder / "to"));
    }
  };
  refuses_every_part(bytes_of(file), file,
                     [&] { write_imported(folder / "to", diffusers_model(folder / "from")); });
  refuses_every_part(DdimFile().list(), folder / "cut.pth",
                     [&] { write_imported(folder / "to", ddim_model(folder / "cut.pth")); });
  // os.system("touch MARKER") as an object's way to be made: protocols 2 and 4.
  const fs::path marker = folder / "marker";
  const std::string command = cat("touch ", marker.string());
  using torch_pickles::text;
  const std::string two = torch_pickles::global("os", "system") + torch_pickles::tuple({text(command)}) + "R";
  const std::string four =
      "\x80\x04\x8c\x02os\x8c\x06system\x93" + torch_pickles::tuple({text(command)}) + "R";
  for (const std::string& root : {two, four}) {
    put(folder / "evil.pth", torch_pickles::legacy(root, {}, ""));
    CHECK(contains(error_of([&] { ddim_model(folder / "evil.pth"); }), "evil.pth"));
    CHECK(
        contains(error_of([&] { adm_model(folder / "evil.pth", {"--resblock_updown True"}); }), "evil.pth"));
    put(folder / "evil.pth", "\x80\x02" + root + ".");
    CHECK_FALSE(error_of([&] { ddim_model(folder / "evil.pth"); }).empty());
  }
  CHECK_FALSE(fs::exists(marker));
}

TEST_CASE("what Ito does not have is refused by its key and value") {
  const Peer peer;
  const json ddim = peer.about.at("cases").at(0).at("config"), none;
  struct Row {
    const char* key;
    json value;
    const char* message;
  };
  const Row rows[] = {
      {"_class_name", "EulerDiscreteScheduler",
       "_class_name must be DDPMScheduler, DDIMScheduler, PNDMScheduler or CMStochasticIterativeScheduler"},
      {"_class_name", none, "_class_name must be"},
      {"beta_schedule", "laplace", "beta_schedule must be \"linear\" or"},
      {"beta_end", 1.5, "every beta must be above 0 and below 1"},
      {"beta_start", "small", "beta_start must be a number, is \"small\""},
      {"num_train_timesteps", 1, "has from 2 to 1000000 noise levels"},
      {"num_train_timesteps", 1e300, "num_train_timesteps must be a whole number"},
      {"trained_betas", {0.1, 0.2}, "trained_betas lists 2 betas, and num_train_timesteps is 1000"},
      {"trained_betas", {"a"}, "trained_betas must be a list of numbers"},
      {"prediction_type", "flow", "prediction_type must be \"epsilon\" or"},
      {"timestep_spacing", "log", "timestep_spacing must be \"leading\" or"},
      {"steps_offset", 1000, "steps_offset must be from 0 to 999"},
      {"thresholding", true,
       "thresholding must be false (dynamic thresholding is asked for when sampling), is true"},
      {"rescale_betas_zero_snr", true, "rescale_betas_zero_snr must be false"},
      {"clip_sample", "yes", "clip_sample must be true or false, is \"yes\""},
      {"something_else", 3, "unknown key something_else (its value is 3)"}};
  for (const Row& row : rows) {
    CAPTURE(row.key);
    CHECK(contains(refusal(ddim, row.key, row.value), row.message));
  }
  json clipped = ddim;
  clipped["clip_sample"] = true;
  CHECK(
      contains(refusal(clipped, "clip_sample_range", 2.0), "clip_sample_range must be 1.0 (images are cut"));
  CHECK(refusal(clipped, "_diffusers_version", "9").empty());
  CHECK(
      contains(error_of([] { scheduler_from_json("{"); }), "scheduler_config.json: it is empty, cut short"));
  const TempFolder folder;
  CHECK(contains(error_of([&] { diffusers_model(folder / "none"); }), "is no folder"));
  peer.save(folder / "made", ddim.dump());
  fs::remove(folder / "made/scheduler/scheduler_config.json");
  CHECK(contains(error_of([&] { diffusers_model(folder / "made"); }), "has no scheduler, which says what"));
  put(folder / "empty.pth", torch_pickles::legacy("}", {}, ""));
  CHECK(contains(error_of([&] { ddim_model(folder / "empty.pth"); }), "is no checkpoint of ddim's"));
}

TEST_CASE("tensors that do not fit are named, and nothing is left behind") {
  const Peer peer;
  const TempFolder folder;
  const std::string scheduler = peer.about.at("cases").at(0).at("config").dump();
  const auto error_with = [&](const std::function<void(Peer&)>& change) {
    Peer other = peer;
    change(other);
    fs::remove_all(folder / "from");
    other.save(folder / "from", scheduler);
    return error_of([&] { write_imported(folder / "to", diffusers_model(folder / "from")); });
  };
  CHECK(contains(error_with([](Peer& p) { p.specs.pop_back(), p.numbers.pop_back(); }), "has no "));
  CHECK(contains(error_with([](Peer& p) { p.specs.back().name = "other"; }), "has no "));
  CHECK(contains(error_with([](Peer& p) {
                   p.specs.push_back({"more", io::ElementType::f32, {1}}), p.numbers.push_back({1});
                 }),
                 "has 1 tensors more than the network of its configuration, more for one"));
  CHECK(contains(error_with([](Peer& p) { p.specs[0].shape.back() = 1, p.numbers[0].resize(1000000); }),
                 "is ["));
  CHECK(contains(error_with([](Peer& p) { p.numbers[3][0] = NAN; }), "holds nan"));
  CHECK_FALSE(fs::exists(folder / "to"));
}

}  // namespace ito::tests
