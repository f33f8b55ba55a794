#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <sstream>
#include <vector>

#include "data/drawn_faces.h"
#include "data/parallel.h"
#include "kernels/error.h"

namespace ito::data {
namespace fs = std::filesystem;

namespace {

constexpr char kImages[] = "img_align_celeba";
constexpr char kAttributes[] = "list_attr_celeba.txt";
constexpr char kSplits[] = "list_eval_partition.txt";
constexpr char kUnfinished[] = ".tmp";  ///< how the names of files that are being written end
constexpr uint64_t kMaxCount = 999'999;
constexpr int kQuality = 92;

std::string file_name(uint64_t index) {
  char name[16];
  std::snprintf(name, sizeof name, "%06d.jpg", int(index + 1));
  return name;
}

/// The index of the picture that is called so, or -1.
int64_t index_of(const std::string& name) {
  if (name.size() != 10 || name.substr(6) != ".jpg") return -1;
  int64_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + 6, number);
  return parsed.ptr == name.data() + 6 && number > 0 ? number - 1 : -1;
}

std::string attribute_list(uint64_t seed, uint64_t count) {
  std::string text = cat(count, "\n");
  for (const char* name : kFaceAttributeNames) text += cat(name, " ");
  text += "\n";
  for (uint64_t i = 0; i < count; ++i) {
    text += file_name(i);
    for (const int8_t value : face_attributes(face_traits(seed, i))) text += value > 0 ? "  1" : " -1";
    text += "\n";
  }
  return text;
}

std::string split_list(uint64_t count) {
  std::string text;
  for (uint64_t i = 0; i < count; ++i) text += cat(file_name(i), " ", face_split(i, count), "\n");
  return text;
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) fail(cat("cannot read ", path.string()));
  return std::move(text).str();
}

/// The whole file or what stood there before. It is not flushed to the disk: a hundred thousand small files
/// would wait.
template <class Bytes>
void write_whole(const fs::path& path, const Bytes& bytes) {
  const fs::path unfinished = path.string() + kUnfinished;
  std::ofstream out(unfinished, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
  out.close();
  std::error_code error;
  if (out) fs::rename(unfinished, path, error);
  if (!out || error)
    fail(cat("cannot write ", path.string(), ": is the disk full, or the folder not yours?"));
}

[[noreturn]] void refuse(const fs::path& folder, const std::string& what) {
  fail(cat(folder.string(), " ", what, "; give a new or an empty folder"));
}

/// Which pictures stand already; refuses a folder with anything that is not of this set.
std::vector<char> find_pictures(const fs::path& folder, const FaceSetOptions& options) {
  std::vector<char> stands(options.count, 0);
  if (!fs::exists(folder)) return stands;
  if (!fs::is_directory(folder)) refuse(folder, "is not a folder");
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name != kImages && name != kAttributes && name != kSplits && entry.path().extension() != kUnfinished)
      refuse(folder, cat("holds '", name, "', which is no part of a set of drawn faces"));
  }
  if (!fs::exists(folder / kImages)) return stands;
  for (const auto& entry : fs::directory_iterator(folder / kImages)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() == kUnfinished) continue;
    const int64_t index = index_of(name);
    if (index < 0) refuse(folder, cat("holds '", kImages, "/", name, "', which is no drawn face"));
    if (uint64_t(index) >= options.count)
      refuse(folder, cat("holds more than ", options.count, " faces ('", name, "')"));
    stands[size_t(index)] = 1;
  }
  return stands;
}

/// Refuses pictures or attributes of another seed: all rows of the list, and pictures at even distances, are
/// compared.
void check_same_seed(const fs::path& folder, const FaceSetOptions& options, const std::vector<char>& stands) {
  if (fs::exists(folder / kAttributes)) {
    const std::string text = read_text(folder / kAttributes);
    uint64_t rows = 0;
    std::from_chars(text.data(), text.data() + text.size(), rows);
    if (rows > options.count || text != attribute_list(options.seed, rows))
      refuse(folder, cat("holds attributes that are not those of seed ", options.seed));
  }
  std::vector<uint64_t> standing;
  for (uint64_t i = 0; i < stands.size(); ++i)
    if (stands[i]) standing.push_back(i);
  const uint64_t compared = std::min<uint64_t>(standing.size(), 8);
  for (uint64_t k = 0; k < compared; ++k) {
    const uint64_t i = standing[compared == 1 ? 0 : k * (standing.size() - 1) / (compared - 1)];
    const fs::path path = folder / kImages / file_name(i);
    const std::vector<uint8_t> ours = encode_jpeg(draw_face(face_traits(options.seed, i)), kQuality);
    const std::string theirs = read_text(path);
    if (!std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                    [](uint8_t a, char b) { return a == uint8_t(b); }))
      refuse(folder,
             cat("holds ", kImages, "/", file_name(i), ", which is not what seed ", options.seed, " draws"));
  }
}

void draw_missing(const fs::path& folder, const FaceSetOptions& options,
                  const std::vector<uint64_t>& missing) {
  std::mutex mutex;
  uint64_t done = options.count - missing.size();
  parallel_for(missing.size(), thread_count(options.threads), [&](size_t k) {
    const Image picture = draw_face(face_traits(options.seed, missing[k]));
    write_whole(folder / kImages / file_name(missing[k]), encode_jpeg(picture, kQuality));
    const std::lock_guard<std::mutex> lock(mutex);
    ++done;
    if (options.progress) options.progress(done, options.count);
  });
}

}  // namespace

int face_split(uint64_t index, uint64_t count) {
  constexpr double kTrain = 162770.0 / 202599, kValidation = 182637.0 / 202599;
  if (index < uint64_t(std::llround(kTrain * double(count)))) return 0;
  return index < uint64_t(std::llround(kValidation * double(count))) ? 1 : 2;
}

FaceSetResult write_face_set(const fs::path& folder, const FaceSetOptions& options) {
  if (options.count < 1 || options.count > kMaxCount)
    fail(cat("a set of ", options.count, " faces cannot be drawn; give a count from 1 to ", kMaxCount));
  const std::vector<char> stands = find_pictures(folder, options);
  check_same_seed(folder, options, stands);
  std::error_code error;
  fs::create_directories(folder / kImages, error);
  if (error) fail(cat("cannot make the folder ", (folder / kImages).string(), ": ", error.message()));
  std::vector<uint64_t> missing;
  for (uint64_t i = 0; i < options.count; ++i)
    if (!stands[i]) missing.push_back(i);
  draw_missing(folder, options, missing);
  write_whole(folder / kAttributes, attribute_list(options.seed, options.count));
  write_whole(folder / kSplits, split_list(options.count));
  return {missing.size(), options.count - missing.size()};
}

}  // namespace ito::data
