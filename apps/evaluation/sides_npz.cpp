#include "apps/evaluation/sides_npz.h"

#include <algorithm>
#include <cmath>

#include "data/pictures/file_kind.h"
#include "engine/io/npz.h"
#include "engine/io/printable.h"
#include "kernels/base/error.h"
#include "kernels/base/file.h"
#include "kernels/base/path_text.h"

namespace ito::apps {

namespace {

namespace fs = std::filesystem;

using Shape = std::vector<int64_t>;

constexpr const char* kKeys =
    "mu and sigma (statistics, F64 or F32 [D] and [D,D]), pool_3 (features, F32 [N,D]), "
    "arr_0 or samples (images, U8 [N,H,W,3])";

/// Images of an array, by their numbers in it.
class ArrayImages : public SideImages {
 public:
  ArrayImages(data::ImageSize size, std::vector<int64_t> numbers, std::vector<uint8_t> pixels)
      : SideImages(size), numbers_(std::move(numbers)), pixels_(std::move(pixels)) {}
  std::string name(int64_t i) const override { return cat("image ", numbers_[size_t(i)]); }
  void read(int64_t i, uint8_t* out) const override {
    std::copy_n(pixels_.data() + size_t(i) * bytes(), bytes(), out);
  }

 private:
  const std::vector<int64_t> numbers_;
  const std::vector<uint8_t> pixels_;
};

/// The command that converts a file to an .npz by some Python: `a` is what numpy reads from it.
std::string conversion(const std::string& place, const std::string& reading, const std::string& saved) {
  fs::path result = place;
  result.replace_extension(".read.npz");
  return cat("convert it by  python3 -c \"import sys, pickle, numpy as n; a = ", reading,
             "; n.savez(sys.argv[2], ", saved, ")\" ", shell_quoted(place), " ",
             shell_quoted(result.string()));
}

[[noreturn]] void refuse(const Side& side, const std::string& array, const io::NpyHeader& header,
                         const std::string& expected, const std::string& remedy = "") {
  fail(cat(side.place(), ": ", array, " is ", io::name_of(header.type), " ", io::shape_text(header.shape),
           ", expected ", expected, remedy.empty() ? "" : "; " + remedy));
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

/// Error unless sigma can be a covariance: symmetric, no variance below 0, no correlation beyond 1.
void check_covariance(const Side& side, const std::vector<double>& sigma, int64_t d) {
  const auto at = [&](int64_t i, int64_t j) { return sigma[size_t(i * d + j)]; };
  double largest = 0;
  for (int64_t i = 0; i < d; ++i) largest = std::max(largest, at(i, i));
  const double rounding =
      1e-6 * largest;  // the error of f32 sums; the variance of a constant feature may be below 0 by it
  for (int64_t i = 0; i < d; ++i) {
    if (at(i, i) < -rounding)
      fail(cat(side.place(), ": sigma is no covariance: variance ", i, " is ", at(i, i),
               "; numpy.cov(features, rowvar=False) makes one"));
    for (int64_t j = 0; j < i; ++j) {
      const double most = std::sqrt(std::max(at(i, i), 0.0) * std::max(at(j, j), 0.0));
      const double slack = 1e-3 * most + rounding;
      if (std::abs(at(i, j) - at(j, i)) <= slack && std::abs(at(i, j)) <= most + slack) continue;
      fail(cat(side.place(), ": sigma is no covariance: at [", i, ",", j, "] ", at(i, j), ", at [", j, ",", i,
               "] ", at(j, i), ", and the variances are ", at(i, i), " and ", at(j, j),
               "; numpy.cov(features, rowvar=False) makes one"));
    }
  }
}

template <class T>
void check_finite(const Side& side, const std::string& array, const std::vector<T>& numbers) {
  const auto bad = std::find_if(numbers.begin(), numbers.end(), [](T x) { return !std::isfinite(x); });
  if (bad != numbers.end())
    fail(cat(side.place(), ": ", array, " holds ", *bad, " (number ", bad - numbers.begin(),
             "): compute it again, from finite features"));
}

void take_statistics(Side& side, const io::NpzReader& file) {
  const io::NpyHeader header = file.open("mu").header();
  if (header.shape.size() != 1 || header.shape[0] < 1 || header.shape[0] > 1 << 15)
    refuse(side, "mu", header, "F64 [D]");
  const int64_t d = header.shape[0];
  side.statistics = model::FeatureStatistics{0, numbers_of<double>(side, file, "mu", {d}),
                                             numbers_of<double>(side, file, "sigma", {d, d})};
  check_finite(side, "mu", side.statistics->mean);
  check_finite(side, "sigma", side.statistics->covariance);
  check_covariance(side, side.statistics->covariance, d);
}

/// The chosen rows of an array, `row` elements each, read one at a time: memory is needed only for what is kept.
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
  if (header.type != io::ElementType::f32 || header.shape.size() != 2 || header.shape[0] < 1 ||
      header.shape[1] < 1)
    refuse(side, "pool_3", header, "F32 [N,D]");
  side.available = header.shape[0];
  const std::vector<int64_t> numbers = chosen_images(side.available, o);
  side.used = int64_t(numbers.size());
  side.features = {chosen_rows<float>(stream, size_t(header.shape[1]), numbers), header.shape[1]};
  check_finite(side, "pool_3", side.features->values);
}

/// How to convert images of another form to U8 [N,H,W,3] in Python; "" if that is not known.
std::string as_images(const io::NpyHeader& header) {
  const Shape& shape = header.shape;
  std::string a = "a";
  const bool fractions = header.type == io::ElementType::f32 || header.type == io::ElementType::f64;
  if (fractions) a = "(a * 255).round().clip(0, 255).astype('uint8')";  // from 0 to 1, as usual
  if (shape.size() == 3) return a + "[..., None].repeat(3, 3)";
  if (shape.size() != 4) return "";
  const bool first = (shape[1] == 1 || shape[1] == 3) && shape[3] > 4;  // [N,C,H,W]
  if (first) a += ".transpose(0, 2, 3, 1)";
  const int64_t channels = first ? shape[1] : shape[3];
  if (channels == 1) return a + ".repeat(3, 3)";
  return channels == 3 && a != "a" ? a : channels == 4 ? a + "[..., :3]" : "";
}

void take_images(Side& side, const io::NpzReader& file, const std::string& key, const SideOptions& o) {
  io::NpzStream stream = file.open(key);
  const io::NpyHeader& header = stream.header();
  const Shape& shape = header.shape;
  if (header.type != io::ElementType::u8 || shape.size() != 4 || shape[3] != 3 ||
      *std::min_element(shape.begin(), shape.end()) < 1 || std::max(shape[1], shape[2]) > 1 << 14) {
    const std::string how = as_images(header);
    refuse(side, key, header, "images U8 [N,H,W,3]",
           how.empty() ? "" : conversion(side.place(), cat("n.load(sys.argv[1])['", key, "']"), how));
  }
  side.available = shape[0];
  std::vector<int64_t> numbers = chosen_images(side.available, o);
  side.used = int64_t(numbers.size());
  std::vector<uint8_t> pixels = chosen_rows<uint8_t>(stream, size_t(shape[1] * shape[2] * 3), numbers);
  side.images = std::make_shared<ArrayImages>(data::ImageSize{int(shape[2]), int(shape[1])},
                                              std::move(numbers), std::move(pixels));
}

/// Refuses a pickle: it may contain a program, which must not run here.
[[noreturn]] void refuse_pickle(const std::string& place, const std::string& what,
                                const std::string& reading) {
  fail(cat(place, ": ", what, ", which is never executed here; where you trust it, ",
           conversion(place, reading + "; a = a.get('fid', a)", "mu=a['mu'], sigma=a['sigma']")));
}

/// Whether a file is a zip archive of .npy files under another ending.
bool holds_arrays(const fs::path& path, const std::string& start) {
  if (start.compare(0, 4, "PK\3\4") != 0) return false;
  const io::ZipReader zip(path);
  return !zip.entries().empty() && fs::path(zip.entries()[0].name).extension() == ".npy";
}

void open_npz(Side& side, const SideOptions& options) {
  const io::NpzReader file(side.place());
  const bool statistics = file.has("mu") && file.has("sigma");
  if (const char* const key = file.has("arr_0") ? "arr_0" : "samples"; file.has(key)) {
    side.identity.kind = "images";
    take_images(side, file, key, options);
  } else if (file.has("pool_3")) {
    side.identity.kind = "features";
    take_features(side, file, options);
  } else if (statistics) {
    side.identity.kind = "statistics";
  } else {
    std::string held;
    for (const std::string& name : file.names()) held += (held.empty() ? "" : ", ") + io::printable(name);
    fail(cat(side.place(), " holds ", held.empty() ? "no array" : io::printable(held), "; read are ", kKeys,
             ". If those are there by other names, ",
             conversion(side.place(), "n.load(sys.argv[1])", "mu=a['NAME'], sigma=a['NAME']")));
  }
  if (!statistics) return;
  take_statistics(side, file);
  side.notes.push_back(cat(side.place(),
                           ": mu and sigma are taken as they are; which images, how many and which "
                           "resize mode they are of is not stored there"));
}

/// Refuses a file of one array: images, or a pickled Python object.
[[noreturn]] void refuse_npy(const std::string& place) {
  const File file(place, File::Mode::read);
  std::string start(256, '\0');
  start.resize(file.read_at(0, start.data(), start.size()));
  if (start.find("'|O'") != std::string::npos)
    refuse_pickle(place, "an .npy of Python objects", "n.load(sys.argv[1], allow_pickle=True).item()");
  fail(cat(place, ": one array (.npy); of an .npz are read ", kKeys, "; for images ",
           conversion(place, "n.load(sys.argv[1])", "a")));
}

}  // namespace

bool open_arrays(Side& side, const SideOptions& options) {
  const fs::path path(side.place());
  const File file(path, File::Mode::read);
  std::string start(8, '\0');
  start.resize(file.read_at(0, start.data(), start.size()));
  if (start.compare(0, 6, "\x93NUMPY") == 0) refuse_npy(side.place());
  const bool pickled = start.size() > 2 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5;
  if (pickled || data::has_ending(side.place(), ".pkl") || data::has_ending(side.place(), ".pickle"))
    refuse_pickle(side.place(), "a Python pickle", "pickle.load(open(sys.argv[1], 'rb'))");
  if (!data::has_ending(side.place(), ".npz") && !holds_arrays(path, start)) return false;
  open_npz(side, options);
  return true;
}

void write_statistics(const std::filesystem::path& file, const model::FeatureStatistics& statistics) {
  const int64_t d = statistics.dimensions();
  io::NpzWriter writer(file);
  writer.add("mu", io::ElementType::f64, {d}, statistics.mean.data());
  writer.add("sigma", io::ElementType::f64, {d, d}, statistics.covariance.data());
  writer.commit();
}

}  // namespace ito::apps
