#include "data/dataset.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "data/cache/decode_all.h"
#include "data/celeba_files/lists.h"
#include "data/list_pictures.h"
#include "data/pictures/file_kind.h"
#include "kernels/base/commands.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"
#include "kernels/base/parallel.h"

namespace ito::data {
namespace fs = std::filesystem;
namespace {

void add_file(Hash& hash, const std::string& name, const PictureStamp& stamp) {
  hash.add(name).add(stamp.bytes).add(stamp.seconds).add(stamp.nanoseconds).add(stamp.checksum);
}

/// Where the pictures are and what is made of them: all that stays the same when pictures are added.
uint64_t hash_source(const ImageList& list, const DecodeOptions& options) {
  Hash hash;
  // This number never changes, so that files of another version are found under the same name, and removed.
  hash.add(uint64_t(1)).add(fs::canonical(list.root).string()).add(list.kind).add(list.split);
  hash.add(name_of(options.crop)).add(uint64_t(options.size.height)).add(uint64_t(options.size.width));
  hash.add(name_of(options.orientation));
  return hash.value();
}

/// All of place_key, and names, sizes and times of all files. A file that has vanished since counts as empty.
uint64_t hash_listing(const ImageList& list, uint64_t source, int threads) {
  std::vector<PictureStamp> stamps(list.names.size());
  parallel_for(list.names.size(), threads, [&](size_t i) { stamps[i] = list.source->stamp(list.names[i]); });
  Hash hash;
  hash.add(source);
  for (size_t i = 0; i < stamps.size(); ++i) add_file(hash, list.names[i], stamps[i]);
  for (const ListFile& text : list.lists) add_file(hash, text.name, text.stamp());
  return hash.value();
}

/// "celeba-train-ddim128-64x64-": what a person needs to recognise the file.
std::string readable_start(const ImageList& list, const DecodeOptions& options) {
  std::string name = list.title.substr(0, 40);
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.') c = '_';
  }
  return cat(name, "-", list.split, "-", name_of(options.crop), "-", options.size.height, "x",
             options.size.width, "-");
}

void make_cache_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    fail(cat(folder.string(), ": the cache folder cannot be made: ", error.message(), "; choose another"));
}

/// The cache file that belongs to a hidden sibling, or the file itself.
fs::path cache_of(const fs::path& file) {
  const std::string name = file.filename().string();
  return name[0] == '.' ? file.parent_path() / fs::path(name.substr(1)).stem() : file;
}

/// The cache files next to `current`, finished or not, whose names begin with `start`.
std::set<fs::path> others(const fs::path& current, const std::string& start) {
  std::error_code ignored;
  std::set<fs::path> found;
  for (fs::directory_iterator entry(current.parent_path(), ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    const fs::path cache = cache_of(entry->path());
    const bool named_so = cache.filename().string().starts_with(start);
    if (named_so && cache.extension() == current.extension() && cache != current) found.insert(cache);
  }
  return found;
}

/// Notes why pictures are decoded again. Names of another version may contain other hashes, so that such a file may
/// belong to another folder of the same name: it is not removed.
void note_other_versions(const std::set<fs::path>& caches, std::vector<std::string>& notes) {
  for (const fs::path& path : caches) {
    const std::optional<uint32_t> version = cache_version(path);
    if (version && *version != kCacheVersion)
      notes.push_back(cat(path.string(), ": a cache of decoded pictures of version ", *version,
                          ", and this program's is ", kCacheVersion,
                          ": they are decoded again, and this file can be deleted"));
  }
}

/// The cache as it is stored; nothing if it is missing, and nothing, with a note, if it cannot be used.
std::optional<ImageCache> read_or_note(const fs::path& path, const CacheRequest& request,
                                       std::vector<std::string>& notes) {
  try {
    return read_cache(path, request);
  } catch (const Error& error) {
    notes.push_back(cat(error.what(), "; it is made again"));
    return std::nullopt;
  }
}

/// Notes pictures whose names promise one format, and whose bytes are of another that is not read.
void note_other_formats(const ImageList& list, const ImageCache& cache, std::vector<std::string>& notes) {
  std::map<std::string, size_t> kinds;
  const SkippedFile* first = nullptr;
  for (const SkippedFile& file : cache.skipped) {
    if (is_unusable(file)) continue;
    if (!first) first = &file;
    ++kinds[file.reason.substr(kOtherFormat.size())];
  }
  if (!first) return;
  std::string counted;
  for (const auto& [kind, count] : kinds) counted += cat(counted.empty() ? "" : ", ", count, " ", kind);
  notes.push_back(cat("left out: ", counted, " under another format's name, the first is ",
                      list.source->place(first->name), " (", commands::kInspect,
                      " data lists all); to use them: ", convert_one(list.source->place(first->name))));
}

/// Notes unknown attributes: a list may give 0 for any of them, or lack a picture.
void note_unknown(const ImageCache& cache, const std::string& list, std::vector<std::string>& notes) {
  const size_t columns = cache.attribute_names.size();
  if (columns == 0) return;
  size_t pictures = 0, values = 0, partly = 0;
  for (size_t row = 0; row < cache.names.size(); ++row) {
    const auto begin = cache.attributes.begin() + std::ptrdiff_t(row * columns);
    const auto zeros = size_t(std::count(begin, begin + std::ptrdiff_t(columns), 0));
    if (zeros == columns) ++pictures;
    if (zeros > 0 && zeros < columns) values += zeros, ++partly;
  }
  if (pictures > 0)
    notes.push_back(cat(pictures, " picture(s) are not in ", list, ": their attributes are 0, unknown"));
  if (values > 0)
    notes.push_back(cat(values, " attribute(s) of ", partly, " picture(s) are 0 in ", list, ", unknown"));
}

/// The attribute's column. Error: no such attribute.
size_t place_of(const std::string& name, const std::vector<std::string>& known) {
  const auto found = std::find(known.begin(), known.end(), name);
  if (found == known.end()) fail_unknown_name("attribute", name, known);
  return size_t(found - known.begin());
}

/// Error: the list of attributes lacks one of these.
void check_attributes(const ImageList& list, const std::vector<std::string>& names) {
  if (names.empty() || list.attribute_list.empty()) return;
  const Attributes known = read_attributes(list.attribute_list, {});
  for (const std::string& name : names) place_of(name, known.names);
}

/// The classes of a list's pictures, of which these could be decoded. Error: it is CelebA's; what classes_of reports.
FolderClasses classes_in(const ImageList& list, const std::vector<std::string>& pictures) {
  if (list.kind == "celeba")
    fail_advising(cat(list.root.string(), " is CelebA, whose pictures do not lie in folders of classes"),
                  {"{attributes} and no {classes}"});
  return classes_of(pictures, !fs::is_directory(list.root), list.root.string());
}

void note_empty_folders(const ImageList& list, const FolderClasses& classes,
                        std::vector<std::string>& notes) {
  const std::vector<std::string> empty = folders_without_pictures(list, classes);
  if (!empty.empty())
    notes.push_back(
        cat(empty.size(), " folder(s) hold no pictures and are no classes, the first is ", empty[0]));
}

DecodeOptions resolve(const DatasetOptions& options, const ImageList& list) {
  DecodeOptions resolved;
  const bool celeba = list.kind == "celeba";
  resolved.crop = parse_name<Crop>(!options.crop.empty() ? options.crop : celeba ? "ddim128" : "none");
  if (options.height < 1 || options.width < 1 || options.height > kLargestSide ||
      options.width > kLargestSide) {
    fail(cat("image size ", options.height, "x", options.width, " is not in 1..", kLargestSide));
  }
  resolved.size = {options.width, options.height}, resolved.size_step = options.size_step;
  resolved.orientation = options.orientation;
  if (celeba)
    crop_rectangle(resolved.crop, {178, 218}, resolved.size);  // refuses a shape before any picture is read
  resolved.threads = thread_count(options.threads);
  resolved.starting = options.starting;
  resolved.progress = options.progress;
  return resolved;
}

}  // namespace

std::vector<float> Dataset::attribute(const std::string& name) const {
  const std::vector<int8_t> column = attribute_columns({name});
  return {column.begin(), column.end()};
}

std::vector<int8_t> Dataset::attribute_columns(const std::vector<std::string>& names) const {
  const std::vector<std::string>& known = attribute_names();
  if (known.empty() && !names.empty())
    fail(cat(root_.string(), ": there is no list of attributes, so none is \"", names[0], "\""));
  std::vector<size_t> places;
  for (const std::string& name : names) places.push_back(place_of(name, known));
  std::vector<int8_t> columns;
  columns.reserve(count() * names.size());
  for (size_t i = 0; i < count(); ++i)
    for (const size_t place : places) columns.push_back(attributes()[i * known.size() + place]);
  return columns;
}

std::string Dataset::content_hash() const { return hex(cache_.content_hash); }

Dataset open_dataset(const fs::path& path, const DatasetOptions& options) {
  ImageList list = list_pictures(path, options.split);
  if (options.classes) classes_in(list, list.names);  // its errors, before any decoding
  DecodeOptions decode = resolve(options, list);
  const uint64_t source = hash_source(list, decode);
  const uint64_t listing = hash_listing(list, source, decode.threads);
  const std::string fingerprint = hex(listing);
  decode.key = Hash().add(listing).add(uint64_t(kCacheVersion)).value();
  const std::string readable = readable_start(list, decode), start = readable + hex(source) + "-";
  const fs::path file = fs::absolute(options.cache_dir) / (start + fingerprint + ".images");

  const CacheRequest request{std::string(name_of(decode.crop)), decode.size, decode.threads,
                             options.check_all};
  std::optional<ImageCache> cache = read_or_note(file, request, list.notes);
  if (!cache) {
    check_attributes(list, options.attributes);
    make_cache_folder(file.parent_path());
    PartialCache partial(file, options.waiting, options.warn);
    std::vector<std::string> same_notes;
    cache = read_or_note(file, request, same_notes);  // another process may have made it meanwhile
    if (!cache) {
      // Caches of the same place and options, from before the folder changed.
      const std::set<fs::path> old = others(file, start);
      for (const fs::path& path : old) remove_partial(path);
      decode_all(list, decode, partial);
      for (const fs::path& path : old)
        remove_cache(path);  // a mapped one remains readable until it is unmapped
      cache = read_cache(file, request);
      note_other_versions(others(file, readable), list.notes);
    }
  }
  note_other_formats(list, *cache, list.notes);
  note_unknown(*cache, list.attribute_list.name, list.notes);
  Dataset dataset(std::move(*cache));
  if (options.classes) {
    dataset.classes_ = classes_in(list, dataset.names());
    note_empty_folders(list, dataset.classes_, list.notes);
  }
  dataset.root_ = list.root;
  dataset.kind_ = list.kind;
  dataset.split_ = list.split;
  dataset.crop_ = name_of(decode.crop);
  dataset.fingerprint_ = fingerprint;
  dataset.notes_ = std::move(list.notes);
  return dataset;
}

}  // namespace ito::data
