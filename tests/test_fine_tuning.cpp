#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/training/checkpoint.h"
#include "model/training/fine_tuning.h"
#include "model/unet/layers.h"
#include "tests/small_run.h"

/// Runs that begin from the averaged weights of another one.
namespace ito::model {
namespace {

namespace fs = std::filesystem;
using namespace tests;
using Names = std::vector<std::string>;

const Names kNames = {"Smiling", "Eyeglasses", "Male"};

/// Conditions of 1 and -1 for a small run's images.
std::vector<float> conditions(size_t attributes) {
  std::vector<float> values(attributes * SmallRun::kImages);
  for (size_t i = 0; i < values.size(); ++i) values[i] = (i * 7 / 3) % 2 ? 1.0f : -1.0f;
  return values;
}

/// A small run under attributes, if it has any, that may begin from a checkpoint.
struct TunedRun : SmallRun {
  fs::path source;  // a checkpoint, or empty

  void name(const Names& names) {
    options.attributes = names;
    options.network.condition = int(names.size());
  }
  ImageSet shown() const {
    ImageSet set = images();
    set.height = set.width = options.network.height;
    set.conditions = conditions(options.attributes.size());
    return set;
  }
  /// Takes network and objective from there, as programs do; this run's own images and schedule stay.
  void begin_with(const fs::path& checkpoint) {
    engine::Device device({1, engine::Backend::cpu});
    const LoadedModel model = load_model(device, checkpoint);
    const TrainingOptions base = options_from(model.options);
    options.preset = base.preset, options.network = base.network, options.diffusion = base.diffusion;
    options.from = Origin{"source", model.step, hash_of_weights(checkpoint)};
    source = checkpoint;
  }
  /// A session until this step, or to the end; its notes.
  SessionResult go(const fs::path& folder, int64_t until = -1, Names* notes = nullptr) const {
    engine::Device device({1, engine::Backend::cpu});
    Trainer trainer(device, options, shown());
    SessionHooks hooks;
    hooks.interrupted = [&] { return trainer.step_number() == until; };
    hooks.begin = [&] { return begin_from(load_model(device, source), trainer); };
    hooks.note = [&](const std::string& text) {
      if (notes) notes->push_back(text);
    };
    const ImageSet others = held_out();
    const bool same = options.network.height == kSize && options.attributes.empty();
    return run_session(device, trainer, RunFolder(folder), hooks, same ? &others : nullptr);
  }
};

/// The images of these seeds that a checkpoint draws without attributes.
std::vector<uint8_t> drawn(const fs::path& checkpoint, bool varied = false) {
  engine::Device device({1, engine::Backend::cpu});
  const LoadedModel model = load_model(device, checkpoint, Precision::f32);
  const NetworkConfig& network = model.options.network;
  return sample_images(device, varied ? model.varied_denoiser() : model.denoiser(),
                       make_sampler_plan({.sampler = SamplerKind::heun, .steps = 4}, model.sde),
                       {network.height, network.width, network.channels}, {0, 1, 2, 3, 4});
}

fs::path at(const fs::path& run, int64_t step) { return run / "checkpoints" / step_name(step); }

TEST_CASE(
    "at step 0 a run from another one's weights draws its bytes and has its validation loss; no moments") {
  const TempFolder place(memory_folder());
  TunedRun first;
  set_steps(first.options, 60);
  first.go(place / "source");
  const fs::path source = at(place / "source", 60);

  TunedRun tuned;
  tuned.pixels =
      std::vector<uint8_t>(tuned.others.begin() + std::ptrdiff_t(tuned.pixels.size()), tuned.others.end());
  tuned.options.seed = 5, tuned.options.precision = Precision::bf16;
  tuned.options.optimizer.learning_rate.peak = 1e-4;
  tuned.begin_with(source);
  CHECK_FALSE(tuned.go(place / "stopped", 0).finished);
  const fs::path begun = at(place / "stopped", 0);
  REQUIRE(newest_checkpoint(place / "stopped") == begun);
  CHECK(drawn(begun) == drawn(source));
  engine::Device device({1, engine::Backend::cpu});
  const LoadedModel model = load_model(device, source);
  {
    Trainer trainer(device, tuned.options, tuned.images());
    CHECK(resume_from(begun, trainer).from == Origin{"source", 60, hash_of_weights(source)});
    engine::ParamStore& store = trainer.store();
    for (size_t i = 0; i < store.specs().size(); ++i) {
      CAPTURE(store.specs()[i].name);
      const std::vector<float> weights = model.store->read(int(i), engine::Track::master);
      CHECK(store.read(int(i), engine::Track::master) == weights);
      CHECK(store.read(int(i), engine::Track::ema) == weights);
    }
    const auto count = store.flat_count();
    CHECK(std::all_of(store.moment1(), store.moment1() + count, [](float m) { return m == 0; }));
    CHECK(std::all_of(store.moment2(), store.moment2() + count, [](float m) { return m == 0; }));
    CHECK((trainer.step_number() == 0 && trainer.updates() == 0));
  }

  tuned.options.precision = Precision::f32, tuned.options.keep = 20;
  CHECK(tuned.go(place / "tuned").finished);
  TunedRun fresh;
  fresh.options.keep = 20;
  fresh.go(place / "fresh");
  const auto loss = [](const fs::path& checkpoint) { return *read_record(checkpoint).validation_loss; };
  CHECK(loss(at(place / "tuned", 0)) == loss(source));
  CHECK(loss(at(place / "tuned", 0)) < 0.9 * loss(at(place / "fresh", 2)));
  CHECK(loss(at(place / "tuned", 12)) < 1.05 * loss(source));
  CHECK_FALSE(fs::exists(at(place / "fresh", 0)));
}

TEST_CASE("a run from another one's weights goes on byte for byte, and needs its source no more") {
  const TempFolder place(memory_folder());
  TunedRun first;
  first.go(place / "source");
  TunedRun tuned;
  tuned.options.seed = 3, tuned.options.network.dropout = 0.2f;
  tuned.begin_with(at(place / "source", 12));
  tuned.options.save_every = 3, tuned.options.validate_every = 2, tuned.options.keep = 3;
  set_steps(tuned.options, 10);
  CHECK(tuned.go(place / "straight").finished);
  const auto want = contents_of(place / "straight/checkpoints");
  const std::vector<std::vector<int64_t>> interruptions = {{0}, {0, 1}, {3}, {2, 6, 8}};
  for (size_t i = 0; i < interruptions.size(); ++i) {
    const fs::path folder = place / ("interrupted" + std::to_string(i));
    for (const int64_t step : interruptions[i]) {
      CHECK_FALSE(tuned.go(folder, step).finished);
      CHECK(newest_checkpoint(folder)->filename() == step_name(step));
      fs::rename(place / "source", place / "away");  // before the run goes on
      if (step == interruptions[i].back()) CHECK(tuned.go(folder).finished);
      fs::rename(place / "away", place / "source");
    }
    CHECK(contents_of(folder / "checkpoints") == want);
  }
  // A process that was killed before it could save has logged step 0; the next one begins again.
  fs::create_directories(place / "killed");
  put(place / "killed/log.jsonl", "{\"step\":0,\"validation_loss\":9}\n");
  CHECK(tuned.go(place / "killed").finished);
  CHECK(contents_of(place / "killed/checkpoints") == want);
  std::ifstream log(place / "killed/log.jsonl");
  std::string line;
  int of_step_0 = 0;
  while (std::getline(log, line)) of_step_0 += nlohmann::json::parse(line)["step"] == 0;
  CHECK(of_step_0 == 1);

  tuned.options.from->step = 11;
  CHECK(contains(error_of([&] { tuned.go(place / "killed"); }), "step: 12 there, 11 now"));
}

TEST_CASE("another size: the same weights, and the new size is recorded") {
  const TempFolder place(memory_folder());
  TunedRun first;
  first.go(place / "source");
  TunedRun tuned;
  tuned.pixels = blobs(SmallRun::kImages, 2 * SmallRun::kSize);
  tuned.begin_with(at(place / "source", 12));
  tuned.options.network.height = tuned.options.network.width = 2 * SmallRun::kSize;
  set_steps(tuned.options, 2);
  tuned.options.keep = 3;
  CHECK(tuned.go(place / "tuned").finished);
  const auto weights = [](const fs::path& checkpoint) {
    engine::Device device({1, engine::Backend::cpu});
    const LoadedModel model = load_model(device, checkpoint);
    std::vector<std::vector<float>> all;
    for (size_t i = 0; i < model.store->specs().size(); ++i)
      all.push_back(model.store->read(int(i), engine::Track::master));
    return all;
  };
  CHECK(weights(at(place / "tuned", 0)) == weights(at(place / "source", 12)));
  CHECK(weights(at(place / "tuned", 2)) != weights(at(place / "source", 12)));
  const auto config = nlohmann::json::parse(io::read_file(at(place / "tuned", 0) / "unet/config.json"));
  CHECK(config["sample_size"] == 2 * SmallRun::kSize);
  CHECK(drawn(at(place / "tuned", 2)).size() == 4 * drawn(at(place / "source", 12)).size());
}

/// The first numbers of the columns of a checkpoint's condition, by name.
std::map<std::string, std::vector<float>> columns(const fs::path& checkpoint) {
  engine::Device device({1, engine::Backend::cpu});
  const LoadedModel model = load_model(device, checkpoint);
  const int index = model.store->find(std::string(kConditionEmbedding) + ".weight");
  REQUIRE(index >= 0);
  const std::vector<float> weights = model.store->read(index, engine::Track::master);
  const Names& names = model.options.attributes;
  std::map<std::string, std::vector<float>> columns;
  for (size_t i = 0; i < weights.size(); ++i) columns[names[i % names.size()]].push_back(weights[i]);
  return columns;
}

TEST_CASE("attributes go by their names; new ones begin without effect; what is left out is named") {
  const TempFolder place(memory_folder());
  TunedRun first;
  first.name(kNames);
  first.go(place / "source");
  const fs::path source = at(place / "source", 12);
  const auto there = columns(source);
  const auto begin = [&](const std::string& folder, const fs::path& from, const Names& names) {
    TunedRun tuned;
    tuned.begin_with(from);
    tuned.name(names);
    Names notes;
    tuned.go(place / folder, 0, &notes);
    return notes;
  };

  CHECK(begin("same", source, kNames).empty());
  CHECK(columns(at(place / "same", 0)) == there);
  CHECK(drawn(at(place / "same", 0), true) == drawn(source, true));

  Names notes = begin("others", source, {"Male", "Wearing_Hat", "Smiling"});
  REQUIRE(notes.size() == 2);
  CHECK(contains(notes[0], "are left out: Eyeglasses"));
  CHECK(contains(notes[1], "begin without any effect: Wearing_Hat"));
  const auto now = columns(at(place / "others", 0));
  CHECK((now.at("Male") == there.at("Male") && now.at("Smiling") == there.at("Smiling")));
  CHECK(now.at("Wearing_Hat") == std::vector<float>(now.at("Male").size()));
  CHECK(drawn(at(place / "others", 0)) == drawn(source));

  notes = begin("none", source, {});
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "are left out: Smiling, Eyeglasses, Male"));
  CHECK(drawn(at(place / "none", 0)) == drawn(source));

  notes = begin("new", at(place / "none", 0), {"Wearing_Hat"});
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "begin without any effect: Wearing_Hat"));
  CHECK(drawn(at(place / "new", 0), true) == drawn(source));

  // From before attributes had names, nothing says which column is which.
  std::string options = io::read_file(source / "options.json");
  const size_t list = options.find("  \"attributes\": ["), end = options.find("],\n", list) + 3;
  put(source / "options.json", options.erase(list, end - list));
  notes = begin("unnamed", source, kNames);
  REQUIRE(notes.size() == 2);
  CHECK(contains(notes[0], "the 3 attributes of the model that the run begins from have no names"));
  CHECK(drawn(at(place / "unnamed", 0), true) == drawn(source));
}

TEST_CASE("the layer of augmented images begins without effect, is kept, or is left out") {
  const TempFolder place(memory_folder());
  const auto layer = [](const fs::path& checkpoint) {
    engine::Device device({1, engine::Backend::cpu});
    const LoadedModel model = load_model(device, checkpoint);
    const int index = model.store->find(std::string(kAugmentEmbedding) + ".weight");
    return index < 0 ? std::vector<float>() : model.store->read(index, engine::Track::master);
  };
  const auto begin = [&](const std::string& folder, const fs::path& from, double augment) {
    TunedRun tuned;
    tuned.begin_with(from);
    tuned.options.augment = augment, tuned.options.network.augment = augment > 0;
    Names notes;
    tuned.go(place / folder, 0, &notes);
    CHECK(drawn(at(place / folder, 0)) == drawn(from));
    return notes;
  };
  TunedRun first;
  first.go(place / "plain");
  first.options.augment = 0.5, first.options.network.augment = true;
  first.go(place / "augmented");
  const fs::path plain = at(place / "plain", 12), augmented = at(place / "augmented", 12);
  CHECK(layer(plain).empty());
  REQUIRE(layer(augmented).size() == 4 * 16 * kAugmentationLabels);

  Names notes = begin("new", plain, 0.2);
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "has no labels of augmented images: these begin without any effect"));
  CHECK(layer(at(place / "new", 0)) == std::vector<float>(layer(augmented).size()));
  CHECK(begin("kept", augmented, 0.2).empty());
  CHECK(layer(at(place / "kept", 0)) == layer(augmented));
  notes = begin("out", augmented, 0);
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "has labels of augmented images, which are left out"));
  CHECK(layer(at(place / "out", 0)).empty());
}

TEST_CASE("another network, or an output that means something else, is refused with both values") {
  const TrainingOptions source = default_options("tiny");
  TrainingOptions now = options_from(source);
  const auto error = [&] { return error_of([&] { check_same_model(source, now); }); };
  now.network.height = 32, now.network.dropout = 0.1f, now.network.condition = 3, now.batch = 7;
  now.diffusion.weighting = Weighting::min_snr, now.diffusion.draw.p_mean = -2;
  CHECK(error() == "");
  now.diffusion.preconditioning.prediction = Prediction::noise;
  CHECK(error() == "the model that the run begins from has prediction edm, and noise is asked for");
  CHECK(advice_of([&] { check_same_model(source, now); }) == "no {prediction} or no {from}");
  now = options_from(source), now.diffusion.preconditioning.condition = NoiseCondition::time;
  CHECK(contains(error(), "has noise_condition log-sigma/4, and "));
  now = options_from(source), now.diffusion.preconditioning.sigma_data = 0.25;
  CHECK(contains(error(), "has sigma_data 0.5, and 0.25 is asked for"));
  now = options_from(source), now.diffusion.sde.kind = SdeKind::vp;
  CHECK(contains(error(), "has sde ve, and vp is asked for"));
  now = options_from(source), now.network.embedding = EmbeddingKind::sinusoidal;
  CHECK(contains(error(), "has embedding fourier, and sinusoidal is asked for"));
  now = options_from(source), now.network.block_channels = {16, 16};
  CHECK(contains(error(), "has block_out_channels [16,32], the run [16,16]"));
  check_same_network(source, "tiny");
  CHECK(contains(error_of([&] { check_same_network(source, "small"); }),
                 "block_out_channels is [16,32] there, and [32,64,64,128] in the preset"));
  for (const char* other : {"document", "tutorial", "celeba64"})
    CHECK_FALSE(error_of([&] { check_same_network(source, other); }).empty());

  engine::Device device({1, engine::Backend::cpu});
  const TempFolder place(memory_folder());
  TunedRun first;
  first.go(place / "source");
  TunedRun tuned;
  tuned.begin_with(at(place / "source", 12));
  tuned.options.diffusion.preconditioning.prediction = Prediction::v;
  CHECK(contains(error_of([&] { tuned.go(place / "tuned"); }), "has prediction edm, and v is asked for"));
  CHECK(checkpoint_steps(place / "tuned").empty());
}

TEST_CASE("what a run began from is in its options, and nothing is where it began from nothing") {
  TrainingOptions options = default_options("tiny");
  const std::string without = to_json(options);
  CHECK_FALSE(contains(without, "from"));
  options.from = Origin{"faces", 2000, "ab"};
  CHECK(text_of(*options.from) == "faces, step 2000");
  const std::string with = to_json(options);
  CHECK(nlohmann::json::parse(with)["from"] ==
        nlohmann::json({{"run", "faces"}, {"step", 2000}, {"weights", "ab"}}));
  CHECK(training_options_from_json(with).from == options.from);
  CHECK(to_json(training_options_from_json(with)) == with);
  CHECK_FALSE(training_options_from_json(without).from);
  const auto changed = [&](const std::string& part, const std::string& other) {
    std::string text = with;
    text.replace(text.find(part), part.size(), other);
    return error_of([&] { training_options_from_json(text); });
  };
  CHECK(contains(changed("\"step\": 2000", "\"step\": -1"), "step must be a whole number from 0"));
  CHECK(contains(changed("\"run\": \"faces\",", ""), "run is missing"));
  CHECK(contains(changed("\"weights\"", "\"weight\""), "weights is missing"));
  options.from.reset();
  CHECK(differences(training_options_from_json(with), options).size() == 3);
}

}  // namespace
}  // namespace ito::model
