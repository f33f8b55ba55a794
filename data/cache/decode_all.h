#pragma once

#include <cstddef>
#include <functional>

#include "data/cache/partial_cache.h"
#include "data/pictures/crop.h"
#include "data/pictures/image_list.h"

namespace ito::data {

/// One picture in this many may be damaged or too small: it is left out and named.
inline constexpr size_t kTolerated = 20;

/// A picture was left out because it is damaged or too small, not because it is of another format.
bool is_unusable(const SkippedFile& file);
size_t unusable(const std::vector<SkippedFile>& skipped);

/// What decoding will take, estimated from a quarter of a second of it.
struct DecodeForecast {
  size_t pictures = 0;  // to do
  size_t done = 0;      // by an earlier build that was interrupted
  double seconds = 0;   // for those to do, on all threads
  uint64_t bytes = 0;   // of all decoded pictures
};

struct DecodeOptions {
  Crop crop = Crop::none;
  Orientation orientation = Orientation::upright;
  ImageSize size;
  int size_step = 1;  // sizes that errors advise are multiples of it
  int threads = 1;
  uint64_t key = 0;  // of all that the file depends on: the pictures and the options
  std::function<void(const DecodeForecast&)> starting;
  std::function<void(size_t done, size_t total)> progress;
};

/// Decodes one picture from a file's bytes to pixels u8 [size.height, size.width, 3] at `out`. Error, naming it:
/// unreadable, or the crop leaves less than that.
void decode_picture(const std::vector<uint8_t>& bytes, const std::string& name, const DecodeOptions& options,
                    uint8_t* out);

/// Decodes, crops and scales every picture of `list` on all threads into `file`, going on where an
/// interrupted build of the same key ended. The bytes depend neither on that nor on the number of threads.
/// Errors: see open_dataset.
void decode_all(const ImageList& list, const DecodeOptions& options, PartialCache& file);

}  // namespace ito::data
