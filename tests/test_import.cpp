#include <doctest/doctest.h>

#include "import_peers.h"
#include "model/diffusion/sampler.h"
#include "model/import/foreign_model.h"
#include "model/import/scheduler.h"
#include "model/training/checkpoint.h"
#include "plan_runs.h"

/// Models of diffusers': schedulers against its own, images, exports, what is refused.
namespace ito::tests {
namespace {

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

/// The message of importing this scheduler with the peer's network.
std::string refusal(json scheduler, const char* key, const json& value) {
  scheduler[key] = value;
  return error_of([&] { scheduler_from_json(scheduler.dump()); });
}

}  // namespace

TEST_CASE("diffusers' schedulers: timesteps exactly, and every step's result") {
  const json cases = json::parse(std::ifstream(fixture("schedulers.json"))).at("cases");
  CHECK(cases.size() == 27);
  for (const json& c : cases) check_case(c);
}

TEST_CASE("a scheduler is written as it was read; the reason for none is stated") {
  TrainingOptions o;
  o.network.height = o.network.width = 8;
  o.network.embedding = EmbeddingKind::sinusoidal;
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
          (files->pipeline == "DDIMPipeline" && c.at("config").at("timestep_spacing") != "linspace"));
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
  CHECK(contains(why(TrainingOptions{}), "the positional embedding and SiLU"));
  TrainingOptions ve;
  ve.network.embedding = EmbeddingKind::sinusoidal;
  CHECK(contains(why(ve), "this model learned under ve and is given log-sigma/4"));
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
  CHECK(text_of(loaded.settle({})) == "consistency, 1 step, clip static");
  CHECK(loaded.options.diffusion.preconditioning.prediction == Prediction::consistency);
  CHECK(text_of(loaded.settle({.steps = 3})) == "consistency, 3 steps, clip static");
  CHECK(loaded.settle({.best = true}).boundary == 0.002);
  CHECK(contains(error_of([&] { loaded.settle({.sampler = SamplerKind::heun}); }),
                 "the model jumps to the image"));
  const auto files = diffusers_files(loaded.options);
  REQUIRE(files.has_value());
  CHECK((files->pipeline == "ConsistencyModelPipeline" && files->call == "num_inference_steps=1"));
  CHECK(json::parse(files->scheduler) == config);
  CHECK(diffusers_model(folder / "made").options.own_sampler->steps == 1);  // it is such a folder itself
  CHECK(contains(refusal(config, "sigma_max", 100.0), "sigma_max must be at most 80, is 100"));
  CHECK(contains(refusal(config, "sigma_min", 90.0), "0 < sigma_min < sigma_max"));
  CHECK(contains(refusal(config, "prediction_type", "epsilon"), "unknown key prediction_type"));
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
      {"beta_start", -1, "scheduler_config.json: beta_start and beta_end: every beta must be above 0"},
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
  json old = ddim;  // with the keys of 2022
  old.erase("prediction_type");
  old["tensor_format"] = "pt", old["predict_epsilon"] = false;
  CHECK(scheduler_from_json(old.dump()).diffusion.preconditioning.prediction == Prediction::x0);
  old["predict_epsilon"] = true;
  CHECK(scheduler_from_json(old.dump()).diffusion.preconditioning.prediction == Prediction::noise);
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

}  // namespace ito::tests
