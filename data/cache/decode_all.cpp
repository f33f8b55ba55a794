#include "data/cache/decode_all.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "data/celeba_files/lists.h"
#include "data/pictures/file_kind.h"
#include "data/pictures/resize.h"
#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"
#include "kernels/base/parallel.h"

namespace ito::data {
namespace {

struct Outcome {
  std::string reason;  // why it cannot be used; empty if it can
  Advice advice;       // what would let it be used
  uint64_t hash = 0;
};

/// Whether the part that the crop takes is at least as large as the wanted size.
bool fits(const Rectangle& part, ImageSize wanted) {
  return part.width >= wanted.width && part.height >= wanted.height;
}

Outcome decode_one(const PictureSource& source, const std::string& name, const DecodeOptions& options,
                   uint8_t* out) {
  const std::string path = source.place(name);
  Outcome outcome;
  try {
    const std::vector<uint8_t> bytes = source.read(name);
    outcome.reason = other_format({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name);
    if (!outcome.reason.empty()) return outcome;
    decode_picture(bytes, path, options, out);
    outcome.hash = image_hash(out, size_t(options.size.width) * size_t(options.size.height) * 3);
  } catch (const Error& error) {
    outcome.reason = error.what(), outcome.advice = error.advice();
    const std::string place = path + ": ";  // the name is stored separately
    if (outcome.reason.compare(0, place.size(), place) == 0) outcome.reason.erase(0, place.size());
  }
  return outcome;
}

/// The largest size of the wanted shape that a part can be scaled to without enlarging it.
ImageSize largest_within(const Rectangle& part, const DecodeOptions& options) {
  const ImageSize wanted = options.size;
  const int64_t step = options.size_step;
  const int64_t height = std::min<int64_t>(part.height, int64_t(part.width) * wanted.height / wanted.width);
  return {int(height * wanted.width / wanted.height / step * step), int(height / step * step)};
}

/// The sizes that pictures can be scaled to, by their headers, the smallest first; {-1, -1} for those that cannot
/// be read, and no size for those of other formats.
std::vector<ImageSize> possible_sizes(const ImageList& list, const DecodeOptions& options) {
  constexpr ImageSize kUnreadable{-1, -1}, kOther{-2, -2};
  std::vector<ImageSize> sizes(list.names.size(), kOther);
  parallel_for(list.names.size(), options.threads, [&](size_t i) {
    try {
      const std::vector<uint8_t> bytes = list.source->read(list.names[i]);
      if (!other_format({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "").empty()) return;
      const ImageSize size =
          read_image_size(bytes.data(), bytes.size(), list.source->place(list.names[i]), options.orientation);
      sizes[i] = largest_within(crop_rectangle(options.crop, size, options.size), options);
    } catch (const Error&) {  // the size of an unreadable picture is not known
      sizes[i] = kUnreadable;
    }
  });
  std::erase_if(sizes, [](ImageSize size) { return size.width == kOther.width; });
  std::sort(sizes.begin(), sizes.end(), [](ImageSize a, ImageSize b) { return a.height < b.height; });
  return sizes;
}

/// If pictures are too small: how many, and the largest size that would leave out no more than is tolerated, which
/// also becomes the advice. Empty if the size is not what is wrong.
std::string size_problem(const ImageList& list, const DecodeOptions& options, Advice& advice) {
  std::vector<ImageSize> sizes = possible_sizes(list, options);
  const size_t unreadable = std::erase_if(sizes, [](ImageSize size) { return size.width < 0; });
  const auto small = size_t(std::count_if(sizes.begin(), sizes.end(),
                                          [&](ImageSize size) { return size.height < options.size.height; }));
  const size_t all = list.names.size();
  if (small == 0 || unreadable * kTolerated > all) return "";
  const ImageSize best = sizes[std::min(small - 1, all / kTolerated - unreadable)];
  const auto text = [](ImageSize size) {
    return size.width == size.height ? cat(size.width) : cat(size.height, "x", size.width);
  };
  const std::string start = cat("; ", small, " of ", all, " pictures are too small for size ",
                                text(options.size), " with crop ", name_of(options.crop), ": ");
  if (best.height < 1 || best.width < 1)
    return cat(start, "no smaller one fits enough of them, since it must be a multiple of ",
               options.size_step, "; remove the small ones");
  advice = {"{size} " + text(best)};
  return cat(start, "the largest that can be used is ", text(best));
}

[[noreturn]] void fail_unusable(const ImageList& list, const DecodeOptions& options,
                                const std::vector<SkippedFile>& skipped, size_t seen, Advice advice) {
  std::string examples;  // "a.jpg, b.jpg: why; c.jpg: why"
  for (size_t i = 0; i < std::min<size_t>(3, skipped.size()); ++i) {
    const bool same =
        i + 1 < std::min<size_t>(3, skipped.size()) && skipped[i + 1].reason == skipped[i].reason;
    examples += same ? skipped[i].name + ", " : cat(skipped[i].name, ": ", skipped[i].reason, "; ");
  }
  examples.resize(examples.size() - 2);
  const std::string too_small = size_problem(list, options, advice);
  fail_advising(
      cat(list.root.string(), ": ", skipped.size(), " of the first ", seen, " pictures (", list.names.size(),
          " in all) cannot be used; up to one in ", kTolerated, " would be skipped. ", examples,
          is_unusable(skipped[0]) ? "" : "; to use it: " + convert_one(list.source->place(skipped[0].name)),
          too_small),
      advice);
}

template <class T>
void append_row(const std::vector<T>& table, size_t row, size_t columns, std::vector<T>& to) {
  const auto first = table.begin() + std::ptrdiff_t(row * columns);
  to.insert(to.end(), first, first + std::ptrdiff_t(columns));
}

/// Decodes picture after picture into a file, which is written a chunk at a time.
class Decoding {
 public:
  Decoding(const ImageList& list, const DecodeOptions& options, PartialCache& file)
      : list_(list),
        options_(options),
        file_(file),
        image_bytes_(size_t(options.size.width) * size_t(options.size.height) * 3) {
    cache_.size = options.size;
    cache_.crop = name_of(options.crop);
    if (!list.attribute_list.empty()) attributes_ = read_attributes(list.attribute_list, list.names);
    if (!list.identity_list.empty()) identities_ = read_identities(list.identity_list, list.names);
    if (!list.landmark_list.empty()) landmarks_ = read_landmarks(list.landmark_list, list.names);
    cache_.attribute_names = attributes_.names;
  }

  void run() {
    const size_t total = list_.names.size(), already = resume();
    file_.check_room((total - already) * image_bytes_);
    if (options_.starting) options_.starting(forecast(already));
    if (options_.progress) options_.progress(already, total);
    const size_t chunk = chunk_pictures();
    Batch batches[2];
    const auto batch_of = [&](size_t c) -> Batch& { return batches[c % 2]; };
    const auto prepare = [&](size_t c) {
      Batch& batch = batch_of(c);
      batch.first = std::min(total, already + c * chunk);
      batch.outcomes.assign(std::min(chunk, total - batch.first), {});
      batch.pixels.resize(batch.outcomes.size() * image_bytes_);
    };
    prepare(0), prepare(1);
    const auto decode_next = [&](size_t i) { decode(batch_of(i / chunk), i % chunk); };
    const auto write_next = [&](size_t c) {
      keep(batch_of(c));
      if (options_.progress) options_.progress(batch_of(c).first + batch_of(c).outcomes.size(), total);
      prepare(c + 2);
    };
    OrderedWork(total - already, chunk, decode_next, write_next).run(options_.threads);
    cache_.content_hash = content_.value();
    file_.finish(cache_ending(cache_));
  }

 private:
  struct Batch {
    size_t first = 0;
    std::vector<Outcome> outcomes;
    std::vector<uint8_t> pixels;
  };

  /// Large enough to keep every thread busy, small enough for any memory.
  size_t chunk_pictures() const {
    constexpr size_t kChunkBytes = 32 << 20;
    const size_t threads = size_t(options_.threads);
    return std::max(threads, std::min(32 * threads, kChunkBytes / image_bytes_));
  }

  void decode(Batch& batch, size_t i) const {
    batch.outcomes[i] = decode_one(*list_.source, list_.names[batch.first + i], options_,
                                   batch.pixels.data() + i * image_bytes_);
  }

  /// Takes over what an interrupted build has done; returns the number of its pictures.
  size_t resume() {
    std::vector<uint64_t> hashes;
    const std::vector<CacheChunk> chunks = file_.resume(options_.key, image_bytes_, options_.threads, hashes);
    size_t done = 0;
    for (const CacheChunk& chunk : chunks) {
      add(done, chunk);
      done += chunk.pictures;
    }
    for (const uint64_t hash : hashes) content_.add(hash);
    return done;
  }

  /// Measured by decoding one in fifty of the pictures that are left, evenly spaced, for at most a quarter of a second.
  DecodeForecast forecast(size_t already) const {
    constexpr double kSeconds = 0.25;
    DecodeForecast result;
    result.done = already, result.pictures = list_.names.size() - already;
    result.bytes = list_.names.size() * image_bytes_;
    const size_t samples = std::min(result.pictures, result.pictures / 50 + 8 * size_t(options_.threads));
    const double start = now();
    std::atomic<size_t> decoded{0};
    parallel_for(samples, options_.threads, [&](size_t i) {
      if (now() - start > kSeconds) return;
      std::vector<uint8_t> pixels(image_bytes_);
      decode_one(*list_.source, list_.names[already + i * result.pictures / samples], options_,
                 pixels.data());
      ++decoded;
    });
    if (decoded > 0) result.seconds = (now() - start) / double(decoded) * double(result.pictures);
    return result;
  }

  /// Writes the images that could be read, without gaps.
  void keep(Batch& batch) {
    CacheChunk chunk;
    Hash chunk_hash;
    chunk.pictures = batch.outcomes.size();
    for (size_t i = 0, kept = 0; i < batch.outcomes.size(); ++i) {
      if (!batch.outcomes[i].reason.empty()) {
        chunk.skipped.push_back({i, batch.outcomes[i].reason});
        if (advice_.empty()) advice_ = batch.outcomes[i].advice;
        continue;
      }
      uint8_t* const pixels = batch.pixels.data();
      if (kept != i) std::memcpy(pixels + kept * image_bytes_, pixels + i * image_bytes_, image_bytes_);
      ++kept;
      content_.add(batch.outcomes[i].hash);
      chunk_hash.add(batch.outcomes[i].hash);
    }
    chunk.hash = chunk_hash.value();
    add(batch.first, chunk);
    const size_t seen = batch.first + batch.outcomes.size();
    const bool nothing = cache_.names.empty() && seen == list_.names.size();
    if (nothing || unusable(cache_.skipped) * kTolerated > list_.names.size()) {
      file_.discard();
      fail_unusable(list_, options_, cache_.skipped, seen, advice_);
    }
    file_.append(chunk, batch.pixels.data(), chunk.kept() * image_bytes_);
  }

  /// Adds the names of a chunk's images, their rows of the lists, and what is skipped.
  void add(size_t first, const CacheChunk& chunk) {
    auto skipped = chunk.skipped.begin();
    for (size_t i = 0; i < chunk.pictures; ++i) {
      const std::string& name = list_.names[first + i];
      if (skipped != chunk.skipped.end() && skipped->index == i) {
        cache_.skipped.push_back({name, (skipped++)->reason});
        continue;
      }
      cache_.names.push_back(name);
      append_row(attributes_.values, first + i, attributes_.names.size(), cache_.attributes);
      if (!identities_.empty()) append_row(identities_, first + i, 1, cache_.identities);
      if (!landmarks_.empty()) append_row(landmarks_, first + i, kLandmarks, cache_.landmarks);
    }
  }

  const ImageList& list_;
  const DecodeOptions& options_;
  PartialCache& file_;
  size_t image_bytes_;
  Attributes attributes_;  // these three: of every picture of the list
  std::vector<int32_t> identities_, landmarks_;
  ImageCache cache_;
  Hash content_;
  Advice advice_;  // of the first picture whose error has some
};

}  // namespace

bool is_unusable(const SkippedFile& file) { return !file.reason.starts_with(kOtherFormat); }

size_t unusable(const std::vector<SkippedFile>& skipped) {
  return size_t(std::count_if(skipped.begin(), skipped.end(), is_unusable));
}

void decode_picture(const std::vector<uint8_t>& bytes, const std::string& name, const DecodeOptions& options,
                    uint8_t* out) {
  const auto choose = [&](ImageSize whole) {
    const Rectangle part = crop_rectangle(options.crop, whole, options.size);
    if (!fits(part, options.size))
      fail(cat(name, ": ", whole.width, " pixels wide and ", whole.height, " high is too small"));
    return part;
  };
  const ImagePart picture = decode_part(bytes.data(), bytes.size(), name, choose, options.orientation);
  resize_into(picture.image, picture.part, options.size, out);
}

void decode_all(const ImageList& list, const DecodeOptions& options, PartialCache& file) {
  Decoding(list, options, file).run();
}

}  // namespace ito::data
