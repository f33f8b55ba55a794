#include "apps/app_sides_npz.h"

#include <algorithm>

#include "engine/io/npz.h"
#include "kernels/base/error.h"

namespace ito::apps {

namespace {

using Shape = std::vector<int64_t>;

[[noreturn]] void refuse(const Side& side, const std::string& array, const io::NpyHeader& header,
                         const std::string& expected) {
  fail(cat(side.place, ": ", array, " is ", io::name_of(header.type), " ", io::shape_text(header.shape),
           ", expected ", expected));
}

/// A whole array of f64 or f32 numbers of this shape, as T.
template <class T>
std::vector<T> numbers_of(const Side& side, const io::NpzReader& file, const std::string& name,
                          const Shape& shape) {
  const io::NpyArray array = file.array(name);
  if (array.shape != shape || (array.type != io::ElementType::f64 && array.type != io::ElementType::f32))
    refuse(side, name, {array.type, array.shape}, cat("F64 or F32 ", io::shape_text(shape)));
  std::vector<T> numbers(static_cast<size_t>(array.size()));
  if (array.type == io::ElementType::f64)
    std::copy_n(array.as<double>(), numbers.size(), numbers.begin());
  else
    std::copy_n(array.as<float>(), numbers.size(), numbers.begin());
  return numbers;
}

void take_statistics(Side& side, const io::NpzReader& file) {
  const io::NpyHeader header = file.open("mu").header();
  if (header.shape.size() != 1 || header.shape[0] < 1 || header.shape[0] > 1 << 15)
    refuse(side, "mu", header, "F64 [D]");
  const int64_t d = header.shape[0];
  side.statistics = model::FeatureStatistics{0, numbers_of<double>(side, file, "mu", {d}),
                                             numbers_of<double>(side, file, "sigma", {d, d})};
}

/// The chosen ones of an array's rows, `row` elements each, read in pieces: memory follows what is kept.
template <class T>
std::vector<T> chosen_rows(io::NpzStream& stream, size_t row, const std::vector<int64_t>& numbers) {
  std::vector<T> kept(numbers.size() * row), skipped(row);
  int64_t at = 0;
  for (size_t i = 0; i < numbers.size(); ++i, ++at) {
    for (; at < numbers[i]; ++at) stream.read(skipped.data(), row * sizeof(T));
    stream.read(kept.data() + i * row, row * sizeof(T));
  }
  return kept;
}

void take_features(Side& side, const io::NpzReader& file, const SideOptions& o) {
  io::NpzStream stream = file.open("pool_3");
  const io::NpyHeader& header = stream.header();
  if (header.type != io::ElementType::f32 || header.shape.size() != 2 || header.shape[0] < 2 ||
      header.shape[1] < 1)
    refuse(side, "pool_3", header, "F32 [N,D] with two rows at least");
  side.available = header.shape[0], side.feature_width = header.shape[1];
  const std::vector<int64_t> numbers = chosen_images(side.available, o);
  side.used = int64_t(numbers.size());
  side.features = chosen_rows<float>(stream, size_t(side.feature_width), numbers);
}

void take_images(Side& side, const io::NpzReader& file, const SideOptions& o) {
  io::NpzStream stream = file.open("arr_0");
  const io::NpyHeader& header = stream.header();
  const Shape& shape = header.shape;
  if (header.type != io::ElementType::u8 || shape.size() != 4 || shape[0] < 2 || shape[3] != 3 ||
      *std::min_element(shape.begin(), shape.end()) < 1 || std::max(shape[1], shape[2]) > 1 << 14)
    refuse(side, "arr_0", header, "U8 [N,H,W,3] with two images at least");
  side.available = shape[0], side.height = int(shape[1]), side.width = int(shape[2]);
  const std::vector<int64_t> numbers = chosen_images(side.available, o);
  side.used = int64_t(numbers.size());
  const size_t bytes = size_t(side.height) * size_t(side.width) * 3;
  const auto pixels =
      std::make_shared<const std::vector<uint8_t>>(chosen_rows<uint8_t>(stream, bytes, numbers));
  side.read = [=](int64_t i, uint8_t* out) { std::copy_n(pixels->data() + size_t(i) * bytes, bytes, out); };
  side.name = [=](int64_t i) { return cat("image ", numbers[size_t(i)]); };
}

}  // namespace

void open_npz(Side& side, const SideOptions& options) {
  const io::NpzReader file(side.place);
  if (file.has("arr_0")) {
    side.kind = "images";
    take_images(side, file, options);
  } else if (file.has("pool_3")) {
    side.kind = "features";
    take_features(side, file, options);
  } else if (file.has("mu") && file.has("sigma")) {
    side.kind = "statistics";
  } else {
    fail(cat(side.place, " holds neither mu and sigma, nor pool_3, nor arr_0"));
  }
  if (!file.has("mu") || !file.has("sigma")) return;
  take_statistics(side, file);
  side.notes.push_back(cat(side.place,
                           ": mu and sigma are taken as they are; which images, how many and which "
                           "resize mode they stand for is not said there"));
}

void write_statistics(const std::filesystem::path& file, const model::FeatureStatistics& statistics) {
  const int64_t d = statistics.dimensions();
  io::NpzWriter writer(file);
  writer.add("mu", io::ElementType::f64, {d}, statistics.mean.data());
  writer.add("sigma", io::ElementType::f64, {d, d}, statistics.covariance.data());
  writer.commit();
}

}  // namespace ito::apps
