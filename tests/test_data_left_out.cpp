#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "data/celeba_files/celeba.h"
#include "data/dataset.h"
#include "data/list_pictures.h"
#include "data/pictures/folder.h"
#include "dataset_helpers.h"
#include "engine/io/zip.h"

using ito::cat;
using namespace ito::data;
using namespace ito::tests;
namespace fs = std::filesystem;
using namespace std::string_literals;

namespace {

std::string jpeg(uint32_t seed) { return text_of(encode_jpeg(picture(20, 30, seed))); }

/// Files of many kinds, by name.
std::map<std::string, std::string> mixed() {
  return {{"a.jpg", jpeg(1)},
          {"b.JFIF", jpeg(2)},
          {"c.jpe", jpeg(3)},
          {"d", jpeg(4)},
          {"e.data", text_of(encode_png(picture(20, 30, 5)))},
          {"sub/f.webp", text_of(read_bytes(pil("viewed/webp_lossy.webp")))},
          {"sub/g.bmp", "BM....\0\0\0\0...."s},
          {"sub/h.bmp", "BM....\0\0\0\0...."s},
          {"i.gif", "GIF89a......"},
          {"j.tif", "II*\0........"s},
          {"k.avif",
           "\0\0\0\x20"
           "ftypavif...."s},
          {"notes.txt", "some words"},
          {"__init__.py", ""},
          {"index.html", "<!DOCTYPE html><html>"},
          {"list.csv", "BMI,age\n"},
          {".hidden", "GIF89a......"}};
}

const std::vector<std::string> kRead{"a.jpg", "b.JFIF", "c.jpe", "d", "e.data", "sub/f.webp"};

void put_all(const fs::path& folder, const std::map<std::string, std::string>& files) {
  for (const auto& [name, bytes] : files) {
    fs::create_directories((folder / name).parent_path());
    put(folder / name, bytes);
  }
}

void zip_all(const fs::path& path, const std::map<std::string, std::string>& files) {
  ito::io::ZipWriter zip(path);
  for (const auto& [name, bytes] : files)
    zip.add(name, bytes.data(), bytes.size(), ito::io::ZipWriter::Packing::deflated);
  zip.commit();
}

std::string error_of_list(const fs::path& path) {
  return error_of([&] { list_pictures(path, ""); });
}

}  // namespace

TEST_CASE("the first bytes say what a picture is, in folders and archives; others are counted by kind") {
  const TempFolder folder;
  put_all(folder / "set", mixed());
  const ImageList list = list_pictures(folder / "set", "");
  CHECK(list.names == kRead);
  REQUIRE(list.notes.size() == 1);
  CHECK(list.notes[0] ==
        "left out: 2 BMP, 1 AVIF, 1 GIF, 1 TIFF, the first is sub/g.bmp; to use them: convert first, for "
        "example by ImageMagick: "
        "find " +
            (folder / "set").string() +
            " \\( -iname '*.avif' -o -iname '*.bmp' -o -iname '*.gif' -o -iname '*.tif' \\) -exec mogrify "
            "-format png {} +");
  zip_all(folder / "set.dat", mixed());  // an archive by its content, too
  const ImageList zipped = list_pictures(folder / "set.dat", "");
  CHECK(zipped.names == kRead);
  REQUIRE(zipped.notes.size() == 1);
  CHECK(contains(zipped.notes[0], "left out: 2 BMP, 1 AVIF, 1 GIF, 1 TIFF"));
  const Dataset dataset = open_dataset(folder / "set", options_for(folder, 16, 16));
  CHECK(dataset.names() == kRead);
  CHECK(dataset.skipped().empty());
}

TEST_CASE("CelebA's pictures go by content, too") {
  const TempFolder folder;
  put_all(folder / "img_align_celeba",
          {{"000001.jpg", jpeg(1)}, {"000002", jpeg(2)}, {"000003.gif", "GIF89a.."}});
  const ImageList list = list_pictures(folder.path(), "");
  CHECK(list.kind == "celeba");
  CHECK(list.names == std::vector<std::string>{"000001.jpg", "000002"});
  CHECK(contains(joined(list.notes), "left out: 1 GIF"));
  zip_all(folder / "img_align_celeba.zip", {{"img_align_celeba/000001", jpeg(1)}, {"readme", "words"}});
  CHECK(list_pictures(folder / "img_align_celeba.zip", "").names == std::vector<std::string>{"000001"});
}

TEST_CASE("what is found instead of pictures is named, with what to do") {
  const TempFolder folder;
  struct Case {
    const char* name;
    std::string bytes, expected;
  };
  const std::string tar = std::string(257, 'x') + "ustar\00000"s + std::string(300, '\0');
  const std::vector<Case> cases{
      {"a.gif", "GIF89a....", "1 GIF: convert first, for example by ImageMagick: find "},
      {"photo",
       "\0\0\0\x18"
       "ftypheic...."s,
       "1 HEIC: convert first"},
      {"faces.tar", tar, "1 tar archive: unpack first: mkdir -p "},
      {"faces.tar.gz", "\x1f\x8b\x08.........", "1 compressed archive: unpack first: mkdir -p "},
      {"inner.zip", "PK\x03\x04..............", "1 zip archive: unpack first: unzip "},
      {"x.npz", "PK\x03\x04..............",
       "1 NumPy archive: save the images as files first, in a folder of their own: python3 -c"},
      {"x.npy", "\x93NUMPY....",
       "1 NumPy array: save the images as files first, in a folder of their own: python3 -c"},
      {"train.parquet", "PAR1....",
       "1 Parquet table: save the pictures as files first, in a folder of their own: python3 -c"},
      {"data.mdb", std::string(64, '\0'),
       "1 LMDB database: save the pictures as files first, in a folder of their own: python3 -c"},
      {"0.jpg.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:0",
       "1 git-LFS pointer: fetch the files themselves, in the repository's folder: git lfs pull"},
      {"page", "<!DOCTYPE html><html>", "1 HTML page: download again"},
      {"empty", "", "1 empty file: download again"},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(cases[i].name);
    const fs::path set = folder / cat("a b", i);
    put_all(set, {{cases[i].name, cases[i].bytes}});
    const std::string error = error_of_list(set);
    CHECK(contains(error, "no JPEG, PNG, WebP, PGM or PPM pictures in it, but " + cases[i].expected));
    CHECK_FALSE(contains(error, "make_faces"));
    if (contains(error, set.string() + "/")) CHECK(contains(error, "'" + set.string()));  // can be pasted
    zip_all(set.string() + ".zip", {{cases[i].name, cases[i].bytes}});
    const std::string packed = error_of_list(set.string() + ".zip"), expected = cases[i].expected;
    CHECK(contains(packed, "but " + expected.substr(0, expected.find(':')) + ": unpack first: unzip "));
    // The file itself, where a folder is wanted.
    if (contains(cases[i].name, "faces.tar"))
      CHECK(contains(error_of_list(set / cases[i].name), "; unpack first"));
  }
  put_all(folder / "words", {{"notes.txt", "words"}, {"b/more.txt", "words"}});
  CHECK(
      contains(error_of_list(folder / "words"), "but 2 unknown files, the first is b/more.txt. For CelebA"));
}

TEST_CASE("a picture of another format under a picture's name is left out, however many there are") {
  const TempFolder folder;
  put_all(folder / "set", {{"a.jpg", jpeg(1)}, {"b.jpg", "GIF89a...."}, {"c.png", "BM....\0\0\0\0...."s}});
  const auto open = [&] { return open_dataset(folder / "set", options_for(folder, 16, 16)); };
  for (const char* opening : {"decoded", "from the cache"}) {
    CAPTURE(opening);
    const Dataset dataset = open();
    CHECK(dataset.names() == std::vector<std::string>{"a.jpg"});
    CHECK(unusable(dataset.skipped()) == 0);
    CHECK(dataset.skipped()[0].reason == "another format: GIF");
    CHECK(contains(joined(dataset.notes()),
                   "left out: 1 BMP, 1 GIF under another format's name, the first is "));
  }
  fs::remove(folder / "set/a.jpg");
  CHECK(contains(error_of(open), "2 of the first 2 pictures (2 in all) cannot be used"));
  CHECK(contains(error_of(open),
                 "; to use it: convert first, for example by ImageMagick: mogrify -format png " +
                     (folder / "set/b.jpg").string()));
  // Those of another format say nothing about sizes, nor against them.
  make_pngs(folder / "set", 5, 20, 20);
  CHECK(contains(
      error_of([&] { open_dataset(folder / "set", options_for(folder, 32, 32)); }),
      "5 of 7 pictures are too small for size 32 with crop none: the largest that can be used is 20"));
}

TEST_CASE("a pointer of git LFS under a picture's name is recognised as such") {
  const TempFolder folder;
  put_all(folder / "set", {{"a.jpg", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"}});
  CHECK(contains(error_of([&] { open_dataset(folder / "set", options_for(folder, 16, 16)); }),
                 "a.jpg: not a JPEG, PNG, WebP, PGM or PPM picture: git-LFS pointer; fetch the files "
                 "themselves, in the repository's folder: git lfs pull"));
}

TEST_CASE("broken links are counted, and named where there is nothing else") {
  const TempFolder folder;
  put_all(folder / "set", {{"ok.jpg", jpeg(1)}});
  for (const char* name : {"d2.jpg", "d1.jpg", "folder", "loop"})
    fs::create_symlink(name == "loop"s ? "loop" : "/nowhere/at all", folder / "set" / name);
  const ImageList list = list_pictures(folder / "set", "");
  CHECK(list.names == std::vector<std::string>{"ok.jpg"});
  REQUIRE(list.notes.size() == 1);
  CHECK(list.notes[0] == "left out: 4 broken link(s), the first is d1.jpg");
  fs::remove(folder / "set/ok.jpg");
  CHECK(contains(error_of_list(folder / "set"),
                 "pictures in it, but 4 broken link(s), the first is d1.jpg: put back"));
  fs::create_symlink("/nowhere", folder / "dead");
  CHECK(contains(error_of_list(folder / "dead"), "dead: a broken link to /nowhere: put back"));
  fs::create_directories(folder / "img_align_celeba");
  fs::create_symlink("/nowhere/1.jpg", folder / "img_align_celeba/000001.jpg");
  put(folder / "img_align_celeba/000002.jpg", jpeg(1));
  CHECK(contains(joined(list_pictures(folder.path(), "").notes), "1 broken link(s)"));
}

TEST_CASE("a folder that cannot be entered is named, and those next to it are read") {
  const TempFolder folder;
  put_all(folder / "set", {{"ok.jpg", jpeg(1)}});
  // Deeper than a path can say.
  const std::string name(200, 'n');
  int at = open((folder / "set").c_str(), O_RDONLY | O_DIRECTORY);
  REQUIRE(at >= 0);
  for (int depth = 0; depth < 25; ++depth) {
    REQUIRE(mkdirat(at, name.c_str(), 0755) == 0);
    const int next = openat(at, name.c_str(), O_RDONLY | O_DIRECTORY);
    close(at);
    at = next;
  }
  close(at);
  const ImageList list = list_pictures(folder / "set", "");
  CHECK(list.names == std::vector<std::string>{"ok.jpg"});
  REQUIRE(list.notes.size() == 1);
  CHECK(contains(list.notes[0],
                 "left out: 1 folder(s) or file(s) that cannot be opened, the first is " + name));
  CHECK(contains(list.notes[0], "File name too long"));
}

TEST_CASE("in archives made on Windows a backslash parts a path") {
  const TempFolder folder;
  std::string bytes = [&] {
    zip_all(folder / "x.zip",
            {{"c/img_align_celeba/000001.jpg", jpeg(1)}, {"c/img_align_celeba/000002.jpg", jpeg(2)}});
    return text_of(read_bytes(folder / "x.zip"));
  }();
  for (size_t at = bytes.find("celeba/0"); at != std::string::npos; at = bytes.find("celeba/0", at + 1))
    bytes[at + 6] = '\\';
  put(folder / "celeba.zip", bytes);
  const ImageList list = list_pictures(folder / "celeba.zip", "all");
  CHECK(list.kind == "celeba");
  CHECK(list.names == std::vector<std::string>{"000001.jpg", "000002.jpg"});
  CHECK(list.source->read("000002.jpg") == encode_jpeg(picture(20, 30, 2)));
}

TEST_CASE("one picture in twenty may be too small") {
  const TempFolder folder;
  make_pngs(folder / "set", 40, 40, 40);
  write_png(folder / "set/pixel.png", picture(1, 1, 1));
  const Dataset dataset = open_dataset(folder / "set", options_for(folder, 32, 32));
  CHECK(dataset.count() == 40);
  REQUIRE(dataset.skipped().size() == 1);
  CHECK(dataset.skipped()[0].name == "pixel.png");
  CHECK(dataset.skipped()[0].reason == "1 pixels wide and 1 high is too small");
  for (int i = 0; i < 3; ++i) write_png(folder / "set" / cat("small", i, ".png"), picture(27 + i, 30, 1));
  DatasetOptions options = options_for(folder, 32, 32);
  const auto error = [&] { return error_of([&] { open_dataset(folder / "set", options); }); };
  // Two of the 44 may go: the pixel and the smallest of the three.
  CHECK(contains(
      error(),
      "; 4 of 44 pictures are too small for size 32 with crop none: the largest that can be used is 28"));
  options.size_step = 8;
  CHECK(contains(error(), "is 24"));
  options.height = options.width = 24;
  CHECK(open_dataset(folder / "set", options).count() == 43);
  options.height = options.width = 64, options.size_step = 64;
  CHECK(contains(error(), "no smaller one fits enough of them, since it must be a multiple of 64"));
}
