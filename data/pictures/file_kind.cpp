#include "data/pictures/file_kind.h"

#include <algorithm>
#include <cctype>

#include "engine/io/web_page.h"
#include "kernels/base/error.h"
#include "kernels/base/path_text.h"

namespace ito::data {
namespace fs = std::filesystem;
using namespace std::string_view_literals;
namespace {

constexpr std::string_view kConvert = "convert first, for example by ImageMagick: mogrify -format png FILE";
constexpr std::string_view kUntar = "unpack first: mkdir -p OWN && tar -xf FILE -C OWN";
constexpr std::string_view kUnzip = "unpack first: unzip FILE -d OWN";
constexpr std::string_view kUnpackNpz =
    "save the images as files first, in a folder of their own: python3 -c \"import numpy as n, sys; from PIL "
    "import Image; "
    "[Image.fromarray(a).save(f'{i:06}.png') for i, a in enumerate(n.load(sys.argv[1])['arr_0'])]\" FILE";
constexpr std::string_view kUnpackNpy =
    "save the images as files first, in a folder of their own: python3 -c \"import numpy as n, sys; from PIL "
    "import Image; "
    "[Image.fromarray(a).save(f'{i:06}.png') for i, a in enumerate(n.load(sys.argv[1]))]\" FILE";
constexpr std::string_view kUnpackParquet =
    "save the pictures as files first, in a folder of their own: python3 -c \"import sys, pyarrow.parquet as "
    "p; "
    "[open(f'{n}-{i:06}', 'wb').write(r['image']['bytes']) for n, t in enumerate(sys.argv[1:]) "
    "for i, r in enumerate(p.read_table(t).to_pylist())]\" ALL";
constexpr std::string_view kUnpackLmdb =
    "save the pictures as files first, in a folder of their own: python3 -c \"import lmdb, sys; "
    "[open(f'{i:06}', 'wb').write(v) for i, (k, v) in enumerate(lmdb.open(sys.argv[1]).begin().cursor())]\" "
    "FOLDER";
constexpr std::string_view kSaveAsFiles = "save the pictures as files first";
constexpr std::string_view kPull = "fetch the files themselves, in the repository's folder: git lfs pull";
constexpr std::string_view kAgain = "download again";

using enum FileUse;

/// The first row that fits counts; '?' is any byte. Web pages and other texts are recognised below.
constexpr FileKind kKinds[] = {
    {"JPEG", read, PictureFormat::jpeg, "\xff\xd8\xff"sv, 0, "", ""},
    {"PNG", read, PictureFormat::png, "\x89PNG\r\n\x1a\n"sv, 0, "", ""},
    {"WebP", read, PictureFormat::webp, "RIFF????WEBP"sv, 0, "", ""},
    {"PNM", read, PictureFormat::pnm, "P5"sv, 0, "", ""},
    {"PNM", read, PictureFormat::pnm, "P6"sv, 0, "", ""},
    {"GIF", convert, PictureFormat::none, "GIF8"sv, 0, "", kConvert},
    {"BMP", convert, PictureFormat::none, "BM????\0\0\0\0"sv, 0, "", kConvert},
    {"TIFF", convert, PictureFormat::none, "II*\0"sv, 0, "", kConvert},
    {"TIFF", convert, PictureFormat::none, "MM\0*"sv, 0, "", kConvert},
    {"AVIF", convert, PictureFormat::none, "ftypavif"sv, 4, "", kConvert},
    {"AVIF", convert, PictureFormat::none, "ftypavis"sv, 4, "", kConvert},
    {"HEIC", convert, PictureFormat::none, "ftyphe"sv, 4, "", kConvert},
    {"HEIC", convert, PictureFormat::none, "ftypmif1"sv, 4, "", kConvert},
    {"JPEG 2000", convert, PictureFormat::none, "jP  \r\n\x87\n"sv, 4, "", kConvert},
    {"JPEG XL", convert, PictureFormat::none, "\xff\x0a"sv, 0, "", kConvert},
    {"JPEG XL", convert, PictureFormat::none, "JXL \r\n\x87\n"sv, 4, "", kConvert},
    {"PNM other than P5 and P6", convert, PictureFormat::none, "P1"sv, 0, "", kConvert},
    {"PNM other than P5 and P6", convert, PictureFormat::none, "P2"sv, 0, "", kConvert},
    {"PNM other than P5 and P6", convert, PictureFormat::none, "P3"sv, 0, "", kConvert},
    {"PNM other than P5 and P6", convert, PictureFormat::none, "P4"sv, 0, "", kConvert},
    {"PNM other than P5 and P6", convert, PictureFormat::none, "P7"sv, 0, "", kConvert},
    {"NumPy archive", unpack, PictureFormat::none, "PK\x03\x04"sv, 0, ".npz", kUnpackNpz},
    {"zip archive", unpack, PictureFormat::none, "PK\x03\x04"sv, 0, "", kUnzip},
    {"zip archive", unpack, PictureFormat::none, "PK\x05\x06"sv, 0, "", kUnzip},  // an empty one
    {"tar archive", unpack, PictureFormat::none, "ustar"sv, 257, "", kUntar},
    {"compressed archive", unpack, PictureFormat::none, "\x1f\x8b"sv, 0, "", kUntar},
    {"compressed archive", unpack, PictureFormat::none,
     "\xfd"
     "7zXZ"sv,
     0, "", kUntar},
    {"compressed archive", unpack, PictureFormat::none, "\x28\xb5\x2f\xfd"sv, 0, "", kUntar},
    {"compressed archive", unpack, PictureFormat::none, "BZh"sv, 0, "", kUntar},
    {"7z archive", unpack, PictureFormat::none, "7z\xbc\xaf\x27\x1c"sv, 0, "",
     "unpack first: 7z x FILE -oOWN"},
    {"RAR archive", unpack, PictureFormat::none, "Rar!\x1a\x07"sv, 0, "", "unpack first: unrar x FILE OWN/"},
    {"Parquet table", unpack, PictureFormat::none, "PAR1"sv, 0, "", kUnpackParquet},
    {"HDF5 file", unpack, PictureFormat::none, "\x89HDF\r\n\x1a\n"sv, 0, "", kSaveAsFiles},
    {"LMDB database", unpack, PictureFormat::none, "\xde\xc0\xef\xbe"sv, 16, "", kUnpackLmdb},
    {"LMDB database", unpack, PictureFormat::none, ""sv, 0, "data.mdb", kUnpackLmdb},
    {"TFRecord file", unpack, PictureFormat::none, ""sv, 0, ".tfrecord", kSaveAsFiles},
    {"TFRecord file", unpack, PictureFormat::none, ""sv, 0, ".tfrecords", kSaveAsFiles},
    {"NumPy array", unpack, PictureFormat::none, "\x93NUMPY"sv, 0, "", kUnpackNpy},
    {"git-LFS pointer", fetch, PictureFormat::none, "version https://git-lfs.github.com/spec/"sv, 0, "",
     kPull},
};
constexpr FileKind kWebPage{"HTML page", fetch, PictureFormat::none, "", 0, "", kAgain};
constexpr FileKind kMarkup{"XML or SVG", none, PictureFormat::none, "", 0, "", ""};
constexpr FileKind kEmpty{"empty file", fetch, PictureFormat::none, "", 0, "", kAgain};
constexpr FileKind kOther{"unknown file", none, PictureFormat::none, "", 0, "", ""};

bool fits(const FileKind& kind, std::string_view first_bytes, std::string_view name) {
  const auto equals = [](char known, char c) { return known == '?' || known == c; };
  const bool begins_so =
      first_bytes.size() >= kind.at + kind.start.size() &&
      std::equal(kind.start.begin(), kind.start.end(), first_bytes.begin() + kind.at, equals);
  return begins_so && has_ending(name, kind.ending);
}

void replace_all(std::string& text, std::string_view what, const std::string& by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
}

}  // namespace

const FileKind& kind_of(std::string_view first_bytes, std::string_view name) {
  for (const FileKind& kind : kKinds)
    if (fits(kind, first_bytes, name)) return kind;
  if (first_bytes.empty()) return kEmpty;
  if (io::is_web_page(first_bytes)) return kWebPage;
  const size_t visible = first_bytes.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  return visible != std::string_view::npos && first_bytes[visible] == '<' ? kMarkup : kOther;
}

bool has_ending(std::string_view name, std::string_view ending) {
  const auto equals = [](char known, char c) { return std::tolower(static_cast<unsigned char>(c)) == known; };
  return name.size() >= ending.size() &&
         std::equal(ending.begin(), ending.end(), name.end() - std::ptrdiff_t(ending.size()), equals);
}

bool has_picture_ending(std::string_view name) {
  for (const std::string_view ending : {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".pgm", ".ppm"})
    if (has_ending(name, ending)) return true;
  return false;
}

std::string remedy_for(const FileKind& kind, const fs::path& named) {
  std::error_code ignored;
  const fs::path file = fs::absolute(named, ignored).lexically_normal(), folder = file.parent_path();
  if (!fs::exists(file, ignored)) return kind.remedy.empty() ? "" : "unpack the archive first";
  // What is unpacked gets a folder of its own: faces for faces.tar.gz.
  fs::path own = folder / file.stem().stem();
  if (own == file) own += "-unpacked";
  // All files of its folder with the same ending.
  const std::string all = cat(shell_quoted(folder.string()), "/*", shell_quoted(file.extension().string()));
  std::string remedy(kind.remedy);
  replace_all(remedy, "ALL", all);
  replace_all(remedy, "FILE", shell_quoted(file.string()));
  replace_all(remedy, "FOLDER", shell_quoted(folder.string()));
  replace_all(remedy, "OWN", shell_quoted(own.string()));
  return remedy;
}

std::string convert_all(const fs::path& root, const std::set<std::string>& endings) {
  std::string names;
  for (const std::string& ending : endings)
    names += cat(names.empty() ? "" : " -o ", "-iname ", shell_quoted("*" + ending));
  std::error_code ignored;
  return cat("convert first, for example by ImageMagick: find ",
             shell_quoted(fs::absolute(root, ignored).lexically_normal().string()), " \\( ", names,
             " \\) -exec mogrify -format png {} +");
}

std::string describe_other(std::string_view first_bytes, const fs::path& file) {
  const FileKind& kind = kind_of(first_bytes, file.string());
  const std::string remedy = remedy_for(kind, file);
  return cat(kind.name, remedy.empty() ? "" : "; " + remedy);
}

std::string convert_one(const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return "unpack the archive, and convert it";
  return cat("convert first, for example by ImageMagick: mogrify -format png ",
             shell_quoted(fs::absolute(file, ignored).lexically_normal().string()));
}

std::string other_format(std::string_view bytes, std::string_view name) {
  const FileKind& kind = kind_of(bytes.substr(0, kKindBytes), name);
  return kind.use == convert ? cat(kOtherFormat, kind.name) : "";
}

}  // namespace ito::data
