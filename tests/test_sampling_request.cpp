#include <doctest/doctest.h>

#include <limits>
#include <numeric>

#include "apps/console/flags.h"
#include "apps/sampling/arrays.h"
#include "apps/sampling/attribute_grid.h"
#include "apps/sampling/request.h"
#include "data/pictures/label.h"
#include "engine/io/npy.h"
#include "helpers.h"

/// What ./sample understands of its flags, in process.
namespace ito::apps {
namespace {

using namespace tests;
using Columns = std::vector<std::vector<std::string>>;

TEST_CASE("seeds: a number, a list, as many as there is noise") {
  CHECK(chosen_seeds({}, {}).size() == 64);
  CHECK(chosen_seeds({.count = 3}, {}) == std::vector<uint64_t>{0, 1, 2});
  CHECK(chosen_seeds({.seeds = "5,2-3"}, {}) == std::vector<uint64_t>{5, 2, 3});
  CHECK(chosen_seeds({.attribute_grid = "Smiling"}, {}).size() == 4);
  CHECK(chosen_seeds({}, 7).size() == 7);
  CHECK(chosen_seeds({.seeds = "4-5"}, 2) == std::vector<uint64_t>{4, 5});
  CHECK(contains(error_of([] { chosen_seeds({.count = 3, .seeds = "1"}, {}); }), "exclude each other"));
  CHECK(contains(error_of([] { chosen_seeds({.count = 3}, 2); }),
                 "--noise has noise for 2 images, and 3 are asked for"));
}

TEST_CASE("intervals of guidance") {
  CHECK(parse_interval("0.3,5") == std::pair{0.3, 5.0});
  CHECK(parse_interval("0,1e3") == std::pair{0.0, 1000.0});
  for (const char* bad : {"", "1", "5,1", "1,1", "a,2", "1,", ",1", "-1,2", "1,2,3", "nan,1"}) {
    CAPTURE(bad);
    CHECK(contains(error_of([&] { parse_interval(bad); }), "--guidance-interval"));
  }
}

TEST_CASE("columns of an attribute grid: all combinations, with before without") {
  CHECK(attribute_columns("A") == Columns{{"+A"}, {"-A"}});
  CHECK(attribute_columns("A,B") == Columns{{"+A", "+B"}, {"+A", "-B"}, {"-A", "+B"}, {"-A", "-B"}});
  CHECK(attribute_columns("A,B,C").size() == 8);
  for (const char* bad : {"", ",", "A,", "A,A", "A,B,C,D", "-A", "A=1"}) {
    CAPTURE(bad);
    CHECK(contains(error_of([&] { attribute_columns(bad); }),
                   "--attr-grid must be one to three different attributes"));
  }
}

TEST_CASE("an attribute grid refuses flags that are about single images") {
  check_attribute_grid({.noise = "x.npy"});
  check_attribute_grid({.attribute_grid = "A"});
  const auto error = [](const SampleRequest& f) { return error_of([&] { check_attribute_grid(f); }); };
  CHECK(contains(error({.attribute_grid = "A", .noise = "x.npy"}), "--noise does nothing with --attr-grid"));
  CHECK(contains(error({.attribute_grid = "A", .npy = "x.npy"}), "--npy does nothing with --attr-grid"));
  CHECK(contains(error({.attribute_grid = "A", .strip = 2}), "--strip does nothing with --attr-grid"));
}

TEST_CASE("a preview is asked for, refused, or left to the program") {
  const auto preview = [](const std::string& flag) {
    CLI::App app;
    Flags flags(app);
    flags.add(SampleRequest{});
    app.parse(flag);
    return flags.read<SampleRequest>().preview;
  };
  CHECK(preview("") == std::nullopt);
  CHECK(preview("--preview") == std::optional(true));
  CHECK(preview("--no-preview") == std::optional(false));
  CHECK(preview("--preview=false") == std::optional(false));
  CHECK(contains(error_of([] { check_attribute_grid({.attribute_grid = "A", .preview = true}); }),
                 "--preview does nothing with --attr-grid"));
  check_attribute_grid({.attribute_grid = "A", .preview = false});
}

TEST_CASE("noise is read as [N,C,H,W] in either precision, and images are written so") {
  const TempFolder folder;
  const engine::Shape image{2, 4, 3};  // H, W, C
  std::vector<float> values(2 * 24);
  std::iota(values.begin(), values.end(), -20.0f);
  const std::string file = (folder / "x.npy").string();
  io::write_npy(file, io::ElementType::f32, {2, 3, 2, 4}, values.data());
  const std::vector<float> noise = read_noise(file, image);
  CHECK(noise[0] == values[0]);
  CHECK(noise[1] == values[8]);              // the second channel of the first pixel
  CHECK(noise[3] == values[1]);              // the first channel of the second pixel
  CHECK(noise[24 + 23] == values[24 + 23]);  // the last of all
  write_numbers((folder / "y.npy").string(), noise, image);
  CHECK(io::read_file(folder / "y.npy") == io::read_file(file));
  const std::vector<double> wide(values.begin(), values.end());
  io::write_npy(folder / "wide.npy", io::ElementType::f64, {2, 3, 2, 4}, wide.data());
  CHECK(read_noise((folder / "wide.npy").string(), image) == noise);
}

TEST_CASE("noise that is none is refused with the reason") {
  const TempFolder folder;
  const engine::Shape image{2, 2, 3};
  const auto error = [&](io::ElementType type, const std::vector<int64_t>& shape, const void* data) {
    io::write_npy(folder / "x.npy", type, shape, data);
    return error_of([&] { read_noise((folder / "x.npy").string(), image); });
  };
  std::vector<float> zeros(48);
  const std::vector<int32_t> whole(12);
  CHECK(contains(error(io::ElementType::i32, {1, 3, 2, 2}, whole.data()),
                 "holds I32 numbers, and noise is float32"));
  CHECK(contains(error(io::ElementType::f32, {1, 2, 2, 3}, zeros.data()),
                 "has the shape [1,2,2,3], and the model needs [N,3,2,2]"));
  CHECK(contains(error(io::ElementType::f32, {3, 2, 2}, zeros.data()), "has the shape [3,2,2]"));
  CHECK(contains(error(io::ElementType::f32, {0, 3, 2, 2}, zeros.data()), "has the shape [0,3,2,2]"));
  zeros[17] = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(error(io::ElementType::f32, {2, 3, 2, 2}, zeros.data()), "not finite, in image 1"));
  put(folder / "x.npy", "not an array");
  CHECK(error_of([&] { read_noise((folder / "x.npy").string(), image); }) != "");
}

TEST_CASE("a labelled grid: text above and before images that are made large enough for it") {
  std::vector<data::Image> images;
  for (int i = 0; i < 4; ++i) images.emplace_back(16, 16);
  const data::Image grid = data::labelled_grid(images, {{"+Smiling"}, {"-Smiling"}}, {"seed 0", "seed 1"});
  const int wide = data::text_width("+Smiling");
  CHECK(wide > 16);
  CHECK(grid.width >= 2 * wide);
  CHECK(grid.height > 2 * (16 * ((wide + 15) / 16)));
  const auto light = [&](int left, int top, int right, int bottom) {
    int count = 0;
    for (int y = top; y < bottom; ++y)
      for (int x = left; x < right; ++x) count += grid.rgb[size_t((y * grid.width + x) * 3)] > 200;
    return count;
  };
  CHECK(light(0, 0, grid.width, data::kTextHeight + 4) > 50);  // the columns' labels
  CHECK(light(0, data::kTextHeight + 4, data::text_width("seed 0") + 8, grid.height) > 50);  // the rows'
  CHECK(contains(error_of([&] { data::labelled_grid(images, {{"a"}}, {"b"}); }),
                 "4 images do not make 1 rows of 1"));
}

}  // namespace
}  // namespace ito::apps
