#include "data/decode_all.h"

#include <algorithm>
#include <cstring>

#include "data/celeba_lists.h"
#include "data/hash.h"
#include "data/parallel.h"
#include "data/resize.h"
#include "engine/io/atomic_file.h"
#include "kernels/error.h"

namespace ito::data {
namespace fs = std::filesystem;
namespace {

constexpr size_t kTolerated = 20;  // one unreadable file in this many

struct Outcome {
  enum { fine, unreadable, too_small } state = fine;
  std::string reason;
  uint64_t hash = 0;
};

/// The wanted size fits, pixel for pixel or smaller, into what the crop leaves.
bool fits(const Rectangle& part, ImageSize wanted) {
  return part.width >= wanted.width && part.height >= wanted.height;
}

Outcome decode_one(const PictureSource& source, const std::string& name, const DecodeOptions& options,
                   uint8_t* out) {
  const std::string path = source.place(name);
  Outcome outcome;
  try {
    const std::vector<uint8_t> bytes = source.read(name);
    const Image image = decode_image(bytes.data(), bytes.size(), path);
    const Rectangle part = crop_rectangle(options.crop, {image.width, image.height}, options.size);
    if (!fits(part, options.size)) {
      outcome.state = Outcome::too_small;
      return outcome;
    }
    resize_into(image, part, options.size, out);
    outcome.hash = image_hash(out, size_t(options.size.width) * size_t(options.size.height) * 3);
  } catch (const Error& error) {
    outcome.state = Outcome::unreadable;
    outcome.reason = error.what();
    const std::string place = path + ": ";  // the name is kept apart
    if (outcome.reason.compare(0, place.size(), place) == 0) outcome.reason.erase(0, place.size());
  }
  return outcome;
}

/// Looks at the headers of all pictures for the largest size that fits every one.
[[noreturn]] void fail_too_small(const ImageList& list, const DecodeOptions& options,
                                 const std::string& first) {
  const ImageSize wanted = options.size;
  std::vector<ImageSize> sizes(list.names.size());
  std::vector<Rectangle> parts(list.names.size());
  parallel_for(list.names.size(), options.threads, [&](size_t i) {
    try {
      const std::vector<uint8_t> bytes = list.source->read(list.names[i]);
      sizes[i] = read_image_size(bytes.data(), bytes.size(), list.source->place(list.names[i]));
      parts[i] = crop_rectangle(options.crop, sizes[i], wanted);
    } catch (const Error&) {  // an unreadable picture says nothing about sizes
    }
  });
  ImageSize fitting = wanted;
  size_t small = 0;
  ImageSize first_size;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (list.names[i] == first) first_size = sizes[i];
    if (parts[i].width == 0 || fits(parts[i], wanted)) continue;
    ++small;
    const int64_t height =
        std::min<int64_t>(parts[i].height, int64_t(parts[i].width) * wanted.height / wanted.width);
    if (height < fitting.height) {
      fitting = {int(std::max<int64_t>(1, height * wanted.width / wanted.height)),
                 int(std::max<int64_t>(1, height))};
    }
  }
  const auto name_size = [](ImageSize size) {
    return size.width == size.height ? cat(size.width) : cat(size.height, "x", size.width);
  };
  fail(cat(list.source->place(first), ": ", first_size.width, " pixels wide and ", first_size.height,
           " high is too small for --size ", name_size(wanted), " with crop ", crop_name(options.crop),
           " (so are ", small - 1, " more of ", list.names.size(),
           " pictures); the largest that fits all is --size ", name_size(fitting)));
}

[[noreturn]] void fail_unreadable(const ImageList& list, const std::vector<SkippedFile>& skipped,
                                  size_t seen) {
  std::string examples;
  for (size_t i = 0; i < std::min<size_t>(3, skipped.size()); ++i) {
    examples += cat(i ? "; " : "", skipped[i].name, ": ", skipped[i].reason);
  }
  fail(cat(list.root.string(), ": ", skipped.size(), " of the first ", seen, " pictures (", list.names.size(),
           " in all) cannot be used; up to one in ", kTolerated, " would be skipped. ", examples));
}

/// Decodes picture after picture into a file, a chunk at a time.
class Decoding {
 public:
  Decoding(const ImageList& list, const DecodeOptions& options, const fs::path& path)
      : list_(list),
        options_(options),
        file_(path),
        image_bytes_(size_t(options.size.width) * size_t(options.size.height) * 3) {
    cache_.size = options.size;
    if (list.attribute_list.empty()) return;
    attributes_ = read_attributes(list.attribute_list, list.names);
    cache_.attribute_names = attributes_.names;
  }

  void run() {
    constexpr size_t kChunkBytes = 64 << 20;  // enough for steady progress, little enough for any memory
    const size_t threads = size_t(options_.threads);
    const size_t chunk = std::max(threads, std::min(32 * threads, kChunkBytes / image_bytes_));
    const size_t total = list_.names.size();
    std::vector<uint8_t> pixels(std::min(chunk, total) * image_bytes_);
    std::vector<Outcome> outcomes;
    if (options_.progress) options_.progress(0, total);
    for (size_t first = 0; first < total; first += chunk) {
      const size_t count = std::min(chunk, total - first);
      outcomes.assign(count, {});
      parallel_for(count, options_.threads, [&](size_t i) {
        outcomes[i] =
            decode_one(*list_.source, list_.names[first + i], options_, pixels.data() + i * image_bytes_);
      });
      keep(first, outcomes, pixels.data());
      if (options_.progress) options_.progress(first + count, total);
    }
    finish();
  }

 private:
  /// Writes the images that could be read, closed up.
  void keep(size_t first, const std::vector<Outcome>& outcomes, uint8_t* pixels) {
    size_t kept = 0;
    for (size_t i = 0; i < outcomes.size(); ++i) {
      const std::string& name = list_.names[first + i];
      if (outcomes[i].state == Outcome::too_small) fail_too_small(list_, options_, name);
      if (outcomes[i].state == Outcome::unreadable) {
        cache_.skipped.push_back({name, outcomes[i].reason});
        continue;
      }
      if (kept != i) std::memcpy(pixels + kept * image_bytes_, pixels + i * image_bytes_, image_bytes_);
      ++kept;
      content_.add(outcomes[i].hash);
      cache_.names.push_back(name);
      const auto row = attributes_.values.begin() + std::ptrdiff_t((first + i) * attributes_.names.size());
      cache_.attributes.insert(cache_.attributes.end(), row, row + std::ptrdiff_t(attributes_.names.size()));
    }
    if (cache_.skipped.size() * kTolerated > list_.names.size()) {
      fail_unreadable(list_, cache_.skipped, first + outcomes.size());
    }
    file_.write(pixels, kept * image_bytes_);
  }

  void finish() {
    cache_.content_hash = content_.value();
    const std::vector<uint8_t> ending = cache_ending(cache_);
    file_.write(ending.data(), ending.size());
    file_.commit();
  }

  const ImageList& list_;
  const DecodeOptions& options_;
  io::AtomicFile file_;
  size_t image_bytes_;
  Attributes attributes_;  // of every picture of the list
  ImageCache cache_;
  Hash content_;
};

}  // namespace

void decode_all(const ImageList& list, const DecodeOptions& options, const fs::path& path) {
  Decoding(list, options, path).run();
}

}  // namespace ito::data
