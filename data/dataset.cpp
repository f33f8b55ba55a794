#include "data/dataset.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>

#include "data/decode_all.h"
#include "data/hash.h"
#include "data/parallel.h"
#include "kernels/error.h"

namespace ito::data {
namespace fs = std::filesystem;
namespace {

/// Held while one process builds a cache file; the kernel lets go of it when that process ends, however it
/// ends.
class BuildLock {
 public:
  explicit BuildLock(const fs::path& path) : path_(path) {
    while (file_ < 0) {
      file_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
      if (file_ < 0)
        fail(cat(path.string(), ": cannot be made: ", std::strerror(errno), "; name another cache folder"));
      while (flock(file_, LOCK_EX) != 0 && errno == EINTR) {
      }
      if (is_in_place()) return;
      close(file_);  // the process that held it has removed it
      file_ = -1;
    }
  }
  ~BuildLock() {
    unlink(path_.c_str());
    close(file_);
  }
  BuildLock(const BuildLock&) = delete;
  BuildLock& operator=(const BuildLock&) = delete;

 private:
  bool is_in_place() const {
    struct stat held {
    }, named{};
    return fstat(file_, &held) == 0 && stat(path_.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
  }

  fs::path path_;
  int file_ = -1;
};

void add_file(Hash& hash, const std::string& name, const PictureStamp& stamp) {
  hash.add(name).add(stamp.bytes).add(stamp.seconds).add(stamp.nanoseconds).add(stamp.checksum);
}

/// Where the pictures are and what is made of them: all that stays the same when pictures are added.
uint64_t hash_source(const ImageList& list, const DecodeOptions& options) {
  Hash hash;
  hash.add(uint64_t(kCacheVersion)).add(fs::canonical(list.root).string()).add(list.kind).add(list.split);
  hash.add(crop_name(options.crop)).add(uint64_t(options.size.height)).add(uint64_t(options.size.width));
  return hash.value();
}

/// The above, and names, sizes and times of all files. A file that vanished since counts as empty.
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
  return cat(name, "-", list.split, "-", crop_name(options.crop), "-", options.size.height, "x",
             options.size.width, "-");
}

void make_cache_folder(const fs::path& folder, uint64_t bytes) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    fail(cat(folder.string(), ": the cache folder cannot be made: ", error.message(), "; name another"));
  const fs::space_info space = fs::space(folder, error);
  if (!error && space.available < bytes) {
    fail(cat(folder.string(), ": decoded pictures need ", bytes >> 20, " MiB, and ", space.available >> 20,
             " MiB are free; choose a smaller --size or another cache folder"));
  }
}

/// Cache files of the same pictures and options from before the folder changed. Mapped ones live on until
/// unmapped.
void remove_superseded(const fs::path& current, const std::string& start) {
  std::error_code ignored;
  std::vector<fs::path> old;
  for (fs::directory_iterator entry(current.parent_path(), ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    const fs::path& path = entry->path();
    const bool same_source = path.filename().string().compare(0, start.size(), start) == 0;
    if (same_source && path.extension() == current.extension() && path != current) old.push_back(path);
  }
  for (const fs::path& path : old) fs::remove(path, ignored);
}

/// The cache as it stands; nothing, with a note, where it is missing or damaged.
std::optional<ImageCache> read_or_note(const fs::path& path, int threads, std::vector<std::string>& notes) {
  try {
    return read_cache(path, threads);
  } catch (const Error& error) {
    notes.push_back(cat(error.what(), "; it is made anew"));
    return std::nullopt;
  }
}

size_t count_unknown(const ImageCache& cache) {
  const size_t columns = cache.attribute_names.size();
  size_t unknown = 0;
  for (size_t row = 0; columns > 0 && row < cache.names.size(); ++row)
    unknown += cache.attributes[row * columns] == 0;
  return unknown;
}

DecodeOptions resolve(const DatasetOptions& options, const ImageList& list) {
  DecodeOptions resolved;
  const bool celeba = list.kind == "celeba";
  resolved.crop = parse_crop(!options.crop.empty() ? options.crop : celeba ? "ddim128" : "none");
  if (options.height < 1 || options.width < 1 || options.height > kLargestSide ||
      options.width > kLargestSide) {
    fail(cat("image size ", options.height, "x", options.width, " is not in 1..", kLargestSide));
  }
  resolved.size = {options.width, options.height};
  if (celeba)
    crop_rectangle(resolved.crop, {178, 218}, resolved.size);  // refuses a shape before any picture is read
  resolved.threads = thread_count(options.threads);
  resolved.progress = options.progress;
  return resolved;
}

}  // namespace

std::string Dataset::content_hash() const { return hex(cache_.content_hash); }

Dataset open_dataset(const fs::path& path, const DatasetOptions& options) {
  ImageList list = list_pictures(path, options.split);
  const DecodeOptions decode = resolve(options, list);
  const uint64_t source = hash_source(list, decode);
  const std::string fingerprint = hex(hash_listing(list, source, decode.threads));
  const std::string start = readable_start(list, decode) + hex(source) + "-";
  const fs::path file = fs::absolute(options.cache_dir) / (start + fingerprint + ".images");

  std::optional<ImageCache> cache = read_or_note(file, decode.threads, list.notes);
  if (!cache) {
    make_cache_folder(file.parent_path(),
                      list.names.size() * uint64_t(options.height) * uint64_t(options.width) * 3);
    const BuildLock lock(file.parent_path() / cat(".", file.filename().string(), ".lock"));
    std::vector<std::string> same_notes;
    cache = read_or_note(file, decode.threads, same_notes);  // another process may have made it meanwhile
    if (!cache) {
      decode_all(list, decode, file);
      remove_superseded(file, start);
      cache = read_cache(file, decode.threads);
    }
  }
  if (const size_t unknown = count_unknown(*cache); unknown > 0) {
    list.notes.push_back(
        cat(unknown, " picture(s) without a line in ", list.attribute_list.name, ": their attributes are 0"));
  }
  Dataset dataset(std::move(*cache));
  dataset.root_ = list.root;
  dataset.kind_ = list.kind;
  dataset.split_ = list.split;
  dataset.crop_ = crop_name(decode.crop);
  dataset.fingerprint_ = fingerprint;
  dataset.notes_ = std::move(list.notes);
  return dataset;
}

}  // namespace ito::data
