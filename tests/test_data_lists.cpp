#include <doctest/doctest.h>

#include <filesystem>

#include "data/list_pictures.h"
#include "data/pictures/folder.h"
#include "data_helpers.h"

using namespace ito::data;
using namespace ito::tests;
namespace fs = std::filesystem;

namespace {

/// Files of these names under `root`, of which nothing is read.
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
    CHECK(contains(error, "./make_faces " + path.string()));
    CHECK_FALSE(contains(error, "\n"));
  }
  CHECK(contains(error_of([&] { list_folder(folder / "missing"); }), "no such folder"));
  touch(folder.path(), {"a.text", "b/c.text", "d.txt"});
  CHECK(contains(error_of([&] { list_folder(folder.path()); }), "but 3 unknown files"));
  touch(folder.path(), {"celeba.zip"});
  CHECK(contains(error_of([&] { list_folder(folder / "celeba.zip"); }), "celeba.zip: not a zip archive"));
  CHECK(contains(error_of([&] { list_folder(folder / "d.txt"); }), "a folder or a zip archive of pictures"));
}

TEST_CASE("a picture in an archive that would unpack into more than any takes is not unpacked") {
  const TempFolder folder;
  {
    const std::string zeros((size_t(256) << 20) + 1, '\0');
    ito::io::ZipWriter zip(folder / "bomb.zip");
    zip.add("a.jpg", zeros.data(), zeros.size(), ito::io::ZipWriter::Packing::deflated);
    zip.commit();
  }
  CHECK(fs::file_size(folder / "bomb.zip") < (1 << 20));
  const ImageList list = list_pictures(folder / "bomb.zip", "");
  CHECK(contains(error_of([&] { list.source->read("a.jpg"); }),
                 "a.jpg: has 268435457 bytes; at most 268435456"));
}

TEST_CASE("an archive is read as a folder is") {
  const TempFolder folder;
  const std::string jpeg = text_of(encode_jpeg(picture(20, 30, 1)));
  {
    ito::io::ZipWriter zip(folder / "My Pictures.ZIP");
    for (const char* name :
         {"b.jpg", "a/m\xc3\xbctze 1.jpg", "a/notes.txt", "__MACOSX/._b.jpg", ".x/c.jpg", "a/"})
      zip.add(name, name == std::string("a/notes.txt") ? "words" : jpeg.data(),
              name == std::string("a/")            ? 0
              : name == std::string("a/notes.txt") ? 5
                                                   : jpeg.size());
    zip.commit();
  }
  const ImageList list = list_pictures(folder / "My Pictures.ZIP", "");
  CHECK(joined(list.names) == "a/m\xc3\xbctze 1.jpg b.jpg ");
  CHECK(list.kind == "folder");
  CHECK(list.split == "all");
  CHECK(list.title == "My Pictures");
  CHECK(list.root == folder / "My Pictures.ZIP");
  CHECK(list.source->place("b.jpg") == (folder / "My Pictures.ZIP").string() + "/b.jpg");
  CHECK(text_of(list.source->read("b.jpg")) == jpeg);
  CHECK(contains(error_of([&] { list.source->read("c.jpg"); }), "ZIP/c.jpg: the archive has no such file"));
  const PictureStamp stamp = list.source->stamp("b.jpg"), same = list.source->stamp("a/m\xc3\xbctze 1.jpg");
  CHECK(stamp.bytes == jpeg.size());
  CHECK(stamp.checksum != 0);
  CHECK(stamp.checksum == same.checksum);
  CHECK(stamp.seconds > 0);
  CHECK(list.source->stamp("c.jpg").seconds == 0);
  CHECK(contains(error_of([&] { list_pictures(folder / "My Pictures.ZIP", "train"); }),
                 "a folder of plain pictures has no split 'train'"));
  {
    ito::io::ZipWriter zip(folder / "texts.zip");
    zip.add("a.txt", "x", 1);
    zip.commit();
  }
  const std::string error = error_of([&] { list_pictures(folder / "texts.zip", ""); });
  CHECK(contains(error,
                 "no JPEG, PNG, WebP, PGM or PPM pictures in it, but 1 unknown file, "
                 "the first is a.txt"));
  CHECK(contains(error, "./make_faces " + folder.path().string()));
}
