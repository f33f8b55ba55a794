#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "data/dataset.h"
#include "data/pictures/folder_classes.h"
#include "model/diffusion/sampler.h"
#include "model/training/checkpoint.h"
#include "model/training/class_request.h"
#include "model/training/fine_tuning.h"
#include "model/unet/layers.h"
#include "tests/picture_folders.h"
#include "tests/small_run.h"

/// Folders as classes: which pictures are of which, runs under them from the options to the grids, and their names when
/// other runs begin from these.
namespace ito::model {
namespace {

namespace fs = std::filesystem;
using namespace tests;
using Names = std::vector<std::string>;
using Places = std::vector<int32_t>;

// ---- Which picture is of which class

TEST_CASE("the folder that a picture lies in is its class, whatever is below; sorted by name") {
  const data::FolderClasses c = data::classes_of(
      {"cat/1.png", "cat/more/deep/2.png", "ape/3.png", "dog/1.png", "cat/9"}, false, "DATA");
  CHECK(c.names == Names{"ape", "cat", "dog"});
  CHECK(c.of == Places{1, 1, 0, 2, 1});
}

TEST_CASE("an archive of a folder has that folder's classes") {
  const Names pictures = {"all/pets/cat/1.png", "all/pets/cat/new/2.png", "all/pets/catfish/3.png"};
  CHECK(data::classes_of(pictures, true, "z").names == Names{"cat", "catfish"});
  CHECK(data::classes_of({"cat/1.png", "dog/2.png"}, true, "z").names == Names{"cat", "dog"});
  CHECK(contains(error_of([&] { data::classes_of(pictures, false, "z"); }),
                 "all pictures lie in the folder all"));
}

TEST_CASE("pictures in no folder, and a single class, are refused with what to do") {
  const auto error = [](const Names& pictures) {
    return error_of([&] { data::classes_of(pictures, false, "DATA"); });
  };
  CHECK(contains(error({"cat/1.png", "2.png"}), "DATA: 2.png lies in no folder of its own"));
  CHECK(contains(error({"cat/1.png", "cat/2.png"}), "all pictures lie in the folder cat, and it takes two"));
  CHECK(advice_of([] { data::classes_of({"1.png"}, false, "DATA"); }) == "no {classes}");
}

/// 5 pictures of dogs, 3 of cats of which one is further below, and folders without pictures.
void put_pets(const fs::path& folder) {
  put_pictures(folder / "dog", 5, 1), put_pictures(folder / "cat", 2, 2);
  put_pictures(folder / "cat/more", 1, 3);
  fs::create_directories(folder / "empty/deeper");
  fs::create_directories(folder / ".hidden");
}

data::DatasetOptions with_classes(const TempFolder& place) {
  data::DatasetOptions options;
  options.height = options.width = 8;
  options.cache_dir = place / "cache";
  options.threads = 1;
  options.classes = true;
  return options;
}

TEST_CASE("a data set has its pictures' classes, from its cache, too, and notes folders that are none") {
  const TempFolder place(memory_folder());
  put_pets(place / "pets");
  for (int opening = 0; opening < 2; ++opening) {
    const data::Dataset set = data::open_dataset(place / "pets", with_classes(place));
    CHECK(set.class_names() == Names{"cat", "dog"});
    CHECK(set.classes() == Places{0, 0, 0, 1, 1, 1, 1, 1});
    REQUIRE(set.notes().size() == 1);
    CHECK(set.notes()[0] == "1 folder(s) hold no pictures and are no classes, the first is empty");
  }
  data::DatasetOptions plain = with_classes(place);
  plain.classes = false;
  CHECK(data::open_dataset(place / "pets", plain).class_names().empty());
  put_pictures(place / "pets", 1, 4);
  CHECK(contains(error_of([&] { data::open_dataset(place / "pets", with_classes(place)); }),
                 "000.png lies in no folder of its own"));
  put_pictures(place / "celeba/img_align_celeba", 2, 4);
  CHECK(contains(error_of([&] { data::open_dataset(place / "celeba", with_classes(place)); }), "is CelebA"));
}

TEST_CASE("a class is asked for by its name or number") {
  const Names names = {"cat", "dog", "0"};
  CHECK(parse_class("dog", 3, names) == 1);
  CHECK(parse_class("1", 3, names) == 1);
  CHECK(parse_class("0", 3, names) == 2);  // a name, before a number
  CHECK(parse_class("7", 8, {}) == 7);
  CHECK(contains(error_of([&] { parse_class("dgo", 3, names); }),
                 "unknown class \"dgo\"; did you mean \"dog\"? Known: cat, dog, 0"));
  CHECK(contains(error_of([&] { parse_class("3", 3, names); }), "a whole number from 0 to 2"));
  for (const char* bad : {"dog", "", "-1", "1.5", "99999999999"}) {
    CAPTURE(bad);
    CHECK(contains(error_of([&] { parse_class(bad, 3, {}); }), "a class must be a whole number"));
  }
}

// ---- A run with classes

/// A small run on images of two classes, or of others.
struct ClassRun : SmallRun {
  Places classes;

  explicit ClassRun(const Names& names = {"cat", "dog"}) {
    options.classes = names, options.network.classes = int(names.size());
    for (int i = 0; i < kImages; ++i) classes.push_back(i % int(std::max<size_t>(1, names.size())));
  }
  ImageSet shown() const {
    ImageSet set = images();
    if (!options.classes.empty()) set.classes = classes;
    return set;
  }
  /// Trains until this step, or to the end, from the weights of a checkpoint where one is given. Returns its notes.
  Names go(const fs::path& folder, int64_t until = -1, const fs::path& source = {}) const {
    engine::Device device({1, engine::Backend::cpu});
    Trainer trainer(device, options, shown());
    Names notes;
    SessionHooks hooks;
    hooks.interrupted = [&] { return trainer.step_number() == until; };
    if (!source.empty())
      hooks.begin = [&] { return notes = begin_from(load_model(device, source), trainer); };
    const ImageSet validation = shown();
    run_session(device, trainer, RunFolder(folder), hooks, &validation);
    return notes;
  }
};

/// Pixels of two seeds by a checkpoint, of a class, or without a condition.
std::vector<uint8_t> drawn(const fs::path& checkpoint, std::optional<int> image_class) {
  engine::Device device({1, engine::Backend::cpu});
  const LoadedModel model = load_model(device, checkpoint);
  const SamplerPlan plan =
      make_sampler_plan(settle({.sampler = SamplerKind::heun, .steps = 3}, Prediction::edm), model.sde);
  const Denoiser denoiser = image_class ? model.class_denoiser(image_class, {}) : model.denoiser();
  return sample_images(device, denoiser, plan, {SmallRun::kSize, SmallRun::kSize, 3}, {1, 2});
}

TEST_CASE("a run records its classes, goes on as if it was never interrupted, and refuses others") {
  ClassRun run;
  const TempFolder place(memory_folder());
  run.go(place / "straight");
  run.go(place / "run", 5);
  run.go(place / "run");
  CHECK(contents_of(place / "run/checkpoints/step-00000012") ==
        contents_of(place / "straight/checkpoints/step-00000012"));
  const auto json = nlohmann::json::parse(io::read_file(place / "run/options.json"));
  CHECK(json.at("classes") == nlohmann::json({"cat", "dog"}));
  CHECK(contains(io::read_file(place / "run/run_data.js"), "cat, dog"));
  const fs::path last = place / "run/checkpoints/step-00000012";
  CHECK(drawn(last, 0) != drawn(last, 1));
  CHECK(drawn(last, 0) != drawn(last, {}));

  set_steps(run.options, 14);
  run.options.classes = {"cat", "fox"};
  CHECK(contains(error_of([&] { run.go(place / "run"); }),
                 R"(classes: ["cat","dog"] there, ["cat","fox"] now)"));
  run.options.classes = {"cat"};
  CHECK(contains(error_of([&] { run.go(place / "run"); }), "2 classes, and classes names 1"));
  run.options.classes.clear(), run.options.network.classes = 0;
  CHECK(contains(error_of([&] { run.go(place / "run"); }), R"(classes: ["cat","dog"] there, absent now)"));
}

TEST_CASE("without classes nothing is written about them") {
  ClassRun run(Names{});
  const TempFolder place(memory_folder());
  run.options.save_every = 12;
  run.go(place / "run");
  CHECK_FALSE(contains(io::read_file(place / "run/options.json"), "\"classes\""));
}

TEST_CASE("images without a class each are refused") {
  ClassRun run;
  engine::Device device({1, engine::Backend::cpu});
  const auto error = [&](const Places& classes) {
    run.classes = classes;
    return error_of([&] { Trainer(device, run.options, run.shown()); });
  };
  CHECK(error(Places(SmallRun::kImages, 1)) == "");
  for (const Places& bad :
       {Places(SmallRun::kImages, 2), Places(SmallRun::kImages, -1), Places(3, 0), Places{}})
    CHECK(contains(error(bad), "2 classes, of which each image must have one"));
}

TEST_CASE("what is learned of a class is its own: images that are as bright as their class") {
  ClassRun run;
  const size_t each = size_t(SmallRun::kSize) * SmallRun::kSize * 3;
  for (size_t i = 0; i < run.pixels.size(); ++i) run.pixels[i] = i / each % 2 ? 230 : 20;
  run.options.network.dropout = 0, run.options.drop_condition = 0.1;
  run.options.optimizer.ema.decay = 0;
  run.options.optimizer.learning_rate = {engine::Decay::constant, 5e-3, 5, 0, 0.1};
  run.options.sample_steps = 5;
  engine::Device device({1, engine::Backend::cpu});
  Trainer trainer(device, run.options, run.shown());
  for (int i = 0; i < 60; ++i) trainer.step();
  trainer.pause();
  std::vector<uint64_t> seeds(10);
  for (size_t i = 0; i < seeds.size(); ++i) seeds[i] = i;
  const std::vector<uint8_t> grid = sample_ema(device, trainer, seeds);
  const ClassRequest varied(2, {});
  double means[2] = {}, counts[2] = {};
  for (size_t i = 0; i < grid.size(); ++i) {
    const int c = varied.class_for(seeds[i / each]);
    means[c] += grid[i], counts[c] += 1;
  }
  REQUIRE((counts[0] > 0 && counts[1] > 0));
  CHECK(means[1] / counts[1] > means[0] / counts[0] + 50);
}

TEST_CASE("classes go by their names when a run begins from another; new ones begin without effect") {
  const TempFolder place(memory_folder());
  ClassRun first;
  first.options.save_every = 12;
  first.go(place / "source");
  const fs::path source = place / "source/checkpoints/step-00000012";
  const auto begun = [&](const std::string& folder, const Names& names, Names* notes) {
    ClassRun tuned(names);
    tuned.options.from = Origin{"source", 12, hash_of_weights(source)};
    *notes = tuned.go(place / folder, 0, source);
    return place / folder / "checkpoints/step-00000000";
  };
  Names notes;
  const fs::path same = begun("same", {"cat", "dog"}, &notes);
  CHECK(notes.empty());
  CHECK(drawn(same, 1) == drawn(source, 1));

  const fs::path others = begun("others", {"ape", "dog"}, &notes);
  REQUIRE(notes.size() == 2);
  CHECK(contains(notes[0], "knows classes that this run has not, and that are left out: cat"));
  CHECK(contains(notes[1], "does not know these classes, which begin without any effect: ape"));
  CHECK(drawn(others, 1) == drawn(source, 1));
  CHECK(drawn(others, 0) == drawn(source, {}));

  const fs::path none = begun("none", {}, &notes);
  REQUIRE(notes.size() == 1);
  CHECK(drawn(none, {}) == drawn(source, {}));
}

}  // namespace
}  // namespace ito::model
