#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/io/safetensors.h"
#include "kernels/base/hash.h"
#include "kernels/base/philox.h"
#include "model/diffusion/sampler.h"
#include "model/training/attribute_request.h"
#include "model/training/checkpoint.h"
#include "model/training/run_journal.h"
#include "tests/small_run.h"

/// Conditions by attributes: what is asked for, which training rows complete it, how these are stored, and the whole
/// way from a run to its images.
namespace ito::model {
namespace {

namespace fs = std::filesystem;
using namespace tests;

const std::vector<std::string> kNames = {"Smiling", "Eyeglasses", "Male"};

/// Values of -1, 0 and 1, about as often.
std::vector<float> values(size_t count, uint32_t stream = 0) {
  std::vector<float> result(count);
  for (size_t i = 0; i < count; ++i)
    result[i] = float(random_block({7, Purpose::test, stream, uint32_t(i)}, 0).v[0] % 3) - 1;
  return result;
}

std::vector<std::string> names_for(size_t count) {
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back("A" + std::to_string(i));
  return names;
}

// ---- What is asked for

std::map<std::string, int> wanted(const std::vector<std::string>& texts) {
  std::map<std::string, int> result;
  for (const WantedAttribute& w : parse_wanted(texts, kNames)) result[kNames[w.index]] = w.value;
  return result;
}

TEST_CASE("attributes are asked for by name, with a dash, with a value, in lists, by several texts") {
  using Map = std::map<std::string, int>;
  CHECK(wanted({}) == Map{});
  CHECK(wanted({"Smiling=1"}) == Map{{"Smiling", 1}});
  CHECK(wanted({"Eyeglasses=-1"}) == Map{{"Eyeglasses", -1}});
  CHECK(wanted({"Smiling,-Eyeglasses"}) == Map{{"Smiling", 1}, {"Eyeglasses", -1}});
  CHECK(wanted({"Male=-1,Smiling", "-Eyeglasses"}) == Map{{"Smiling", 1}, {"Eyeglasses", -1}, {"Male", -1}});
  CHECK(wanted({"-Male", "Male=-1"}) == Map{{"Male", -1}});
}

TEST_CASE("what is no request is refused with the reason") {
  const auto error = [](const std::vector<std::string>& texts) { return error_of([&] { wanted(texts); }); };
  CHECK(error({"Smilng"}) ==
        "unknown attribute \"Smilng\"; did you mean \"Smiling\"? Known: Smiling, Eyeglasses, Male");
  CHECK(contains(error({"-smiling"}), "did you mean \"Smiling\""));
  CHECK(contains(error({"Smiling, Male"}), "unknown attribute \" Male\""));
  CHECK(error({"Smiling", "Smiling=-1"}) == "the attribute Smiling is to be both 1 and -1");
  CHECK(error({"Male=0"}) == "Male must be 1 or -1, is \"0\"");
  CHECK(error({"Male=+1"}) == "Male must be 1 or -1, is \"+1\"");
  CHECK(error({"Male="}) == "Male must be 1 or -1, is \"\"");
  CHECK(error({"Male=1=1"}) == "Male must be 1 or -1, is \"1=1\"");
  CHECK(contains(error({"-Male=1"}), "either -Male or Male=-1"));
  for (const char* empty : {"", "Smiling,", ",Smiling", "-", "=1", "Smiling,,Male"})
    CHECK_MESSAGE(contains(error({empty}), "names no attribute"), empty);
}

// ---- Rows in a file

TEST_CASE("rows of any number of attributes come back from their file as they were, with 0 among them") {
  const TempFolder place;
  for (const size_t k : {size_t(1), size_t(3), size_t(4), size_t(5), size_t(40)})
    for (const size_t count : {size_t(1), size_t(7), size_t(64)}) {
      CAPTURE(k);
      CAPTURE(count);
      const std::vector<float> given = values(count * k, uint32_t(k));
      const AttributeRows rows(names_for(k), given);
      REQUIRE(rows.count() == int64_t(count));
      rows.save(place / "rows");
      const AttributeRows back = AttributeRows::load(place / "rows");
      CHECK(back == rows);
      CHECK(back.names() == names_for(k));
      std::vector<float> read;
      for (int64_t i = 0; i < back.count(); ++i)
        for (const float value : back.row(i)) read.push_back(value);
      CHECK(read == given);
      CHECK(fs::file_size(place / "rows") < 1000 + count * ((k + 3) / 4));
      const std::string bytes = io::read_file(place / "rows");
      back.save(place / "rows");
      CHECK(io::read_file(place / "rows") == bytes);
    }
}

TEST_CASE("what is no row of attributes is refused") {
  CHECK(contains(error_of([] { AttributeRows({"A"}, {0.5f}); }), "and not 0.5"));
  CHECK(contains(error_of([] { AttributeRows({"A"}, {NAN}); }), "and not nan"));
  CHECK(contains(error_of([] { AttributeRows({"A", "B"}, {1, -1, 0}); }), "3 values are not rows of 2"));
  CHECK(contains(error_of([] { AttributeRows({}, {1}); }), "not rows of 0"));
}

TEST_CASE("a file that is damaged is refused with its name, wherever it is") {
  const TempFolder place;
  const fs::path file = place / "rows";
  AttributeRows(kNames, values(30)).save(file);
  const std::string good = io::read_file(file);
  const auto error = [&](const std::string& bytes) {
    put(file, bytes);
    return error_of([&] { AttributeRows::load(file); });
  };
  CHECK(error(good) == "");
  for (size_t at = 0; at < good.size(); ++at) {
    CAPTURE(at);
    std::string changed = good;
    changed[at] = char(changed[at] ^ 0x04);
    const std::string message = error(changed);
    // Another blank at the header's end means the same.
    if (message.empty()) CHECK(AttributeRows::load(file) == AttributeRows(kNames, values(30)));
    if (!message.empty()) CHECK(message.rfind(file.string() + ", the attributes", 0) == 0);
    if (at + 10 >= good.size()) CHECK(contains(message, "its checksum is another one"));
  }
  for (const size_t size : {size_t(0), size_t(7), good.size() / 2, good.size() - 1})
    CHECK(contains(error(good.substr(0, size)), "is damaged: "));
  fs::remove(file);
  CHECK(contains(error_of([&] { AttributeRows::load(file); }), file.string()));
}

TEST_CASE("a file of another content than ours is refused, whatever its checksum") {
  const TempFolder place;
  const fs::path file = place / "rows";
  const auto error = [&](const std::string& names, std::vector<int64_t> shape, std::vector<uint8_t> bytes) {
    const std::string sum = hex(Hash().add(names).add(bytes.data(), bytes.size()).value());
    io::write_safetensors(file, {{{"rows", io::ElementType::u8, std::move(shape)}, bytes.data()}},
                          {{"names", names}, {"checksum", sum}});
    return error_of([&] { AttributeRows::load(file); });
  };
  CHECK(error(R"(["A","B"])", {2, 1}, {1, 2}) == "");
  CHECK(contains(error(R"(["A","B"])", {2, 1}, {1, 3}), "none of -1, 0 and 1"));
  CHECK(contains(error(R"(["A","B"])", {1, 2}, {1, 2}), "its rows are [1, 2]"));
  CHECK(contains(error(R"(["A","B"])", {2}, {1, 2}), "its rows are [2]"));
  CHECK(contains(error("[]", {2, 0}, {}), "it has no names"));
  CHECK(contains(error("{\"A\": 1}", {2, 1}, {1, 2}), "not a list of texts"));
  CHECK(contains(error("[1]", {2, 1}, {1, 2}), "not a list of texts"));
  CHECK(contains(error("[", {2, 1}, {1, 2}), "not a list of texts"));
  io::write_safetensors(file, {}, {});
  CHECK(contains(error_of([&] { AttributeRows::load(file); }), "it has no names"));
}

// ---- Rows by seed

/// Of 8 rows, all combinations of three attributes, and one whose values are unknown.
AttributeRows all_combinations() {
  std::vector<float> rows;
  for (int i = 0; i < 8; ++i)
    for (int k = 0; k < 3; ++k) rows.push_back(i >> k & 1 ? 1 : -1);
  rows.insert(rows.end(), 3, 0);
  return {kNames, rows};
}

TEST_CASE("what is asked for is so, the rest is from a row that agrees, by the seed alone") {
  const AttributeRequest request(all_combinations(), {"Smiling,-Male"});
  const Agreement agreement = request.agreement();
  CHECK((agreement.rows == 2 && agreement.most == 2 && agreement.wanted == 2 && agreement.all()));
  std::map<float, int> glasses;
  std::vector<uint64_t> seeds;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    seeds.push_back(seed * 0x123456789abcdefull);
    const std::vector<float> condition = request.condition_for(seeds.back());
    CHECK((condition[0] == 1 && condition[2] == -1));
    CHECK(condition == request.rows().row(request.row_for(seeds.back())));
    ++glasses[condition[1]];
  }
  CHECK((glasses[1] > 5 && glasses[-1] > 5 && glasses.size() == 2));
  const std::vector<float> together = request.conditions(seeds);
  REQUIRE(together.size() == 3 * seeds.size());
  const std::vector<uint64_t> backwards(seeds.rbegin(), seeds.rend());
  const std::vector<float> reversed = request.conditions(backwards);
  for (size_t i = 0; i < seeds.size(); ++i) {
    const std::vector<float> alone = request.conditions({seeds[i]});
    CHECK(std::equal(alone.begin(), alone.end(), together.begin() + ptrdiff_t(3 * i)));
    CHECK(std::equal(alone.begin(), alone.end(), reversed.end() - ptrdiff_t(3 * (i + 1))));
  }
}

/// The chi-square statistic of how often each row that agrees is chosen, by so many seeds.
double chi_square(const AttributeRequest& request, int seeds) {
  std::map<int64_t, int> chosen;
  for (int seed = 0; seed < seeds; ++seed) ++chosen[request.row_for(uint64_t(seed))];
  const double expected = double(seeds) / double(request.agreement().rows);
  REQUIRE(int64_t(chosen.size()) == request.agreement().rows);
  double sum = 0;
  for (const auto& [row, count] : chosen) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

TEST_CASE("the rows that agree are chosen equally often") {
  const size_t count = 600;
  const AttributeRows rows(kNames, values(3 * count));
  for (const std::string text : {"", "Smiling", "Smiling,-Male"}) {
    CAPTURE(text);
    const AttributeRequest request(rows, text.empty() ? std::vector<std::string>{} : std::vector{text});
    const auto n = double(request.agreement().rows);
    REQUIRE(n > 30);
    // Its mean is n - 1 and its deviation sqrt(2 (n - 1)): within four of them.
    CHECK(std::abs(chi_square(request, int(100 * n)) - (n - 1)) < 4 * std::sqrt(2 * (n - 1)));
  }
}

TEST_CASE(
    "where no row agrees with all, it is one of those that agree with the most; 0 agrees with nothing") {
  const AttributeRows rows(kNames, {1, -1, -1,  //
                                    1, 1, 0,    //
                                    0, 1, 1,    //
                                    -1, -1, -1});
  const auto agreement = [&](const std::vector<std::string>& texts) {
    const Agreement a = AttributeRequest(rows, texts).agreement();
    return std::vector<int64_t>{a.rows, int64_t(a.most), int64_t(a.wanted)};
  };
  CHECK(agreement({}) == std::vector<int64_t>{4, 0, 0});
  CHECK(agreement({"Smiling"}) == std::vector<int64_t>{2, 1, 1});
  CHECK(agreement({"Smiling,Eyeglasses,Male"}) == std::vector<int64_t>{2, 2, 3});
  CHECK(agreement({"Smiling,Eyeglasses,-Male"}) == std::vector<int64_t>{2, 2, 3});
  const AttributeRequest all(rows, {"Smiling,Eyeglasses,Male"});
  CHECK_FALSE(all.agreement().all());
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CHECK((all.row_for(seed) == 1 || all.row_for(seed) == 2));
    CHECK(all.condition_for(seed) == std::vector<float>{1, 1, 1});
  }
  const AttributeRequest never(AttributeRows(kNames, {-1, -1, 0, -1, 1, 0}), {"Smiling"});
  CHECK((never.agreement().rows == 2 && never.agreement().most == 0));
  CHECK(contains(error_of([] { AttributeRequest({}, {}); }), "there are no images"));
}

// ---- A run with attributes

/// A small run under three attributes.
struct AttributeRun : SmallRun {
  std::vector<float> conditions = values(3 * kImages);

  AttributeRun() { name(kNames); }
  void name(const std::vector<std::string>& names) {
    options.attributes = names;
    options.network.condition = 3;
  }
  ImageSet shown() const {
    ImageSet set = images();
    set.conditions = conditions;
    return set;
  }
  /// Trains until this step, or to the end, with these hooks for the session.
  SessionResult go(const fs::path& folder, int64_t until = -1) const {
    engine::Device device({1, engine::Backend::cpu});
    Trainer trainer(device, options, shown());
    SessionHooks hooks;
    hooks.interrupted = [&] { return trainer.step_number() == until; };
    return run_session(device, trainer, RunFolder(folder), hooks);
  }
};

TEST_CASE("a run records its attributes, goes on as if it was never interrupted, and refuses others") {
  AttributeRun run;
  const TempFolder place(memory_folder());
  CHECK(run.go(place / "straight").finished);
  CHECK_FALSE(run.go(place / "run", 5).finished);
  CHECK(run.go(place / "run").finished);
  CHECK(contents_of(place / "run/checkpoints/step-00000012") ==
        contents_of(place / "straight/checkpoints/step-00000012"));
  const auto json = nlohmann::json::parse(io::read_file(place / "run/options.json"));
  CHECK(json["attributes"] == nlohmann::json(kNames));

  set_steps(run.options, 14);
  run.options.attributes = {"Smiling", "Male", "Eyeglasses"};
  CHECK(
      contains(error_of([&] { run.go(place / "run"); }),
               R"(attributes: ["Smiling","Eyeglasses","Male"] there, ["Smiling","Male","Eyeglasses"] now)"));
  run.options.attributes = {"Smiling", "Male"};
  CHECK(contains(error_of([&] { run.go(place / "run"); }), "condition of 3 numbers, and attributes names 2"));
}

TEST_CASE("a run from before the names goes on with them, and its next checkpoint has the rows") {
  AttributeRun run;
  const TempFolder place(memory_folder());
  run.options.attributes.clear();  // as then
  CHECK(run.go(place / "run").finished);
  const fs::path old = *newest_checkpoint(place / "run");
  CHECK_FALSE(fs::exists(old / "attributes.safetensors"));
  CHECK_FALSE(contains(io::read_file(old / "options.json"), "attributes"));
  engine::Device device({1, engine::Backend::cpu});
  const LoadedModel older = load_model(device, old);
  CHECK(older.attributes.empty());
  CHECK(contains(error_of([&] { older.ask({"Smiling"}); }), "go on with its training"));

  run.name(kNames);
  set_steps(run.options, 14);
  CHECK(run.go(place / "run").finished);
  const LoadedModel newer = load_model(device, *newest_checkpoint(place / "run"));
  CHECK(newer.attributes == AttributeRows(kNames, run.conditions));
  CHECK(newer.ask({"Smiling"}).agreement().all());
}

TEST_CASE(
    "a checkpoint that has moved has all that it needs; one that lacks it or is of another run says so") {
  AttributeRun run;
  run.options.save_every = 12;
  const TempFolder place(memory_folder());
  run.go(place / "run");
  const fs::path moved = place / "elsewhere";
  fs::rename(*newest_checkpoint(place / "run"), moved);
  fs::remove_all(place / "run");
  engine::Device device({1, engine::Backend::cpu});
  {
    const LoadedModel model = load_model(device, moved);
    CHECK(model.attributes == AttributeRows(kNames, run.conditions));
    CHECK(model.ask({"-Male"}).condition_for(3)[2] == -1);
    CHECK(contains(error_of([&] { model.ask({"Mal"}); }), "did you mean \"Male\""));
  }
  const fs::path file = moved / "attributes.safetensors";
  const auto error = [&] { return error_of([&] { load_model(device, moved); }); };
  AttributeRows({"Smiling", "Male", "Eyeglasses"}, run.conditions).save(file);
  CHECK(contains(error(), "holds other attributes than"));
  put(file, io::read_file(file).substr(0, 50));
  CHECK(contains(error(), file.string() + ", the attributes that a model was trained with, is damaged"));
  fs::remove(file);
  CHECK(contains(error(), "has no attributes.safetensors"));

  SmallRun plain;
  plain.train(place / "plain");
  const fs::path without = *newest_checkpoint(place / "plain");
  CHECK_FALSE(fs::exists(without / "attributes.safetensors"));
  CHECK(contains(error_of([&] { load_model(device, without).ask({"Male"}); }), "trained without attributes"));
}

TEST_CASE("grids are drawn under rows of the training, each image by its seed alone") {
  AttributeRun run;
  engine::Device device({1, engine::Backend::cpu});
  run.options.network.dropout = 0;
  run.options.optimizer.ema.decay = 0;
  run.options.drop_condition = 0;
  run.options.sample_steps = 3;
  Trainer trainer(device, run.options, run.shown());
  for (int i = 0; i < 30; ++i) trainer.step();
  trainer.pause();
  const std::vector<uint64_t> seeds = {0, 1, 2, 3, 4, 5, 6, 7, 8, 90};  // more than a chunk
  const std::vector<uint8_t> many = sample_ema(device, trainer, seeds);
  const size_t each = many.size() / seeds.size();
  const auto of = [&](size_t i) {
    return std::vector<uint8_t>(many.begin() + ptrdiff_t(i * each), many.begin() + ptrdiff_t((i + 1) * each));
  };
  const std::vector<uint8_t> five = sample_ema(device, trainer, {8, 90, 3, 1, 2});
  for (size_t i = 0; i < seeds.size(); ++i) CHECK(sample_ema(device, trainer, {seeds[i]}) == of(i));
  CHECK(std::equal(five.begin() + ptrdiff_t(each), five.begin() + ptrdiff_t(2 * each), of(9).begin()));

  const Sde sde = make_sde(run.options.diffusion.sde);
  const SamplerPlan plan = make_sampler_plan(grid_sampler(trainer.options()), sde);
  const DenoiserOptions denoising{run.options.diffusion.preconditioning, engine::DType::f32};
  const engine::Shape image{SmallRun::kSize, SmallRun::kSize, 3};
  CHECK(many !=
        sample_images(device, network_denoiser(trainer.ema_network(), denoising), plan, image, seeds));
  const AttributeRequest varied(trainer.attributes(), {});
  for (const size_t i : {size_t(2), size_t(9)}) {
    // The same image, given its row by hand.
    const std::vector<float> row = trainer.attributes().row(varied.row_for(seeds[i]));
    const Denoiser given =
        guided_denoiser(device, trainer.ema_network(), denoising, [&](const auto&) { return row; }, {});
    CHECK(sample_images(device, given, plan, image, {seeds[i]}) == of(i));
  }
  const std::vector<float> other = {1, 1, 1};
  const Denoiser changed =
      guided_denoiser(device, trainer.ema_network(), denoising, [&](const auto&) { return other; }, {});
  REQUIRE(trainer.attributes().row(varied.row_for(seeds[2])) != other);
  CHECK(sample_images(device, changed, plan, image, {seeds[2]}) != of(2));
}

TEST_CASE("conditions that are not one for each image are refused") {
  AttributeRun run;
  engine::Device device({1, engine::Backend::cpu});
  Trainer trainer(device, run.options, run.shown());
  const auto error = [&](size_t rows, size_t seeds) {
    const Denoiser denoiser = guided_denoiser(device, trainer.ema_network(), {},
                                              [=](const auto&) { return std::vector<float>(rows * 3); }, {});
    return error_of([&] { denoiser.prepare(std::vector<uint64_t>(seeds)); });
  };
  CHECK(error(2, 2) == "");
  CHECK(error(64, 64) == "");
  CHECK(error(2, 3) == "the model's condition has 3 numbers, 6 are given for 3 images");
  CHECK(contains(error(65, 65), "1 to 64 images, not 65"));
  CHECK(contains(error(0, 0), "1 to 64 images, not 0"));
  run.conditions[5] = 0.5f;
  CHECK(contains(error_of([&] { Trainer(device, run.options, run.shown()); }), "and not 0.5"));
}

TEST_CASE("attributes are listed shortly for people, on the page of a run, too") {
  CHECK(short_list(kNames) == "Smiling, Eyeglasses, Male");
  CHECK(short_list(names_for(6)) == "A0, A1, A2, A3, A4, A5");
  CHECK(short_list(names_for(40)) == "A0, A1, A2 and 37 more: 40 in all");
  const TempFolder place;
  TrainingOptions options = AttributeRun().options;
  const auto shown = [&] {
    const RunFolder folder(place / "run");
    RunJournal(folder, options, 0, [](const std::string&) {});
    const std::string script = io::read_file(place / "run/run_data.js");
    return nlohmann::json::parse(script.substr(8, script.size() - 11))["options"]["attributes"];
  };
  CHECK(shown() == "Smiling, Eyeglasses, Male");
  options.attributes = names_for(40);
  CHECK(shown() == "A0, A1, A2 and 37 more: 40 in all");
}

}  // namespace
}  // namespace ito::model
