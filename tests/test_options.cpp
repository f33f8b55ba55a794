#include <doctest/doctest.h>

#include <limits>

#include "io_helpers.h"
#include "kernels/base/options.h"
#include "model/training/options.h"
#include "model/unet/presets.h"

using namespace ito;
using tests::contains;
using tests::error_of;
using tests::fixture;

namespace {

template <class T>
std::string refused(std::string_view text, const Range& range) {
  return error_of([&] { parse_option<T>("--x", text, range); });
}

TEST_CASE("numbers are decimal, all of the text, and within the range") {
  const Range small = from(0).to(100);
  CHECK(parse_option<int>("--x", "0100", small) == 100);  // not octal
  CHECK(parse_option<int>("--x", "09", small) == 9);
  CHECK(parse_option<int>("--x", "-0", small) == 0);
  CHECK(parse_option<double>("--x", "1e-3", small) == 1e-3);
  CHECK(parse_option<double>("--x", "100", small) == 100);
  CHECK(parse_option<float>("--x", ".5", small) == 0.5f);
  CHECK(parse_option<uint64_t>("--x", "18446744073709551615", kAnySeed) == 18446744073709551615u);
  CHECK(parse_option<int64_t>("--x", "-9223372036854775808", from(-1e19L).to(1e19L)) ==
        std::numeric_limits<int64_t>::min());
  for (const char* text : {"", " 5", "5 ", "+5", "0x10", "1'0", "5.0", "1e1", "five", "101", "-1", "nan",
                           "18446744073709551616", "99999999999999999999999"}) {
    CAPTURE(text);
    const std::string wanted = cat("--x must be a whole number from 0 to 100, is \"", text, '"');
    CHECK(refused<int>(text, small) == wanted);
    CHECK(refused<int64_t>(text, small) == wanted);
    CHECK(refused<uint64_t>(text, small) == wanted);
  }
  for (const char* text : {"", " 5", "5x", "+5", "0x1p3", "five", "100.5", "-1e-9", "nan", "-nan", "inf",
                           "infinity", "1e400", "-inf", "1,5"}) {
    CAPTURE(text);
    CHECK(refused<double>(text, small) == cat("--x must be a number from 0 to 100, is \"", text, '"'));
  }
}

TEST_CASE("a type's own limits are part of the range") {
  CHECK(refused<int>("2147483648", from(0).to(1e18)) ==
        "--x must be a whole number from 0 to 2147483647, is \"2147483648\"");
  CHECK(contains(refused<uint64_t>("-1", kAnySeed), "from 0 to 18446744073709551615"));
}

TEST_CASE("bounds that are not allowed themselves") {
  CHECK(refused<double>("0", above(0).to(80)) == "--x must be a number above 0 and at most 80, is \"0\"");
  CHECK(refused<double>("1", from(0).below(1)) == "--x must be a number at least 0 and below 1, is \"1\"");
  CHECK(parse_option<double>("--x", "0.9999", from(0).below(1)) == 0.9999);
}

TEST_CASE("a range that is wider than its type is cut to it, at both ends; rounding does not pass a bound") {
  CHECK(contains(refused<int>("-3000000000", from(-1e10L).to(1e10L)), "from -2147483648 to 2147483647"));
  CHECK(contains(refused<int>("10", from(0).below(10)), "at least 0 and below 10"));
  CHECK(parse_option<int>("--x", "9", from(0).below(10)) == 9);
  CHECK(contains(refused<float>("0.99999999999", from(0).below(1)), "below 1"));
}

TEST_CASE("numbers are written as short as they are read back") {
  CHECK(shortest_text(0.000123456789) == "0.000123456789");  // six digits are too few
  CHECK(shortest_text(0.1f) == "0.1");
  CHECK(shortest_text(2e-4) == "0.0002");
  CHECK(shortest_text(uint64_t(18446744073709551615u)) == "18446744073709551615");
}

TEST_CASE("a number whose field has no range is refused, whatever it is") {
  const int one = 1;
  CHECK(contains(error_of([&] { CheckRanges{}(one, Field("x", "a number")); }), "x must be"));
}

TEST_CASE("an unknown name is answered with all names and the nearest") {
  CHECK(refused<model::SdeKind>("vee", {}) ==
        "--x must be ve, vp, sub-vp, simple or table, is \"vee\"; did you mean \"ve\"?");
  CHECK(parse_option<model::SdeKind>("--x", "sub-vp", {}) == model::SdeKind::sub_vp);
  CHECK(contains(refused<model::Precision>(std::string(100000, 'a'), {}), "f32 or bf16"));
}

TEST_CASE("files of earlier versions are read, and written with the same bytes") {
  for (const std::string name : {"plain", "document"}) {
    CAPTURE(name);
    const auto folder = fixture("options") / name;
    const std::string text = io::read_file(folder / "options.json");
    const model::TrainingOptions options = model::training_options_from_json(text);
    CHECK(model::to_json(options) == text);
    CHECK(model::to_json(options.network) == io::read_file(folder / "config.json"));
    check(options);
  }
}

TEST_CASE("options that a file lacks since they are newer than it mean their defaults; others are missed") {
  const std::string text = io::read_file(fixture("options/plain/options.json"));
  const auto without = [&](const std::string& line) {
    const size_t at = text.find(line);
    REQUIRE(at != std::string::npos);
    return std::string(text).erase(at, text.find('\n', at) - at);
  };
  CHECK(model::to_json(model::training_options_from_json(without("\"conv\""))) == text);
  CHECK(
      contains(error_of([&] { model::training_options_from_json(without("\"keep\"")); }), "keep is missing"));
}

TEST_CASE("numbers that vary a batch are in a file only where they do") {
  const std::string text = io::read_file(fixture("options/plain/options.json"));
  model::TrainingOptions options = model::training_options_from_json(text);
  CHECK((options.noise_candidates == 1 && options.input_noise == 0 && options.augment == 0));
  options.noise_candidates = 4, options.input_noise = 0.1;
  options.augment = 0.15, options.network.augment = true;
  const std::string varied = model::to_json(options);
  const model::TrainingOptions back = model::training_options_from_json(varied);
  CHECK((back.noise_candidates == 4 && back.input_noise == 0.1 && back.augment == 0.15));
  CHECK((back.network.augment && model::to_json(back) == varied));
  CHECK(model::differences(model::training_options_from_json(text), options) ==
        std::vector<std::string>{"augment: 0.0 there, 0.15 now", "input_noise: 0.0 there, 0.1 now",
                                 "ito_augment: absent there, true now", "noise_candidates: 1 there, 4 now"});
}

TEST_CASE(
    "a run from before attributes had names is read, written with the same bytes, and goes on with them") {
  const std::string text = io::read_file(fixture("options/document/options.json"));
  const size_t begin = text.find("  \"attributes\": ["), end = text.find("],\n", begin) + 3;
  REQUIRE(begin != std::string::npos);
  const std::string older = std::string(text).erase(begin, end - begin);
  const model::TrainingOptions then = model::training_options_from_json(older),
                               now = model::training_options_from_json(text);
  CHECK((then.attributes.empty() && then.network.condition == 40 && now.attributes.size() == 40));
  CHECK(model::to_json(then) == older);
  CHECK(model::differences(then, now).empty());
  check(then);

  model::TrainingOptions other = now;
  std::swap(other.attributes[0], other.attributes[1]);
  const auto changes = model::differences(now, other);
  REQUIRE(changes.size() == 1);
  CHECK(contains(changes[0], "attributes: [\"5_o_Clock_Shadow\",\"Arched_Eyebrows\""));
  other.attributes = {"Smiling", "Male"};
  CHECK(contains(error_of([&] { check(other); }), "condition of 40 numbers, and attributes names 2"));
  other.network.condition = 2;
  const auto fewer = model::differences(then, other);
  REQUIRE(fewer.size() == 2);
  CHECK(fewer[0] == "attributes: absent there, [\"Smiling\",\"Male\"] now");
  CHECK(fewer[1] == "ito_condition: 40 there, 2 now");
  const auto with = [&](const std::string& value) {
    std::string changed = older;
    changed.insert(begin, "  \"attributes\": " + value + ",\n");
    return error_of([&] { model::training_options_from_json(changed); });
  };
  CHECK(with("[\"Male\"]") == "");
  CHECK(contains(with("\"Male\""), "attributes must be a list"));
  CHECK(contains(with("[\"Male\", 1]"), "type must be string"));
}

TEST_CASE("what is no option of this version is refused by name, at every depth") {
  const std::string text = io::read_file(fixture("options/plain/options.json"));
  for (const std::string object : {"{", "\"diffusion\": {", "\"optimizer\": {"}) {
    std::string changed = text;
    changed.insert(changed.find(object) + object.size(), "\"unheard\": 3,");
    CHECK(contains(error_of([&] { model::training_options_from_json(changed); }),
                   "unknown option \"unheard\""));
  }
}

TEST_CASE("values in a file are held to the same ranges, by the file's names") {
  const std::string text = io::read_file(fixture("options/plain/options.json"));
  const auto with = [&](const std::string& name, const std::string& value) {
    const size_t at = text.find('"' + name + "\": ") + name.size() + 4;
    REQUIRE(at > name.size() + 4);
    std::string changed = text;
    changed.replace(at, text.find_first_of(",\n", at) - at, value);
    return error_of([&] { model::training_options_from_json(changed); });
  };
  CHECK(with("batch", "32") == "");
  CHECK(contains(with("batch", "0"), "batch must be a whole number from 1 to 1048575"));
  CHECK(contains(with("lr_final_fraction", "-3"), "lr_final_fraction must be a number from 0 to 1"));
  CHECK(contains(with("clip", "-1"), "clip must be a number from 0"));
  CHECK(contains(with("sde", "\"vee\""), "did you mean \"ve\"?"));
  CHECK(contains(with("precision", "\"f64\""), "precision must be f32 or bf16"));
  CHECK(contains(with("p_std", "-1"), "p_std must be a number above 0"));
  CHECK(contains(with("batch", "\"32\""), "batch must be a whole number from 1 to 1048575"));
  CHECK(contains(with("flip", "1"), "flip must be true or false, is \"1\""));
  CHECK(contains(with("lr", "null"), "lr must be a number above 0"));
  CHECK(contains(with("crop", "5"), "crop must be a text"));
}

TEST_CASE("the objective that a preset has, and what follows a prediction") {
  using namespace model;
  const TrainingOptions faces = default_options("small"), text = default_options("document"),
                        tutorial = default_options("tutorial");
  CHECK((faces.diffusion.sde.kind == SdeKind::ve && tutorial.diffusion.sde.kind == SdeKind::simple));
  CHECK(faces.diffusion.weighting == Weighting::edm);
  CHECK(text.diffusion.preconditioning.prediction == Prediction::score_scaled);
  CHECK(text.diffusion.preconditioning.condition == NoiseCondition::time);
  CHECK((text.diffusion.weighting == Weighting::sigma2 && text.diffusion.draw.kind == LevelDraw::uniform));
  CHECK(default_diffusion(NetworkKind::unet, Prediction::noise).weighting == Weighting::sigma2);
  CHECK(default_diffusion(NetworkKind::unet, Prediction::x0).weighting == Weighting::min_snr);
  CHECK(faces.optimizer.learning_rate.warmup == 500);
}

}  // namespace
