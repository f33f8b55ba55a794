#include <algorithm>
#include <charconv>
#include <cmath>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "data/faces/drawn_faces.h"
#include "data/faces/drawn_faces_lists.h"
#include "data/faces/drawn_faces_store.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"

namespace ito::data {
namespace fs = std::filesystem;

namespace {

constexpr int kQuality = 92;

/// Where a layout has its parts, below the set's folder.
struct Places {
  std::string pictures;           // a folder; or an archive, by its ending
  std::string annotations, eval;  // where the lists are: "" or ending with '/'
  bool csv = false;
  bool archive() const { return fs::path(pictures).extension() == ".zip"; }
};

Places places_of(FaceLayout layout) {
  switch (layout) {
    case FaceLayout::official:
      break;
    case FaceLayout::folders:
      return {"Img/img_align_celeba", "Anno/", "Eval/"};
    case FaceLayout::torchvision:
      return {"celeba/img_align_celeba", "celeba/", "celeba/"};
    case FaceLayout::kaggle:
      return {"img_align_celeba/img_align_celeba", "", "", true};
    case FaceLayout::zip:
      return {"img_align_celeba.zip", "", ""};
  }
  return {"img_align_celeba", "", ""};
}

/// One set as it will be: where its files are, and how they are made.
class FaceSet {
 public:
  FaceSet(const fs::path& folder, const FaceSetOptions& options)
      : folder_(folder), options_(options), places_(places_of(options.layout)) {
    add_list(places_.annotations, attribute_list(options.seed));
    add_list(places_.eval, split_list(options.count));
    if (options.layout != FaceLayout::kaggle) add_list(places_.annotations, identity_list());
    add_list(places_.annotations, landmark_list(options.seed));
  }

  FaceSetResult write() {
    check_files();
    const fs::path pictures = folder_ / places_.pictures;
    store_.emplace(pictures, places_.archive() ? "img_align_celeba/" : "");
    const std::vector<char> present = find_pictures();
    check_same_seed(present);
    const uint64_t kept = uint64_t(std::count(present.begin(), present.end(), 1));
    draw_missing(present, kept);
    for (const auto& [name, list] : lists_) {
      const fs::path path = folder_ / name;
      make_folder(path.parent_path());
      io::write_file_atomic(path, places_.csv ? csv_of(list, options_.count) : text_of(list, options_.count));
    }
    return {options_.count - kept, kept};
  }

 private:
  void add_list(const std::string& where, FaceList list) {
    const std::string name = where + list.stem + (places_.csv ? ".csv" : ".txt");
    lists_.emplace_back(name, std::move(list));
  }

  [[noreturn]] void refuse(const std::string& what) const {
    fail(cat(folder_.string(), " ", what, "; give a new or an empty folder"));
  }

  /// Whether the file is part of the set, or the folder leads to one that is.
  bool is_part(const std::string& name, bool is_folder) const {
    const auto fits = [&](const std::string& part) {
      return is_folder ? part.compare(0, name.size() + 1, name + "/") == 0 : part == name;
    };
    if (name == places_.pictures) return is_folder != places_.archive();
    if (fits(places_.pictures)) return true;
    return std::any_of(lists_.begin(), lists_.end(), [&](const auto& list) { return fits(list.first); });
  }

  /// Refuses a folder with anything that is not of this set.
  void check_files() const {
    if (!fs::exists(folder_)) return;
    if (!fs::is_directory(folder_)) refuse("is not a folder");
    for (fs::recursive_directory_iterator entry(folder_), end; entry != end; ++entry) {
      const std::string name = entry->path().lexically_relative(folder_).generic_string();
      if (name == places_.pictures) entry.disable_recursion_pending();  // find_pictures looks into it
      if (entry->path().extension() != kUnfinished && !is_part(name, entry->is_directory()))
        refuse(cat("holds '", name, "', which is not part of a set of drawn faces in layout ",
                   name_of(options_.layout)));
    }
  }

  /// Which pictures are present already; refuses any but the set's.
  std::vector<char> find_pictures() const {
    std::vector<char> present(options_.count, 0);
    for (const std::string& name : store_->names()) {
      uint64_t number = 0;
      std::from_chars(name.data(), name.data() + name.size(), number);
      if (number == 0 || name != face_name(number - 1))
        refuse(cat("holds '", places_.pictures, "/", name, "', which is not a drawn face"));
      if (number > options_.count) refuse(cat("holds more than ", options_.count, " faces ('", name, "')"));
      present[size_t(number - 1)] = 1;
    }
    return present;
  }

  /// Refuses pictures or attributes of another seed: compares all rows of the list, and eight pictures at even
  /// distances.
  void check_same_seed(const std::vector<char>& present) const {
    const auto& [name, list] = lists_.front();
    if (fs::exists(folder_ / name)) {
      const std::string text = io::read_file(folder_ / name, uint64_t(1) << 30);
      const int64_t rows = std::count(text.begin(), text.end(), '\n') - (places_.csv ? 1 : 2);
      if (rows < 0 || uint64_t(rows) > options_.count ||
          text != (places_.csv ? csv_of(list, uint64_t(rows)) : text_of(list, uint64_t(rows))))
        refuse(cat("holds attributes that are not those of seed ", options_.seed));
    }
    std::vector<uint64_t> there;
    for (uint64_t i = 0; i < present.size(); ++i)
      if (present[i]) there.push_back(i);
    const uint64_t compared = std::min<uint64_t>(there.size(), 8);
    for (uint64_t k = 0; k < compared; ++k) {
      const uint64_t i = there[compared == 1 ? 0 : k * (there.size() - 1) / (compared - 1)];
      if (store_->read(face_name(i)) != draw(i))
        refuse(cat("holds ", places_.pictures, "/", face_name(i), ", which is not what seed ", options_.seed,
                   " draws"));
    }
  }

  std::vector<uint8_t> draw(uint64_t index) const {
    return encode_jpeg(draw_face(face_traits(options_.seed, index)), kQuality);
  }

  void draw_missing(const std::vector<char>& present, uint64_t done) {
    std::mutex mutex;
    store_->complete(present, thread_count(options_.threads), [&](uint64_t index) {
      std::vector<uint8_t> bytes = draw(index);
      const std::lock_guard<std::mutex> lock(mutex);
      ++done;
      if (options_.progress) options_.progress(done, options_.count);
      return bytes;
    });
  }

  fs::path folder_;
  FaceSetOptions options_;
  Places places_;
  std::vector<std::pair<std::string, FaceList>> lists_;  // by their names below the folder; attributes first
  std::optional<FaceStore> store_;
};

}  // namespace

int face_split(uint64_t index, uint64_t count) {
  constexpr double kTrain = 162770.0 / 202599, kValidation = 182637.0 / 202599;
  if (index < uint64_t(std::llround(kTrain * double(count)))) return 0;
  return index < uint64_t(std::llround(kValidation * double(count))) ? 1 : 2;
}

FaceSetResult write_face_set(const fs::path& folder, const FaceSetOptions& options) {
  if (options.count < 1 || options.count > kMostFaces)
    fail(cat("a set of ", options.count, " faces cannot be drawn; give a count from 1 to ", kMostFaces));
  return FaceSet(folder, options).write();
}

}  // namespace ito::data
