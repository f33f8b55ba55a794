#include <doctest/doctest.h>

#include "apps/inputs/checkpoint.h"
#include "apps/training/request.h"
#include "apps/training/source.h"
#include "kernels/cuda_library.h"
#include "tests/helpers.h"

/// What train_celeba chooses for a device, without having one.
namespace ito::apps {
namespace {

using engine::Backend;

struct Chosen {
  TrainingRequest request;
  model::TrainingOptions options;
};

Chosen chosen(const std::string& arguments, Backend backend, const Source* source = nullptr) {
  CLI::App app{"", "train_celeba"};
  Flags flags(app);
  add_flags(flags);
  app.parse("faces " + arguments);
  Chosen result{training_request(flags), {}};
  result.options = training_options(flags, result.request, backend, source);
  return result;
}

TEST_CASE(
    "--attributes is all of them, or the list that an equals sign joins to it; never the word after it") {
  const auto request = [](const std::string& arguments) {
    CLI::App app{"", "train_celeba"};
    Flags flags(app);
    add_flags(flags);
    app.parse(arguments);
    return training_request(flags);
  };
  using Names = std::vector<std::string>;
  CHECK_FALSE(request("data/x").attributes);
  for (const char* all : {"--attributes data/x", "data/x --attributes", "--attributes --batch 2 data/x"}) {
    CAPTURE(all);
    CHECK(request(all).attributes == "");
    CHECK(request(all).data == "data/x");
    CHECK(named_attributes(request(all)).empty());
  }
  for (const char* two :
       {"--attributes=Smiling,Eyeglasses data/x", "data/x --attributes=Smiling,Eyeglasses"}) {
    CAPTURE(two);
    CHECK(request(two).data == "data/x");
    CHECK(named_attributes(request(two)) == Names{"Smiling", "Eyeglasses"});
  }
  const auto error = [&](const std::string& list) {
    return tests::error_of([&] { request("data/x --attributes=" + list); });
  };
  CHECK(error("Male,Smiling,Male") == "--attributes=Male,Smiling,Male names Male twice");
  for (const char* list : {"Male,", ",Male", ",", "Male,,Young"})
    CHECK(tests::contains(error(list), "is not a list like Smiling,Eyeglasses"));
}

TEST_CASE("the preset fits the device, unless it is asked for") {
  CHECK(chosen("", Backend::cpu).options.preset == "small");
  CHECK(chosen("", Backend::cuda).options.preset == "celeba64");
  CHECK(chosen("--preset tiny", Backend::cuda).options.preset == "tiny");
  CHECK(run_path(chosen("", Backend::cuda).request) == "runs/faces-celeba64");
}

TEST_CASE("convolutions fit the device, unless they are asked for: cuDNN's only where there is one") {
  using kernels::Provider;
  const Provider on_gpu = kernels::cudnn_available() ? Provider::fastest : Provider::own;
  CHECK(chosen("", Backend::cpu).options.conv == Provider::own);
  CHECK(chosen("", Backend::cuda).options.conv == on_gpu);
  CHECK(chosen("--conv cudnn", Backend::cuda).options.conv == Provider::library);
}

TEST_CASE("a run that has begun keeps its preset and its convolutions") {
  const tests::TempFolder folder;
  model::TrainingOptions begun = model::default_options("tiny");
  begun.conv = kernels::Provider::fastest;
  io::write_file_atomic(folder / "options.json", model::to_json(begun));
  const Chosen again = chosen("--out " + folder.path().string(), Backend::cuda);
  CHECK(again.options.preset == "tiny");
  CHECK(again.options.conv == kernels::Provider::fastest);
}

TEST_CASE("a run's options that cannot be read are reported with their file") {
  const tests::TempFolder folder;
  io::write_file_atomic(folder / "options.json", "{\"batch\": \"4\"}");
  const std::string error = tests::error_of([&] { options_of_run(folder.path().string()); });
  CHECK(tests::contains(error, (folder / "options.json").string() + ": "));
  CHECK(tests::contains(error, "preset is missing"));
}

TEST_CASE("lists of seeds reach to the largest one, and end there") {
  const uint64_t last = UINT64_MAX;
  CHECK(parse_seeds("18446744073709551615") == std::vector<uint64_t>{last});
  CHECK(parse_seeds("18446744073709551613-18446744073709551615,7") ==
        std::vector<uint64_t>{last - 2, last - 1, last, 7});
  CHECK(parse_seeds("0-999999").size() == 1000000);
  for (const char* many :
       {"0-18446744073709551615", "1-18446744073709551615", "0-1000000", "0-999999,18446744073709551615"})
    CHECK(tests::contains(tests::error_of([&] { parse_seeds(many); }), "more than a million"));
  CHECK(tests::contains(tests::error_of([] { parse_seeds("18446744073709551616"); }), "is not a list"));
}

TEST_CASE("weighting and draw follow a prediction, unless they are asked for") {
  using namespace model;
  const DiffusionOptions noise = chosen("--prediction noise", Backend::cpu).options.diffusion;
  CHECK((noise.weighting == Weighting::sigma2 && noise.draw.kind == LevelDraw::uniform));
  const DiffusionOptions asked =
      chosen("--prediction noise --weighting min-snr --sde vp --p-mean -2", Backend::cpu).options.diffusion;
  CHECK((asked.weighting == Weighting::min_snr && asked.sde.kind == SdeKind::vp && asked.draw.p_mean == -2));
  const DiffusionOptions text = chosen("--preset document --prediction edm", Backend::cpu).options.diffusion;
  CHECK((text.weighting == Weighting::edm && text.preconditioning.condition == NoiseCondition::time));
}

TEST_CASE("score under ve and simple is refused, except in a run that was begun with it") {
  const std::string score = "--preset tiny --prediction score";
  CHECK(tests::contains(tests::error_of([&] { chosen(score, Backend::cpu); }), "--prediction score-scaled"));
  CHECK(tests::contains(tests::error_of([&] { chosen(score + " --sde simple", Backend::cpu); }),
                        "predict score under the SDE simple learn no faces"));
  CHECK(chosen(score + " --sde vp", Backend::cpu).options.diffusion.sde.kind == model::SdeKind::vp);
  const tests::TempFolder run;
  model::TrainingOptions begun = model::default_options("tiny");
  begun.diffusion = model::default_diffusion(begun.network.kind, model::Prediction::score);
  std::ofstream(run.path() / "options.json") << model::to_json(begun);
  const model::TrainingOptions on = chosen(score + " --out " + run.path().string(), Backend::cpu).options;
  CHECK(on.diffusion.preconditioning.prediction == model::Prediction::score);
}

TEST_CASE(
    "with --from the network and the objective are the source's, and the rest the flags' or the defaults") {
  using namespace model;
  Source source;
  TrainingOptions& there = source.model.options;
  there = default_options("tiny");
  there.network.height = 24, there.network.condition = 3, there.network.embedding = EmbeddingKind::sinusoidal;
  there.attributes = {"A", "B", "C"}, there.batch = 7, there.seed = 5;
  there.diffusion = default_diffusion(NetworkKind::unet, Prediction::x0);
  source.origin = {"old", 9, "ab"};
  const Chosen plain = chosen("--from runs/old", Backend::cuda, &source);
  CHECK((plain.options.preset == "tiny" && plain.options.from == source.origin));
  CHECK((plain.options.network.height == 24 && plain.options.network.width == 16));
  CHECK(plain.options.network.embedding == EmbeddingKind::sinusoidal);
  CHECK((plain.options.network.condition == 0 && plain.options.attributes.empty()));
  CHECK(plain.options.diffusion.preconditioning.prediction == Prediction::x0);
  CHECK(plain.options.diffusion.weighting == Weighting::min_snr);
  CHECK((plain.options.batch == 32 && plain.options.seed == 0));
  CHECK(run_path(plain.request) == "runs/faces-from-old");
  const Chosen asked =
      chosen("--from runs/old --preset tiny --size 8 --lr 1e-5 --weighting sigma2 --prediction x0 --out x",
             Backend::cpu, &source);
  CHECK((asked.options.network.height == 8 && asked.options.network.width == 8));
  CHECK((asked.options.optimizer.learning_rate.peak == 1e-5 && run_path(asked.request) == "x"));
  CHECK(asked.options.diffusion.weighting == Weighting::sigma2);
  CHECK(tests::contains(
      tests::error_of([&] { chosen("--from runs/old --prediction edm", Backend::cpu, &source); }),
      "has prediction x0"));
}

TEST_CASE("--recipe best is a set of options that flags go over; without it there are the defaults") {
  const model::TrainingOptions plain = chosen("--preset tiny", Backend::cpu).options,
                               none = chosen("--preset tiny --recipe none", Backend::cpu).options,
                               best = chosen("--preset tiny --recipe best", Backend::cpu).options,
                               mixed = chosen("--lr 1e-3 --recipe best --preset tiny", Backend::cpu).options;
  CHECK(model::to_json(none) == model::to_json(plain));
  CHECK(plain.optimizer.kind == engine::OptimizerKind::adamw);
  CHECK(best.optimizer.kind == engine::OptimizerKind::muon);
  CHECK(best.optimizer.learning_rate.decay == engine::Decay::cosine);
  CHECK(best.optimizer.learning_rate.total == best.steps);
  CHECK((plain.network.patch == 1 && best.network.patch == 2));
  CHECK(chosen("--preset tiny --recipe best --patch 1", Backend::cpu).options.network.patch == 1);
  CHECK(chosen("--preset document --recipe best", Backend::cpu).options.network.patch == 1);
  CHECK((best.learn_weighting && !plain.learn_weighting));
  CHECK_FALSE(
      chosen("--preset tiny --recipe best --learn-weighting=false", Backend::cpu).options.learn_weighting);
  CHECK(chosen("--preset tiny --learn-weighting --no-flip=false", Backend::cpu).options.learn_weighting);
  CHECK(chosen("--preset tiny --no-flip=false", Backend::cpu).options.flip);
  CHECK_FALSE(chosen("--preset tiny --no-flip", Backend::cpu).options.flip);
  CHECK(mixed.optimizer.learning_rate.peak == 1e-3);
  CHECK(mixed.optimizer.kind == engine::OptimizerKind::muon);
}

TEST_CASE("--augment gives the network labels; what varies a batch is off unless it is asked for") {
  const model::TrainingOptions plain = chosen("--preset tiny", Backend::cpu).options;
  CHECK((plain.noise_candidates == 1 && plain.input_noise == 0 && plain.augment == 0));
  CHECK_FALSE(plain.network.augment);
  const model::TrainingOptions asked =
      chosen("--preset tiny --noise-candidates 4 --input-noise 0.1 --augment 0.15", Backend::cpu).options;
  CHECK((asked.noise_candidates == 4 && asked.input_noise == 0.1 && asked.augment == 0.15));
  CHECK(asked.network.augment);
  Source source;
  source.model.options = asked;
  source.origin = {"old", 9, "ab"};
  const model::TrainingOptions tuned = chosen("--from runs/old", Backend::cpu, &source).options;
  CHECK((tuned.noise_candidates == 1 && tuned.input_noise == 0 && tuned.augment == 0));
  CHECK_FALSE(tuned.network.augment);
  for (const char* other : {"document", "tutorial"})
    CHECK(
        tests::contains(tests::error_of([&] { chosen(cat("--augment 0.1 --preset ", other), Backend::cpu); }),
                        "are for the network unet"));
}

TEST_CASE("a source has its run's name, wherever it is named from") {
  const auto name = [](const std::string& path) { return name_of_source(path).run; };
  for (const char* path : {"runs/old", "runs/old/", "runs/x/../old", "runs/old/checkpoints/step-00000012",
                           "runs/old/checkpoints/last/"})
    CHECK(name(path) == "old");
  CHECK(name("elsewhere/moved") == "moved");
  CHECK(name_of_source("runs/old/checkpoints/step-00000012").step == 12);
  CHECK_FALSE(name_of_source("runs/old/checkpoints/last").step);
}

}  // namespace
}  // namespace ito::apps
