#include <doctest/doctest.h>

#include <filesystem>

#include "data/celeba.h"
#include "data/folder.h"
#include "data_helpers.h"

using namespace ito::data;
using namespace data_test;
namespace fs = std::filesystem;

namespace {

/// Files of these names under `root`, of which nothing is read.
void touch(const fs::path& root, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    fs::create_directories((root / name).parent_path());
    put(root / name, "x");
  }
}

Attributes parse(const std::string& text, const std::vector<std::string>& pictures) {
  const TempFolder folder;
  put(folder / "list.txt", text);
  return read_attributes(folder / "list.txt", pictures);
}

std::string error_in_attributes(const std::string& text) {
  return error_of([&] { parse(text, {"1.jpg", "2.jpg"}); });
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text + " ";
  return all;
}

}  // namespace

TEST_CASE("a folder is read recursively, in byte order, pictures only") {
  const TempFolder folder;
  touch(folder.path(), {"b.JPG", "a/z.png", "a/b/c.pgm", "a.jpeg", "B.ppm", "notes.txt", ".hidden.jpg",
                        "._a.jpg", ".git/x.png", "LICENSE", "a.jpg.part", "e.gif"});
  fs::create_directories(folder / "empty.jpg");
  fs::create_symlink("missing.jpg", folder / "broken.jpg");
  fs::create_symlink("b.JPG", folder / "link.jpg");
  const ImageList list = list_folder(folder.path());
  CHECK(joined(list.names) == "B.ppm a.jpeg a/b/c.pgm a/z.png b.JPG link.jpg ");
  CHECK(list.kind == "folder");
  CHECK(list.split == "all");
  fs::create_directory_symlink("..", folder / "a/up");  // a loop
  CHECK(list_folder(folder.path()).names == list.names);
  const TempFolder other;
  fs::create_directory_symlink(folder.path(), other / "elsewhere");
  CHECK(list_folder(other.path()).names.size() == list.names.size());
}

TEST_CASE("a folder without pictures says where to get some") {
  const TempFolder folder;
  for (const fs::path& path : {folder / "missing", folder.path()}) {
    const std::string error = error_of([&] { list_folder(path); });
    CHECK(contains(error, path.string() + ":"));
    CHECK(contains(error, "mmlab.ie.cuhk.edu.hk/projects/CelebA.html"));
    CHECK(contains(error, "img_align_celeba.zip"));
    CHECK(contains(error, "./make_faces " + path.string() + " --count 20000"));
    CHECK_FALSE(contains(error, "\n"));
  }
  CHECK(contains(error_of([&] { list_folder(folder / "missing"); }), "no such folder"));
  touch(folder.path(), {"a.webp", "b/c.webp", "d.txt"});
  CHECK(contains(error_of([&] { list_folder(folder.path()); }), "2 file(s) ending in .webp"));
  touch(folder.path(), {"celeba.zip"});
  CHECK(contains(error_of([&] { list_folder(folder / "celeba.zip"); }), "unpack it"));
}

TEST_CASE("CelebA is found flat, in its folders and by its picture folder") {
  const TempFolder folder;
  CHECK(find_celeba(folder.path()).empty());
  touch(folder / "flat", {"img_align_celeba/000001.jpg", "list_eval_partition.txt"});
  touch(folder / "deep",
        {"Img/img_align_celeba/000001.jpg", "Anno/list_attr_celeba.txt", "Eval/list_eval_partition.txt"});
  CHECK(find_celeba(folder / "flat") == folder / "flat");
  CHECK(find_celeba(folder / "flat/img_align_celeba") == folder / "flat");
  CHECK(find_celeba(folder / "flat/img_align_celeba/") == folder / "flat");
  CHECK(find_celeba(folder / "deep/Img/img_align_celeba") == folder / "deep");
  put(folder / "deep/Eval/list_eval_partition.txt", "000001.jpg 1\r\n");
  put(folder / "deep/Anno/list_attr_celeba.txt", "1\nMale\n000001.jpg 1\n");
  const ImageList list = list_celeba(folder / "deep", "valid");
  CHECK(joined(list.names) == "000001.jpg ");
  CHECK(list.root == folder / "deep/Img/img_align_celeba");
  CHECK(list.attribute_list == folder / "deep/Anno/list_attr_celeba.txt");
  CHECK(list.lists.size() == 2);
  CHECK(list.notes.empty());
}

TEST_CASE("splits by the list") {
  const TempFolder folder;
  touch(folder.path(), {"img_align_celeba/1.jpg", "img_align_celeba/2.jpg", "img_align_celeba/3.jpg",
                        "img_align_celeba/4.jpg"});
  const auto with = [&](const std::string& text) { put(folder / "list_eval_partition.txt", text); };
  with("4.jpg 0\n1.jpg  0 \r\n\n2.jpg\t2\n9.jpg 0\n");  // 9.jpg is not there: a part of CelebA is fine
  const ImageList train = list_celeba(folder.path(), "train");
  CHECK(joined(train.names) == "1.jpg 4.jpg ");
  CHECK(contains(joined(train.notes), "1 picture(s) without a line in list_eval_partition.txt"));
  CHECK(joined(list_celeba(folder.path(), "test").names) == "2.jpg ");
  CHECK(joined(list_celeba(folder.path(), "all").names) == "1.jpg 2.jpg 3.jpg 4.jpg ");
  CHECK(contains(error_of([&] { list_celeba(folder.path(), "valid"); }),
                 "none of its 4 pictures is in split 'valid'"));
  CHECK(contains(error_of([&] { list_celeba(folder.path(), "tain"); }), "did you mean \"train\""));
  for (const char* bad : {"1.jpg 0\n2.jpg 3\n", "1.jpg 0\n2.jpg\n", "1.jpg 0\n2.jpg -1\n",
                          "1.jpg 0\n2.jpg 0 0\n", "1.jpg 0\n2.jpg 0.5"}) {
    with(bad);
    CHECK(contains(error_of([&] { list_celeba(folder.path(), "train"); }),
                   "list_eval_partition.txt: line 2: expected"));
  }
}

TEST_CASE("splits by number, and this is said") {
  const TempFolder folder;
  touch(folder / "img_align_celeba",
        {"162770.jpg", "162771.jpg", "182637.jpg", "182638.jpg", "000001.jpg", "me.jpg"});
  const ImageList train = list_celeba(folder.path(), "train");
  CHECK(joined(train.names) == "000001.jpg 162770.jpg ");
  CHECK(contains(joined(train.notes), "splits are by CelebA's numbers"));
  CHECK(contains(joined(train.notes), "1 picture(s) without a number"));
  CHECK(contains(joined(train.notes), "no list_attr_celeba.txt"));
  CHECK(joined(list_celeba(folder.path(), "valid").names) == "162771.jpg 182637.jpg ");
  CHECK(joined(list_celeba(folder.path(), "test").names) == "182638.jpg ");
}

TEST_CASE("attributes: blanks of any kind, any order, a count that is wrong or missing") {
  const std::vector<std::string> pictures = {"1.jpg", "2.jpg", "7.jpg"};
  const std::vector<int8_t> expected = {1, -1, -1, 1, 0, 0};  // 7.jpg has no line
  for (const std::string& text : {std::string("202599\nA B \n1.jpg  1 -1\n2.jpg -1  1\n"),
                                  std::string("A\tB\r\n2.jpg -1 1\r\n\r\n3.jpg 1 1\r\n1.jpg 1 -1"),
                                  std::string("0\n  A   B\n1.jpg 1 -1 \n2.jpg -1 1 \n\n")}) {
    const Attributes attributes = parse(text, pictures);
    CHECK(joined(attributes.names) == "A B ");
    CHECK(attributes.values == expected);
  }
}

TEST_CASE("bad attribute lines are named") {
  const std::string start = "2\nSmiling Male\n1.jpg 1 1\n";
  CHECK(contains(error_in_attributes(start + "2.jpg 1\n"), "list.txt: line 4: 1 values for 2 attributes"));
  CHECK(contains(error_in_attributes(start + "2.jpg 1 1 1\n"), "line 4: 3 values for 2"));
  CHECK(contains(error_in_attributes(start + "2.jpg 1 0\n"), "line 4: '0' for Male, where -1 or 1"));
  CHECK(contains(error_in_attributes(start + "\n\n9.jpg 1 yes\n"), "line 6: 'yes' for Male"));
  CHECK(contains(error_in_attributes(start + "1.jpg 1 1\n"), "line 4: a second line for 1.jpg"));
  CHECK(contains(error_in_attributes(""), "no attribute names"));
  CHECK(contains(error_in_attributes("7\n"), "no attribute names"));
}
