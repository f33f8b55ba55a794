#pragma once

#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>

namespace ito::data {

/// What can be done with a file that is found where pictures are looked for.
enum class FileUse {
  read,     ///< a picture of a format that is read here
  convert,  ///< a picture of another format
  unpack,   ///< an archive or a table, in which pictures may be
  fetch,    ///< a placeholder for a file that was never downloaded, or not completely
  none      ///< anything else
};

/// The formats that are read, and `none` for all other files.
enum class PictureFormat { none, jpeg, png, pnm, webp };

/// A kind of file, recognised by its first bytes.
struct FileKind {
  std::string_view name;  // as it is counted: "2 GIF", "1 tar archive"
  FileUse use;
  PictureFormat format;
  std::string_view start;  // what such files have from byte `at` on
  size_t at;
  std::string_view ending;  // of their names, if `start` is not enough
  /// What to do: FILE is its path, FOLDER its folder, ALL the files there with its ending, OWN a new folder.
  std::string_view remedy;
};

/// How many bytes are enough to recognise a file's kind.
inline constexpr size_t kKindBytes = 512;

/// The kind of a file with these first bytes. The name is used only if they leave a choice.
const FileKind& kind_of(std::string_view first_bytes, std::string_view name);

/// The name has this ending (".zip", given in lower case), in upper or lower case.
bool has_ending(std::string_view name, std::string_view ending);

/// The name ends like those of pictures that are read: .jpg .jpeg .jpe .jfif .png .webp .pgm .ppm, in any case. Such a
/// file is taken for a picture without being opened.
bool has_picture_ending(std::string_view name);

/// What to do about a file of this kind, with a command that can be pasted; empty if nothing is known to help.
std::string remedy_for(const FileKind& kind, const std::filesystem::path& file);

/// How to convert all pictures below `root` with these endings (".gif"), which are of other formats.
std::string convert_all(const std::filesystem::path& root, const std::set<std::string>& endings);

/// How to convert one picture, whose name may promise another format.
std::string convert_one(const std::filesystem::path& file);

/// "another format: GIF" if the bytes are a picture of a format that is not read, whatever its name promises; else
/// empty. Such a picture is left out and counted, and is no error.
std::string other_format(std::string_view bytes, std::string_view name);
inline constexpr std::string_view kOtherFormat = "another format: ";

/// What kind a file that is not read is of, and what to do: "GIF; convert first, ...".
std::string describe_other(std::string_view first_bytes, const std::filesystem::path& file);

/// "JPEG, PNG, WebP, PGM or PPM"
inline constexpr std::string_view kReadFormats = "JPEG, PNG, WebP, PGM or PPM";

}  // namespace ito::data
