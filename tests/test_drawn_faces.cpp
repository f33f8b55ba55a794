#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "data/faces/drawn_faces.h"
#include "tests/helpers.h"
#include "tests/program.h"

using namespace ito::data;
using namespace ito::tests;
namespace fs = std::filesystem;

namespace {

FaceSetResult write_set(const fs::path& folder, uint64_t count, uint64_t seed, int threads = 2) {
  FaceSetOptions options;
  options.count = count;
  options.seed = seed;
  options.threads = threads;
  return write_face_set(folder, options);
}

int8_t attribute(const std::array<int8_t, kFaceAttributes>& all, const std::string& name) {
  for (int i = 0; i < kFaceAttributes; ++i)
    if (name == kFaceAttributeNames[i]) return all[i];
  ito::fail(ito::cat("no attribute ", name));
}

/// Mean colour of a small square, as (r, g, b) in 0..255.
std::array<double, 3> mean_color(const Image& image, int x0, int y0, int size) {
  std::array<double, 3> sum{};
  for (int y = y0; y < y0 + size; ++y)
    for (int x = x0; x < x0 + size; ++x)
      for (int c = 0; c < 3; ++c) sum[c] += image.pixel(x, y)[c] / double(size * size);
  return sum;
}

}  // namespace

TEST_CASE("the same seed writes the same bytes, on any number of threads") {
  const TempFolder scratch;
  write_set(scratch / "a", 24, 5, 1);
  write_set(scratch / "b", 24, 5, 3);
  const auto a = contents_of(scratch / "a");
  CHECK(a.size() == 29);  // pictures, their folder and four lists
  CHECK(a == contents_of(scratch / "b"));
  write_set(scratch / "c", 24, 6, 2);
  CHECK(a.at("img_align_celeba/000001.jpg") != ito::io::read_file(scratch / "c/img_align_celeba/000001.jpg"));
}

TEST_CASE("a larger count extends a set, and equals one drawn at once") {
  const TempFolder scratch;
  write_set(scratch / "grown", 7, 9);
  const FaceSetResult result = write_set(scratch / "grown", 12, 9);
  CHECK(result.kept == 7);
  CHECK(result.drawn == 5);
  CHECK(write_set(scratch / "grown", 12, 9).drawn == 0);
  fs::remove(scratch / "grown/img_align_celeba/000004.jpg");  // as after an interruption
  CHECK(write_set(scratch / "grown", 12, 9).drawn == 1);
  write_set(scratch / "whole", 12, 9);
  CHECK(contents_of(scratch / "grown") == contents_of(scratch / "whole"));
}

TEST_CASE("files have CelebA's formats") {
  const TempFolder scratch;
  write_set(scratch.path(), 20, 1);
  std::istringstream attributes(ito::io::read_file(scratch / "list_attr_celeba.txt"));
  std::string line;
  std::getline(attributes, line);
  CHECK(line == "20");
  std::getline(attributes, line);
  CHECK(
      line ==
      "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair "
      "Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair "
      "Heavy_Makeup "
      "High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin "
      "Pointy_Nose "
      "Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat "
      "Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young ");
  for (uint64_t i = 0; i < 20; ++i) {
    REQUIRE(std::getline(attributes, line));
    CHECK(line.size() == 10 + 3 * 40);
    std::istringstream row(line);
    std::string name;
    row >> name;
    CHECK(name == (i < 9 ? "00000" : "0000") + std::to_string(i + 1) + ".jpg");
    for (const int8_t expected : face_attributes(face_traits(1, i))) {
      int value = 0;
      row >> value;
      CHECK(value == expected);
    }
  }
  CHECK_FALSE(std::getline(attributes, line));
  const std::string splits = ito::io::read_file(scratch / "list_eval_partition.txt");
  CHECK(splits.substr(0, 13) == "000001.jpg 0\n");
  CHECK(splits.substr(splits.size() - 13) == "000020.jpg 2\n");
  CHECK(splits.size() == 20 * 13);
  const Image picture = decode_image(scratch / "img_align_celeba/000020.jpg");
  CHECK(picture.width == 178);
  CHECK(picture.height == 218);
}

TEST_CASE("pictures are baseline JPEGs with 4:2:0 chroma, and little is lost") {
  const TempFolder scratch;
  write_set(scratch.path(), 3, 2);
  const std::string bytes = ito::io::read_file(scratch / "img_align_celeba/000002.jpg");
  const size_t frame =
      bytes.find("\xff\xc0");  // SOF0: length, precision, height, width, components, then (id, sampling)
  REQUIRE(frame != std::string::npos);
  CHECK(bytes[frame + 9] == 3);
  CHECK(bytes[frame + 11] == 0x22);
  CHECK(bytes[frame + 14] == 0x11);
  const Image drawn = draw_face(face_traits(2, 1)),
              read = decode_image(scratch / "img_align_celeba/000002.jpg");
  double error = 0;
  for (size_t i = 0; i < drawn.rgb.size(); ++i) error += std::abs(int(drawn.rgb[i]) - int(read.rgb[i]));
  CHECK(error / double(drawn.rgb.size()) < 3.0);
}

TEST_CASE("splits are CelebA's own at its size, and contiguous at any") {
  CHECK(face_split(162769, 202599) == 0);
  CHECK(face_split(162770, 202599) == 1);
  CHECK(face_split(182636, 202599) == 1);
  CHECK(face_split(182637, 202599) == 2);
  for (const uint64_t count : {1, 2, 7, 100, 1234}) {
    int last = 0;
    for (uint64_t i = 0; i < count; ++i) {
      const int split = face_split(i, count);
      CHECK(split >= last);
      last = split;
    }
    CHECK(face_split(0, count) == 0);
  }
}

TEST_CASE("attributes do not contradict each other") {
  for (uint64_t i = 0; i < 4000; ++i) {
    const FaceTraits traits = face_traits(3, i);
    const auto a = face_attributes(traits);
    const auto is = [&](const char* name) { return attribute(a, name) > 0; };
    const int colors = is("Black_Hair") + is("Blond_Hair") + is("Brown_Hair") + is("Gray_Hair");
    REQUIRE(colors <= 1);
    if (is("Bald"))
      REQUIRE_FALSE(
          (colors > 0 || is("Bangs") || is("Straight_Hair") || is("Wavy_Hair") || is("Wearing_Hat")));
    REQUIRE_FALSE((is("Straight_Hair") && is("Wavy_Hair")));
    if (is("Goatee") || is("5_o_Clock_Shadow")) REQUIRE_FALSE(is("No_Beard"));
    if (!is("Male")) REQUIRE((is("No_Beard") && !is("Mustache") && !is("Sideburns")));
    if (is("Heavy_Makeup")) REQUIRE(is("Wearing_Lipstick"));
    if (is("Double_Chin")) REQUIRE(is("Chubby"));
    if (is("Wearing_Necktie")) REQUIRE_FALSE(is("Wearing_Necklace"));
    REQUIRE_FALSE(is("Attractive"));
    REQUIRE_FALSE(is("Blurry"));
  }
}

TEST_CASE("every trait that CelebA names is common enough to be learned") {
  constexpr int kCount = 6000;
  std::array<int, kFaceAttributes> positive{};
  for (int i = 0; i < kCount; ++i) {
    const auto a = face_attributes(face_traits(4, uint64_t(i)));
    for (int k = 0; k < kFaceAttributes; ++k) positive[k] += a[k] > 0;
  }
  const auto share = [&](const char* name) {
    for (int k = 0; k < kFaceAttributes; ++k)
      if (std::string(name) == kFaceAttributeNames[k]) return double(positive[k]) / kCount;
    return -1.0;
  };
  for (int k = 0; k < kFaceAttributes; ++k) {
    const std::string name = kFaceAttributeNames[k];
    if (name == "Attractive" || name == "Blurry") continue;
    CAPTURE(name);
    CHECK(positive[k] > kCount / 100);
    CHECK(positive[k] < kCount * 9 / 10);
  }
  CHECK(share("Male") > 0.4);
  CHECK(share("Male") < 0.52);
  CHECK(share("Smiling") > 0.45);
  CHECK(share("Smiling") < 0.65);
  CHECK(share("Young") > 0.7);
  CHECK(share("Black_Hair") > 0.15);
  CHECK(share("Wearing_Hat") < 0.12);
}

TEST_CASE("a trait changes the picture where it should") {
  FaceTraits plain = face_traits(1, 0);
  plain.shift_x = plain.shift_y = plain.tilt = plain.turn = 0, plain.scale = 1;
  plain.skin = 0.1, plain.lipstick = false, plain.facial_hair = FacialHair::none, plain.hat = Hat::none;
  plain.glasses = Glasses::none, plain.smile = 0, plain.mouth_open = 0, plain.bangs = false;
  plain.hair_style = HairStyle::buzz, plain.hair_color = HairColor::black, plain.hair = rgb(0x202020);
  const Image base = draw_face(plain);

  FaceTraits changed = plain;
  changed.hair_style = HairStyle::bald;  // the crown shows skin instead of black hair
  CHECK(mean_color(draw_face(changed), 84, 60, 6)[0] > mean_color(base, 84, 60, 6)[0] + 80);
  changed = plain, changed.skin = 0.9;
  CHECK(mean_color(draw_face(changed), 86, 84, 6)[0] < mean_color(base, 86, 84, 6)[0] - 80);
  changed = plain, changed.lipstick = true, changed.lip = rgb(0xc2243c);
  CHECK(mean_color(draw_face(changed), 86, 154, 4)[1] < mean_color(base, 86, 154, 4)[1] - 30);
  changed = plain, changed.facial_hair = FacialHair::full_beard;
  CHECK(mean_color(draw_face(changed), 84, 168, 8)[0] < mean_color(base, 84, 168, 8)[0] - 80);
  changed = plain, changed.smile = 1, changed.mouth_open = 1;  // teeth
  CHECK(mean_color(draw_face(changed), 86, 152, 4)[2] > mean_color(base, 86, 152, 4)[2] + 40);
}

TEST_CASE("pupils are where CelebA's alignment puts them") {
  std::array<double, 2> left{}, right{};
  constexpr int kCount = 40;
  for (int i = 0; i < kCount; ++i) {
    FaceTraits traits = face_traits(8, uint64_t(i));
    traits.glasses = Glasses::none, traits.hat = Hat::none, traits.bangs = false, traits.eye_makeup = false,
    traits.skin = 0.1;
    const Image image = draw_face(traits);
    for (const int eye : {0, 1}) {  // the darkest point of the eye: within the pupil
      const int middle = eye == 0 ? 69 : 108;
      int best = 1 << 20, bx = 0, by = 0;
      for (int y = 106; y < 116; ++y)
        for (int x = middle - 7; x <= middle + 7; ++x) {
          const auto c = mean_color(image, x - 1, y - 1, 3);
          const int sum = int(c[0] + c[1] + c[2]);
          if (sum < best) best = sum, bx = x, by = y;
        }
      (eye == 0 ? left : right)[0] += double(bx) / kCount;
      (eye == 0 ? left : right)[1] += double(by) / kCount;
    }
  }
  CHECK(left[0] == doctest::Approx(69).epsilon(0.03));
  CHECK(right[0] == doctest::Approx(108).epsilon(0.02));
  CHECK(left[1] == doctest::Approx(111).epsilon(0.03));
  CHECK(right[1] == doctest::Approx(111).epsilon(0.03));
}

TEST_CASE("landmarks are where the drawing has them") {
  const auto changed = [](const Image& a, const Image& b, int x, int y) {
    int sum = 0;
    for (int c = 0; c < 3; ++c) sum += std::abs(int(a.pixel(x, y)[c]) - int(b.pixel(x, y)[c]));
    return sum > 60;
  };
  for (uint64_t i = 0; i < 30; ++i) {
    CAPTURE(i);
    FaceTraits traits = face_traits(12, i);
    traits.glasses = Glasses::none, traits.hat = Hat::none, traits.bangs = false, traits.eye_makeup = false;
    traits.skin = 0.1, traits.facial_hair = FacialHair::none, traits.mouth_open = 0, traits.lipstick = false;
    const auto at = face_landmarks(traits);
    const Image image = draw_face(traits);
    for (const int eye : {0, 2}) {  // the darkest point nearby is in the pupil
      int best = 1 << 20, bx = 0, by = 0;
      for (int y = at[eye + 1] - 5; y <= at[eye + 1] + 5; ++y)
        for (int x = at[eye] - 5; x <= at[eye] + 5; ++x) {
          const auto c = mean_color(image, x - 1, y - 1, 3);
          const int sum = int(c[0] + c[1] + c[2]);
          if (sum < best) best = sum, bx = x, by = y;
        }
      CHECK(std::abs(bx - at[eye]) <= 2);
      CHECK(std::abs(by - at[eye + 1]) <= 3);
    }
    FaceTraits other = traits;
    other.lipstick = true, other.lip = rgb(0x2040ff);  // what it changes reaches from corner to corner
    const Image lips = draw_face(other);
    int left = 999, right = 0, left_y = 0, right_y = 0;
    for (int x = 0; x < image.width; ++x)
      for (int y = 0; y < image.height; ++y) {
        if (!changed(image, lips, x, y)) continue;
        if (x < left) left = x, left_y = y;
        if (x >= right) right = x, right_y = y;
      }
    CHECK(std::abs(left - at[6]) <= 3);
    CHECK(std::abs(left_y - at[7]) <= 3);
    CHECK(std::abs(right - at[8]) <= 3);
    CHECK(std::abs(right_y - at[9]) <= 3);
    other = traits;
    other.pointy_nose = !traits.pointy_nose;
    const Image nose = draw_face(other);
    double x_sum = 0, y_sum = 0, count = 0;
    for (int x = 0; x < image.width; ++x)
      for (int y = 0; y < image.height; ++y)
        if (image.pixel(x, y)[1] != nose.pixel(x, y)[1]) x_sum += x, y_sum += y, ++count;
    CHECK(std::abs(x_sum / count - at[4]) < 3);
    CHECK(std::abs(y_sum / count - at[5]) < 5);
  }
}

TEST_CASE("a folder with anything else in it is left alone") {
  const TempFolder scratch;
  write_set(scratch / "set", 5, 1);
  const auto before = contents_of(scratch / "set");
  CHECK(contains(error_of([&] { write_set(scratch / "set", 5, 2); }), "not those of seed 2"));
  CHECK(contains(error_of([&] { write_set(scratch / "set", 4, 1); }), "holds more than 4 faces"));
  CHECK(contents_of(scratch / "set") == before);
  fs::remove(scratch / "set/list_attr_celeba.txt");
  CHECK(contains(error_of([&] { write_set(scratch / "set", 5, 2); }), "not what seed 2 draws"));
  std::ofstream(scratch / "set/notes.txt") << "mine";
  CHECK(contains(error_of([&] { write_set(scratch / "set", 5, 1); }), "holds 'notes.txt'"));
  CHECK(contains(error_of([&] { write_set(scratch / "set/notes.txt", 5, 1); }), "is not a folder"));
  CHECK(contains(error_of([&] { write_set(scratch / "new", 0, 1); }), "give a count from 1 to"));
  CHECK(contains(error_of([&] { write_set(scratch / "new", 1000000, 1); }), "give a count"));
  CHECK_FALSE(fs::exists(scratch / "new"));
}

TEST_CASE("make_faces says what is wrong in one line and exits with 1") {
  const TempFolder scratch;
  const auto run = [&](const std::string& arguments) {
    return run_program(scratch.path(), "make_faces " + arguments);
  };
  const std::string folder = (scratch / "set").string();
  for (const std::string& wrong : std::vector<std::string>{
           folder + " --count 0", folder + " --count=-5", folder + " --count -5", folder + " --seeds 3",
           folder + " --seed -1", folder + " --count ten", std::string("--count 3"), std::string()}) {
    CAPTURE(wrong);
    const Ended ended = run(wrong);
    CHECK(ended.code == 1);
    CHECK(std::count(ended.err.begin(), ended.err.end(), '\n') == 1);
    CHECK_FALSE(fs::exists(folder));
  }
  const Ended drawn = run(folder + " --count 4 --seed 7");
  CHECK(drawn.code == 0);
  CHECK(contains(drawn.out, "4 faces of seed 7"));
  CHECK(contents_of(folder).size() == 9);  // a folder among them
  CHECK(run("--help").code == 0);
}
