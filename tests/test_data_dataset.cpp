#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "data/dataset.h"
#include "data/pictures/crop.h"
#include "data/pictures/resize.h"
#include "dataset_helpers.h"

using namespace ito::data;
using namespace ito::tests;
namespace fs = std::filesystem;

namespace {

bool holds(const Dataset& dataset, size_t index, const Image& image) {
  const size_t bytes = dataset.count() ? image.rgb.size() : 0;
  return bytes == size_t(dataset.height() * dataset.width() * 3) &&
         std::equal(image.rgb.begin(), image.rgb.end(), dataset.pixels() + index * bytes);
}

}  // namespace

TEST_CASE("CelebA: split, crop, attributes, and a second opening from the cache") {
  const TempFolder folder;
  make_celeba(folder / "celeba", 12);
  DatasetOptions options = options_for(folder, 32, 32);
  std::vector<std::pair<size_t, size_t>> progress;
  options.progress = [&](size_t done, size_t total) { progress.push_back({done, total}); };
  const Dataset first = open_dataset(folder / "celeba", options);
  CHECK(first.kind() == "celeba");
  CHECK(first.split() == "train");
  CHECK(first.crop() == "ddim128");
  CHECK(first.count() == 4);
  CHECK(first.names() == std::vector<std::string>{"000001.jpg", "000004.jpg", "000007.jpg", "000010.jpg"});
  CHECK(first.attribute_names() == std::vector<std::string>{"Smiling", "Wearing_Hat"});
  CHECK(first.attributes() == std::vector<int8_t>{1, -1, -1, 1, 1, -1, -1, 1});
  CHECK(first.attribute("Wearing_Hat") == std::vector<float>{-1, 1, -1, 1});
  CHECK(contains(error_of([&] { first.attribute("Smilling"); }), "did you mean \"Smiling\""));
  CHECK(first.skipped().empty());
  CHECK(first.notes().empty());
  CHECK(progress.front() == std::pair<size_t, size_t>{0, 4});
  CHECK(progress.back() == std::pair<size_t, size_t>{4, 4});
  for (size_t i = 0; i < first.count(); ++i) {
    const Image image = decode_image(first.root() / first.names()[i]);
    CHECK(holds(first, i, resize(image, {25, 57, 128, 128}, {32, 32})));
  }
  progress.clear();
  const Dataset second = open_dataset(folder / "celeba/img_align_celeba", options);
  CHECK(progress.empty());
  CHECK(second.fingerprint() == first.fingerprint());
  CHECK(second.content_hash() == first.content_hash());
  CHECK(second.attributes() == first.attributes());
  CHECK(files_in(folder / "cache").size() == 1);
  options.split = "valid";
  CHECK(open_dataset(folder / "celeba", options).names()[0] == "000002.jpg");
  options.split = "all";
  options.crop = "none";
  const Dataset all = open_dataset(folder / "celeba", options);
  CHECK(all.count() == 12);
  CHECK(all.fingerprint() != first.fingerprint());
  CHECK(files_in(folder / "cache").size() == 3);
}

TEST_CASE("attributes that a list leaves open are counted, in whichever column they are") {
  const TempFolder folder;
  make_celeba(folder / "celeba", 12);  // 1, 4, 7 and 10 are in the train split
  const auto notes = [&](const std::string& lines) {
    put(folder / "celeba/list_attr_celeba.txt", "12\nSmiling Wearing_Hat Young\n" + lines);
    const Dataset dataset = open_dataset(folder / "celeba", options_for(folder, 16, 16));
    CHECK(open_dataset(folder / "celeba", options_for(folder, 16, 16)).notes() == dataset.notes());
    return dataset.notes();
  };
  using Notes = std::vector<std::string>;
  const std::string known = "000001.jpg 1 -1 1\n000004.jpg -1 -1 1\n";
  CHECK(notes(known + "000007.jpg 1 1 1\n000010.jpg -1 1 -1\n").empty());
  CHECK(notes(known + "000007.jpg 1 1 0\n000010.jpg -1 0 0\n") ==
        Notes{"3 attribute(s) of 2 picture(s) are 0 in list_attr_celeba.txt, unknown"});
  CHECK(notes(known + "000007.jpg 0 0 0\n") ==  // and no line for the last one
        Notes{"2 picture(s) are not in list_attr_celeba.txt: their attributes are 0, unknown"});
  CHECK(notes(known + "000007.jpg 0 1 1\n") ==
        Notes{"1 picture(s) are not in list_attr_celeba.txt: their attributes are 0, unknown",
              "1 attribute(s) of 1 picture(s) are 0 in list_attr_celeba.txt, unknown"});
  CHECK(contains(error_of([&] { notes(known + "000007.jpg 1 1 2\n"); }),
                 "line 5: '2' for Young, where -1, 0 or 1 is expected"));
}

TEST_CASE("a folder of mixed pictures, not square") {
  const TempFolder folder;
  make_pngs(folder / "mixed/a", 3, 50, 40);
  write_jpeg(folder / "mixed/b.jpg", picture(33, 90, 8));
  put(folder / "mixed/c.pgm", "P5 32 24 255\n" + std::string(32 * 24, 'g'));
  const Dataset dataset = open_dataset(folder / "mixed", options_for(folder, 24, 32));
  CHECK(dataset.kind() == "folder");
  CHECK(dataset.split() == "all");
  CHECK(dataset.crop() == "none");
  CHECK(dataset.names() == std::vector<std::string>{"a/00.png", "a/01.png", "a/02.png", "b.jpg", "c.pgm"});
  CHECK(dataset.attributes().empty());
  CHECK(contains(error_of([&] { dataset.attribute("Smiling"); }), "there is no list of attributes"));
  CHECK(holds(dataset, 0, resize(picture(50, 40, 0), {0, 1, 50, 38}, {32, 24})));
  CHECK(int(dataset.pixels()[4 * 24 * 32 * 3 + 77]) == 'g');
}

TEST_CASE("the cache's bytes do not depend on threads, place or time") {
  const TempFolder folder;
  make_pngs(folder / "one", 40, 20, 20);
  fs::copy(folder / "one", folder / "two");
  DatasetOptions options = options_for(folder, 16, 16);
  options.threads = 1;
  const Dataset one = open_dataset(folder / "one", options);
  options.threads = 7;
  const Dataset two = open_dataset(folder / "two", options);
  CHECK(one.content_hash() == two.content_hash());
  CHECK(one.fingerprint() != two.fingerprint());
  const std::vector<fs::path> files = files_in(folder / "cache");
  REQUIRE(files.size() == 2);
  CHECK(read_bytes(files[0]) == read_bytes(files[1]));
}

TEST_CASE("a changed folder is decoded again, and the old cache file goes") {
  const TempFolder folder;
  make_pngs(folder / "set", 3, 20, 20);
  const DatasetOptions options = options_for(folder, 16, 16);
  const Dataset before = open_dataset(folder / "set", options);
  write_png(folder / "set/00.png", picture(20, 20, 99));
  fs::last_write_time(folder / "set/00.png", fs::file_time_type::clock::now() + std::chrono::seconds(5));
  const Dataset after = open_dataset(folder / "set", options);
  CHECK(after.fingerprint() != before.fingerprint());
  CHECK(after.content_hash() != before.content_hash());
  CHECK(holds(before, 1, resize(picture(20, 20, 1), {0, 0, 20, 20}, {16, 16})));  // still mapped
  CHECK(files_in(folder / "cache").size() == 1);
}

TEST_CASE("a damaged cache file is noticed and made again") {
  const TempFolder folder;
  make_pngs(folder / "set", 3, 20, 20);
  const DatasetOptions options = options_for(folder, 16, 16);
  const std::string good = open_dataset(folder / "set", options).content_hash();
  const fs::path file = files_in(folder / "cache").at(0);
  const std::string whole = text_of(read_bytes(file));
  const size_t pixels = 3 * 16 * 16 * 3;
  for (const size_t at :
       {size_t(0), pixels - 1, pixels + 9, whole.size() - 60, whole.size() - 33, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] = char(damaged[at] ^ 4);
    fs::remove(file);
    put(file, damaged);
    CAPTURE(at);
    const Dataset again = open_dataset(folder / "set", options);
    CHECK(again.content_hash() == good);
    REQUIRE(again.notes().size() == 1);
    CHECK(contains(again.notes()[0], "a cache of decoded pictures that cannot be used: "));
    CHECK(open_dataset(folder / "set", options).notes().empty());
  }
  for (const size_t size : {size_t(0), size_t(63), size_t(64), pixels, whole.size() - 1}) {
    fs::remove(file);
    put(file, whole.substr(0, size));
    CHECK(open_dataset(folder / "set", options).content_hash() == good);
  }
}

TEST_CASE("one unreadable file in twenty is skipped and named, more is an error") {
  const TempFolder folder;
  make_pngs(folder / "set", 38, 20, 20);
  put(folder / "set/05.jpg", "<html><body>Quota exceeded</body></html>");
  const std::string jpeg = text_of(encode_jpeg(picture(20, 20, 1)));
  put(folder / "set/99.jpg", jpeg.substr(0, jpeg.size() - 2));  // without its end
  const DatasetOptions options = options_for(folder, 16, 16);
  for (int time = 0; time < 2; ++time) {  // decoded, then from the cache
    const Dataset dataset = open_dataset(folder / "set", options);
    CHECK(dataset.count() == 38);
    REQUIRE(dataset.skipped().size() == 2);
    CHECK(dataset.skipped()[0].name == "05.jpg");
    CHECK(contains(dataset.skipped()[0].reason, "HTML"));
    CHECK_FALSE(contains(dataset.skipped()[0].reason, folder.path().string()));
    CHECK(dataset.skipped()[1].name == "99.jpg");
    CHECK(contains(dataset.skipped()[1].reason, "unreadable JPEG"));
    CHECK(holds(dataset, 5, resize(picture(20, 20, 5), {0, 0, 20, 20}, {16, 16})));
    CHECK(holds(dataset, 37, resize(picture(20, 20, 37), {0, 0, 20, 20}, {16, 16})));
  }
  put(folder / "set/06.jpg", "");
  const std::string error = error_of([&] { open_dataset(folder / "set", options); });
  CHECK(contains(error, "3 of the first 41 pictures"));
  CHECK(contains(error, "05.jpg: not a JPEG"));
  CHECK(contains(error, "06.jpg"));
  CHECK(files_in(folder / "cache").size() == 1);  // the earlier one, and nothing half made
  fs::create_directories(folder / "bad");
  put(folder / "bad/a.jpg", "no picture");
  CHECK(contains(error_of([&] { open_dataset(folder / "bad", options); }), "1 of the first 1 pictures"));
}

TEST_CASE("pictures that are too small: which, and what fits") {
  const TempFolder folder;
  make_pngs(folder / "set", 5, 40, 50);
  write_png(folder / "set/small.png", picture(30, 24, 1));
  write_png(folder / "set/smaller.png", picture(90, 22, 1));
  std::string error = error_of([&] { open_dataset(folder / "set", options_for(folder, 32, 32)); });
  CHECK(contains(error, "small.png: 30 pixels wide and 24 high is too small"));
  CHECK(contains(error, "2 of 7 pictures are too small for size 32 with crop none"));
  CHECK(contains(error, "the largest that can be used is 22"));
  CHECK(advice_of([&] { open_dataset(folder / "set", options_for(folder, 32, 32)); }) == "{size} 22");
  CHECK(open_dataset(folder / "set", options_for(folder, 22, 22)).count() == 7);
  error = error_of([&] { open_dataset(folder / "set", options_for(folder, 40, 20)); });
  CHECK(contains(error, "the largest that can be used is 22x11"));
  CHECK(open_dataset(folder / "set", options_for(folder, 22, 11)).count() == 7);
  make_celeba(folder / "celeba", 3);
  error = error_of([&] { open_dataset(folder / "celeba", options_for(folder, 256, 256)); });
  CHECK(contains(error, "size 256 with crop ddim128"));
  CHECK(contains(error, "the largest that can be used is 128"));
}

TEST_CASE("options that cannot be") {
  const TempFolder folder;
  make_celeba(folder / "celeba", 3);
  make_pngs(folder / "set", 2, 20, 20);
  const auto error = [&](const char* name, const std::string& split, const std::string& crop, int height,
                         int width) {
    DatasetOptions options = options_for(folder, height, width);
    options.split = split;
    options.crop = crop;
    return error_of([&] { open_dataset(folder / name, options); });
  };
  CHECK(contains(error("set", "train", "", 16, 16), "has no split 'train'"));
  CHECK(contains(error("set", "tset", "", 16, 16), "did you mean \"test\""));
  CHECK(contains(error("celeba", "vaild", "", 16, 16), "did you mean \"valid\""));
  CHECK(contains(error("celeba", "", "dim128", 16, 16), "did you mean \"ddim128\""));
  CHECK(contains(error("celeba", "", "", 64, 32), "64x32 (HxW) is not"));
  CHECK(contains(error("set", "", "ddim128", 16, 16), "for aligned CelebA pictures"));
  DatasetOptions cut = options_for(folder, 16, 16);
  cut.crop = "ddim128";
  CHECK(advice_of([&] { open_dataset(folder / "set", cut); }) == "{crop} none");
  CHECK(contains(error("set", "", "", 0, 16), "image size 0x16"));
  CHECK(contains(error("missing", "", "", 16, 16), "make_faces"));
  put(folder / "celeba/list_attr_celeba.txt", "3\nSmiling\n000001.jpg 2\n");
  CHECK(contains(error("celeba", "", "", 16, 16), "line 3: '2' for Smiling"));
  DatasetOptions options = options_for(folder, 16, 16);
  options.cache_dir = "/proc/no/cache";
  CHECK(contains(error_of([&] { open_dataset(folder / "set", options); }), "cache folder cannot be made"));
}

TEST_CASE("the source is only read") {
  const TempFolder folder;
  make_pngs(folder / "set", 2, 20, 20);
  const auto changed = fs::last_write_time(folder / "set");
  fs::permissions(folder / "set", fs::perms::owner_read | fs::perms::owner_exec);
  CHECK(open_dataset(folder / "set", options_for(folder, 16, 16)).count() == 2);
  CHECK(files_in(folder / "set").size() == 2);
  CHECK(fs::last_write_time(folder / "set") == changed);
  fs::permissions(folder / "set", fs::perms::owner_all);
}

TEST_CASE("processes that open the same set at once decode it once") {
  const TempFolder folder;
  make_pngs(folder / "set", 60, 64, 64);
  const DatasetOptions plain = options_for(folder, 32, 32);
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {  // exits with 0, 1 or 2: read the cache, made it, failed
      int made = 0;
      DatasetOptions options = plain;
      options.progress = [&](size_t, size_t) { made = 1; };
      const bool right =
          error_of([&] { made += open_dataset(folder / "set", options).count() == 60 ? 0 : 2; }).empty();
      _exit(right ? made : 2);
    }
    children.push_back(child);
  }
  int makers = 0;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) < 2);
    makers += WEXITSTATUS(status) == 1;
  }
  CHECK(makers == 1);
  CHECK(files_in(folder / "cache").size() == 1);  // no lock, no temporary
}

TEST_CASE("real photos") {
  if (!fs::exists(real_photos() / "clothing128")) {
    MESSAGE("skipped: no real photos");
    return;
  }
  const TempFolder folder;
  const Dataset clothes = open_dataset(real_photos() / "clothing128/validation", options_for(folder, 64, 64));
  CHECK(clothes.count() > 300);
  CHECK(clothes.skipped().empty());
  const Dataset faces = open_dataset(real_photos() / "orl_faces", options_for(folder, 64, 64));
  CHECK(faces.count() == 400);  // comments in the headers of s40 included
  CHECK(faces.skipped().empty());
  CHECK(faces.pixels()[0] == faces.pixels()[2]);
}
