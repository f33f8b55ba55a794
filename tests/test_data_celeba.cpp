#include <doctest/doctest.h>

#include <filesystem>

#include "data/celeba_files/celeba.h"
#include "data_helpers.h"

using namespace ito::data;
using namespace ito::tests;
namespace fs = std::filesystem;

namespace {

/// Files of these names under `root`, of which nothing is read.
/// An archive of files that hold their own names.
void put_zip(const fs::path& path, const std::vector<std::string>& names) {
  fs::create_directories(path.parent_path());
  ito::io::ZipWriter zip(path);
  for (const std::string& name : names) zip.add(name, name.data(), name.size());
  zip.commit();
}

/// Where a list was found, below `root`.
std::string found(const ListFile& list, const fs::path& root) {
  return list.empty() ? "" : fs::path(list.place()).lexically_relative(root).string();
}

ImageList list(const fs::path& path, const std::string& split) {
  return list_celeba(find_celeba(path), split);
}

}  // namespace

TEST_CASE("CelebA is found in every layout, by any of its folders") {
  struct Layout {
    const char* pictures;
    const char* attributes;
    std::vector<const char*> named;  // what may be given
  };
  const std::vector<Layout> layouts = {
      {"img_align_celeba", "list_attr_celeba.txt", {"", "img_align_celeba", "img_align_celeba/"}},
      {"Img/img_align_celeba", "Anno/list_attr_celeba.txt", {"", "Img", "Img/img_align_celeba"}},
      {"Img/img_align_celeba_png", "Anno/list_attr_celeba.txt", {"", "Img", "Img/img_align_celeba_png/"}},
      {"celeba/img_align_celeba", "celeba/list_attr_celeba.txt", {"", "celeba", "celeba/img_align_celeba"}},
      {"CelebA/Img/img_align_celeba", "CelebA/Anno/list_attr_celeba.txt", {"", "CelebA", "CelebA/Img"}},
      {"img_align_celeba/img_align_celeba",
       "list_attr_celeba.csv",
       {"", "img_align_celeba", "img_align_celeba/img_align_celeba"}},
      {"img_align_celeba/img_align_celeba",
       "img_align_celeba/list_attr_celeba.csv",
       {"", "img_align_celeba"}},
      {"celeba/img_align_celeba", "list_attr_celeba.txt", {"", "celeba"}},
      {".", "list_attr_celeba.txt", {"", "."}}};
  for (const Layout& layout : layouts) {
    const TempFolder folder;
    const fs::path root = folder / "a \xc3\xb6 b";  // blanks and umlauts do no harm
    touch(root, {std::string(layout.pictures) + "/000001.jpg", layout.attributes});
    for (const char* named : layout.named) {
      CAPTURE(layout.pictures);
      CAPTURE(named);
      const Celeba celeba = find_celeba(root / named);
      REQUIRE_FALSE(celeba.empty());
      CHECK(fs::equivalent(celeba.root, root / layout.pictures));
      CHECK(joined(celeba.names) == "000001.jpg ");
      CHECK(celeba.source->read("000001.jpg").size() == 1);
      CHECK(found(celeba.attributes, root) == layout.attributes);
      CHECK(celeba.partition.empty());
    }
  }
}

TEST_CASE("what is no CelebA is not taken for it") {
  const TempFolder folder;
  CHECK(find_celeba(folder.path()).empty());
  CHECK(find_celeba(folder / "missing").empty());
  touch(folder.path(), {"faces/1.jpg", "other/img_align/2.jpg"});
  CHECK(find_celeba(folder.path()).empty());
  put_zip(folder / "x.zip", {"faces/1.jpg"});
  CHECK(find_celeba(folder / "x.zip").empty());
  fs::create_directories(folder / "img_align_celeba");
  CHECK(contains(error_of([&] { find_celeba(folder.path()); }),
                 "img_align_celeba: no JPEG, PNG, WebP, PGM or PPM pictures in it. For CelebA"));
  put_zip(folder / "img_align_celeba.zip", {"a.txt"});
  CHECK(contains(error_of([&] { find_celeba(folder.path()); }),
                 "img_align_celeba.zip: no JPEG, PNG, WebP, PGM or PPM pictures in it"));
}

TEST_CASE("all lists are found, and the folder names the set") {
  const TempFolder folder;
  touch(folder / "faces", {"Img/img_align_celeba/000001.jpg", "Anno/list_attr_celeba.txt",
                           "Eval/list_eval_partition.txt", "Anno/identity_CelebA.txt",
                           "Anno/list_landmarks_align_celeba.txt", "Anno/list_landmarks_celeba.txt"});
  const Celeba celeba = find_celeba(folder / "faces/Img/img_align_celeba");
  CHECK(celeba.title == "faces");
  CHECK(found(celeba.partition, folder.path()) == "faces/Eval/list_eval_partition.txt");
  CHECK(found(celeba.attributes, folder.path()) == "faces/Anno/list_attr_celeba.txt");
  CHECK(found(celeba.identities, folder.path()) == "faces/Anno/identity_CelebA.txt");
  CHECK(found(celeba.landmarks, folder.path()) == "faces/Anno/list_landmarks_align_celeba.txt");
  put(folder / "faces/Eval/list_eval_partition.txt", "000001.jpg 1\r\n");
  const ImageList valid = list_celeba(celeba, "valid");
  CHECK(valid.lists.size() == 4);
  CHECK(valid.notes.empty());
  CHECK(valid.kind == "celeba");
  CHECK(valid.identity_list.name == "identity_CelebA.txt");
  CHECK(valid.landmark_list.name == "list_landmarks_align_celeba.txt");
}

TEST_CASE("the archive is read in place: next to its lists, named itself, or with its lists in it") {
  const TempFolder folder;
  const fs::path home = folder / "celeba";
  put_zip(home / "img_align_celeba.zip",
          {"img_align_celeba/", "img_align_celeba/000002.jpg", "img_align_celeba/000001.jpg",
           "__MACOSX/img_align_celeba/._000001.jpg", "img_align_celeba/deeper/3.jpg"});
  put(home / "list_eval_partition.txt", "000001.jpg 0\n000002.jpg 1\n");
  for (const fs::path& named : {home, folder.path(), home / "img_align_celeba.zip"}) {
    const Celeba celeba = find_celeba(named);
    CHECK(fs::equivalent(celeba.root, home / "img_align_celeba.zip"));
    CHECK(joined(celeba.names) == "000001.jpg 000002.jpg ");
    CHECK(celeba.title == "celeba");
    CHECK(text_of(celeba.source->read("000002.jpg")) == "img_align_celeba/000002.jpg");
    CHECK(joined(list_celeba(celeba, "valid").names) == "000002.jpg ");
  }
  touch(home, {"img_align_celeba/000009.jpg"});  // unpacked ones go first
  CHECK(joined(find_celeba(home).names) == "000009.jpg ");
  CHECK(find_celeba(home / "img_align_celeba.zip").names.size() == 2);

  // Kaggle's archive as it is downloaded.
  put_zip(folder / "archive.zip", {"img_align_celeba/img_align_celeba/000001.jpg", "list_attr_celeba.csv",
                                   "x/list_eval_partition.csv"});
  const Celeba kaggle = find_celeba(folder / "archive.zip");
  CHECK(kaggle.title == "archive");
  CHECK(joined(kaggle.names) == "000001.jpg ");
  CHECK(found(kaggle.attributes, folder.path()) == "archive.zip/list_attr_celeba.csv");
  CHECK(found(kaggle.partition, folder.path()) == "archive.zip/x/list_eval_partition.csv");
  put_zip(folder / "flat/img_align_celeba.zip", {"000001.jpg"});
  CHECK(joined(find_celeba(folder / "flat").names) == "000001.jpg ");
  put(folder / "quota/img_align_celeba.zip", "");
  fs::create_directories(folder / "quota");
  put(folder / "quota/img_align_celeba.zip", "<!DOCTYPE html><title>Google Drive - Quota exceeded</title>");
  CHECK(contains(error_of([&] { find_celeba(folder / "quota"); }),
                 "img_align_celeba.zip: an HTML page instead"));
}

TEST_CASE("splits by the list") {
  const TempFolder folder;
  touch(folder.path(), {"img_align_celeba/1.jpg", "img_align_celeba/2.png", "img_align_celeba/3.jpg",
                        "img_align_celeba/4.jpg"});
  const auto with = [&](const std::string& text) { put(folder / "list_eval_partition.txt", text); };
  with("4.jpg 0\n1.jpg  0 \r\n\n2.jpg\t2\n9.jpg 0\n");  // 9.jpg is not there: a part of CelebA is fine
  const ImageList train = list(folder.path(), "train");
  CHECK(joined(train.names) == "1.jpg 4.jpg ");
  CHECK(contains(joined(train.notes), "1 picture(s) without a line in list_eval_partition.txt are left out"));
  CHECK(
      contains(joined(train.notes), "1 line(s) of list_eval_partition.txt name pictures that are not there"));
  CHECK(joined(list(folder.path(), "test").names) == "2.png ");  // which the list calls a JPEG
  CHECK(joined(list(folder.path(), "all").names) == "1.jpg 2.png 3.jpg 4.jpg ");
  CHECK(contains(error_of([&] { list(folder.path(), "valid"); }),
                 "none of its 4 pictures is in split 'valid'"));
  CHECK(contains(error_of([&] { list(folder.path(), "tain"); }), "did you mean \"train\""));
  for (const char* bad : {"2.jpg 3", "2.jpg -1", "2.jpg 0.5", "2.jpg x", "2.jpg 99999999999"}) {
    with(std::string("1.jpg 0\n") + bad);
    CHECK(contains(error_of([&] { list(folder.path(), "train"); }), "list_eval_partition.txt: line 2: '"));
    CHECK(contains(error_of([&] { list(folder.path(), "train"); }),
                   "' for partition, where 0 (train), 1 (valid) or 2 (test) is expected"));
  }
  with("1.jpg 0\n2.jpg\n");
  CHECK(contains(error_of([&] { list(folder.path(), "train"); }), "line 2: 0 values for 1 splits"));
  with("1.jpg 0\n\n1.png 1\n");
  CHECK(contains(error_of([&] { list(folder.path(), "train"); }), "line 3: a second line for 1.png"));
}

TEST_CASE("splits by number, with a note") {
  const TempFolder folder;
  touch(folder / "img_align_celeba",
        {"162770.jpg", "162771.png", "182637.jpg", "182638.jpg", "000001.jpg", "me.jpg"});
  const ImageList train = list(folder.path(), "train");
  CHECK(joined(train.names) == "000001.jpg 162770.jpg ");
  CHECK(contains(joined(train.notes), "splits are by CelebA's numbers"));
  CHECK(contains(joined(train.notes), "1 picture(s) without a number"));
  CHECK(contains(joined(train.notes), "no list_attr_celeba.txt or .csv"));
  CHECK(joined(list(folder.path(), "valid").names) == "162771.png 182637.jpg ");
  CHECK(joined(list(folder.path(), "test").names) == "182638.jpg ");
}

TEST_CASE("attributes: any separator, line end and order, a count that is wrong or missing") {
  const std::vector<std::string> pictures = {"1.jpg", "2.png", "7.jpg"};
  const std::vector<int8_t> expected = {1, -1, -1, 1, 0, 0};  // 7.jpg has no line
  for (const char* text :
       {"202599\nA B \n1.jpg  1 -1\n2.jpg -1  1\n", "A\tB\r\n2.jpg -1 1\r\n\r\n3.jpg 1 1\r\n1.jpg 1 -1",
        "0\n  A   B\n1.jpg 1 -1 \n2.jpg -1 1 \n\n",
        "\xef\xbb\xbf"
        "2\nA B\n1.jpg 1 -1\n2.jpg -1 1\n",
        "2\rA B\r1.jpg 1 -1\r2.jpg -1 1\r", "image_id,A,B\n1.jpg,1,-1\n2.jpg,-1,1\n",
        "A,image_id,B\r\n-1,2.jpg,1\r\n1,1.jpg,-1\r\n",
        "\"image_id\",\"A\",\"B\"\n\"1.jpg\",\"1\",-1\n2.jpg, -1 ,1",
        "\xef\xbb\xbfimage_id;A;B\r1.jpg;1;-1\r2.jpg;-1;1", ",image_id,A,B\n0,1.jpg,1,-1\n1,2.jpg,-1,1\n"}) {
    CAPTURE(text);
    const Attributes attributes = parse_attributes(text, "list", pictures);
    CHECK(joined(attributes.names) == "A B ");
    CHECK(attributes.values == expected);
  }
  const Attributes quoted = parse_attributes("image_id,\"A, \"\"B\"\"\"\n\"m\xc3\xbctze 1.jpg\",-1\n", "list",
                                             {"m\xc3\xbctze 1.jpg"});
  CHECK(joined(quoted.names) == "A, \"B\" ");
  CHECK(quoted.values == std::vector<int8_t>{-1});
}

TEST_CASE("bad lines of attributes are named") {
  const auto error = [](const std::string& text) {
    return error_of([&] { parse_attributes(text, "list.txt", {"1.jpg", "2.jpg"}); });
  };
  const std::string start = "2\nSmiling Male\n1.jpg 1 -1\n";
  CHECK(error(start + "2.jpg 1 0\n").empty());  // 0 is unknown
  CHECK(contains(error(start + "2.jpg 1\n"), "list.txt: line 4: 1 values for 2 attributes"));
  CHECK(contains(error(start + "2.jpg 1 1 1\n"), "line 4: 3 values for 2"));
  CHECK(contains(error(start + "2.jpg 1 2\n"), "line 4: '2' for Male, where -1, 0 or 1 is expected"));
  CHECK(contains(error(start + "\n\n9.jpg 1 yes\n"), "line 6: 'yes' for Male"));
  CHECK(contains(error(start + "1.jpg 1 1\n"), "line 4: a second line for 1.jpg"));
  CHECK(contains(error("Male\n1.jpg 0\n2.jpg 1\n"), "list.txt: has 0 and 1 but no -1"));
  CHECK(contains(error(""), "list.txt: holds no attributes"));
  CHECK(contains(error("7\n"), "holds no attributes"));
  CHECK(contains(error("1.jpg 1 1\n"), "line 1: no line before it names the attributes"));
  CHECK(contains(error("A B A\n"), "line 1: two columns are called A"));
  CHECK(contains(error("image_id\n1.jpg\n"), "line 1: there is no column of attributes"));
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += "A" + std::to_string(i) + " ";
  CHECK(contains(error(many), "line 1: it names 100000 columns, at most 1000 are read"));
  CHECK(contains(error("A,B\n1.jpg,1\n"), "line 1: no column is called image_id; they are A, B"));
  CHECK(contains(error("image_id,A\n1.jpg,1,\n"), "line 2: 2 values for 1 attributes"));
  CHECK(contains(error("image_id,A\n\"1.jpg,1\n"), "line 2: a quote that is not closed"));
  CHECK(contains(error("<!DOCTYPE html><html>quota"), "list.txt: an HTML page"));
  CHECK(contains(error(std::string("A\n1.jpg 1\n\0", 11)), "list.txt: not plain text"));
}

TEST_CASE("identities, landmarks and partitions as csv") {
  const std::vector<std::string> pictures = {"000001.png", "000002.png"};
  CHECK(parse_identities("000002.jpg 2937\n000001.jpg 2880\n000003.jpg 1\n", "list", pictures) ==
        std::vector<int32_t>{2880, 2937});
  CHECK(parse_identities("000002.jpg 2937\n", "list", pictures) == std::vector<int32_t>{0, 2937});
  CHECK(contains(error_of([&] { parse_identities("000002.jpg 0\n", "list", pictures); }),
                 "list: line 1: '0' for identity, where a person's number, 1 or more, is expected"));
  const std::string names =
      "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x "
      "rightmouth_y";
  CHECK(parse_landmarks("2\n" + names + "\n000001.jpg 69 109 106 113 77 142 73 152 108 154\n", "list",
                        {"000001.png"}) ==
        std::vector<int32_t>{69, 109, 106, 113, 77, 142, 73, 152, 108, 154});
  CHECK(parse_landmarks(
            "rightmouth_y,image_id,lefteye_x,lefteye_y,righteye_x,righteye_y,nose_x,nose_y,leftmouth_x,"
            "leftmouth_y,rightmouth_x\n9,000001.jpg,0,1,2,3,4,5,6,7,-8\n",
            "list", {"000001.png"}) == std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7, -8, 9});
  CHECK(parse_landmarks(names, "list", {"000001.png"}) == std::vector<int32_t>(10, 0));
  CHECK(contains(
      error_of([&] { parse_landmarks("image_id,nose_x,nose_y\n1.jpg,1,2\n", "list.csv", pictures); }),
      "list.csv: line 1: no column is called lefteye_x, lefteye_y, righteye_x"));
  CHECK(contains(
      error_of([&] { parse_landmarks(names + "\n1.jpg 1 2 3 4 5 6 7 8 9 1.5\n", "list", pictures); }),
      "line 2: '1.5' for rightmouth_y, where a number of pixels is expected"));
  const Partition partition =
      parse_partition("image_id,partition\n000001.jpg,2\n000007.jpg,0\n", "list", pictures);
  CHECK(partition.splits == std::vector<int>{2, -1});
  CHECK(partition.unused == 1);
  CHECK(contains(error_of([&] { parse_partition("image_id,split\n000001.jpg,2\n", "list", pictures); }),
                 "line 1: no column is called partition; they are image_id, split"));
}
