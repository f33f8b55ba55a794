#include "apps/evaluation/sides.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <numeric>
#include <sstream>

#include "apps/console/live_line.h"
#include "apps/console/number_text.h"
#include "apps/evaluation/rounds.h"
#include "apps/evaluation/sides_npz.h"
#include "apps/inputs/give_way.h"
#include "apps/inputs/pictures.h"
#include "apps/inputs/samples.h"
#include "data/celeba_files/celeba.h"
#include "data/pictures/file_kind.h"
#include "data/pictures/folder.h"
#include "engine/agreement.h"
#include "kernels/base/clock.h"
#include "kernels/base/hash.h"
#include "kernels/base/parallel.h"
#include "kernels/base/philox.h"
#include "model/diffusion/sampler.h"
#include "model/metrics/inception.h"
#include "model/training/checkpoint.h"
#include "model/training/run_folder.h"

namespace ito::apps {

namespace fs = std::filesystem;

namespace {

std::string size_text(data::ImageSize size) { return cat(size.height, "x", size.width); }
bool same(data::ImageSize a, data::ImageSize b) { return a.height == b.height && a.width == b.width; }

/// Numbers of the pictures that can be read, all of one size.
struct Checked {
  std::vector<int64_t> numbers;
  data::ImageSize size;
};

/// Pictures of a folder or zip, as they are.
class PlainImages : public SideImages {
 public:
  PlainImages(std::shared_ptr<const data::ImageList> list, Checked checked, data::Orientation orientation)
      : SideImages(checked.size),
        list_(std::move(list)),
        numbers_(std::move(checked.numbers)),
        orientation_(orientation) {}
  std::string name(int64_t i) const override { return list_->names[size_t(numbers_[size_t(i)])]; }
  void read(int64_t i, uint8_t* out) const override {
    const std::string picture = name(i);
    const std::vector<uint8_t> bytes = list_->source->read(picture);
    const data::Image image =
        data::decode_image(bytes.data(), bytes.size(), list_->source->place(picture), orientation_);
    std::copy(image.rgb.begin(), image.rgb.end(), out);
  }

 private:
  std::shared_ptr<const data::ImageList> list_;
  std::vector<int64_t> numbers_;
  data::Orientation orientation_;
};

/// Images of a data set, cut and scaled as for training.
class CutImages : public SideImages {
 public:
  CutImages(data::Dataset images, std::vector<int64_t> numbers)
      : SideImages({images.width(), images.height()}),
        images_(std::move(images)),
        numbers_(std::move(numbers)) {}
  std::string name(int64_t i) const override { return images_.names()[size_t(numbers_[size_t(i)])]; }
  void read(int64_t i, uint8_t* out) const override {
    std::copy_n(images_.pixels() + size_t(numbers_[size_t(i)]) * bytes(), bytes(), out);
  }

 private:
  data::Dataset images_;
  std::vector<int64_t> numbers_;
};

model::SamplerSettings settings_of(const model::LoadedModel& loaded, const SideOptions& o) {
  return loaded.settle(o.sampler);
}

/// The sampler and its options: "sampler", "sampler steps", "sampler grid" ...
void add_sampling(Side& side, const model::SamplerFacts& sampling) {
  for (const auto& [name, value] : sampling)
    side.identity.facts.emplace_back(name == "sampler" ? name : "sampler " + name, value);
}

/// What a checkpoint draws from seeds 0 .. count - 1, quantised as the files of ./sample would be.
class DrawnImages : public SideImages {
 public:
  DrawnImages(engine::Device& device, model::LoadedModel loaded, const SideOptions& options)
      : SideImages({loaded.options.network.width, loaded.options.network.height}),
        device_(device),
        loaded_(std::move(loaded)),
        guided_(device, loaded_, options.guidance),
        plan_(model::make_sampler_plan(settings_of(loaded_, options), loaded_.sde)),
        count_(options.count) {}
  const GuidedModel& guided() const { return guided_; }
  void prepare() override {
    std::vector<uint64_t> seeds(static_cast<size_t>(count_));
    std::iota(seeds.begin(), seeds.end(), uint64_t(0));
    LiveLine line;
    const double start = now();
    pixels_ = model::sample_images(device_, guided_.denoiser(), plan_, {size().height, size().width, 3},
                                   seeds, [&](double done) {
                                     give_way();
                                     line.show(cat("sampling   ", part_done(done, now() - start)));
                                   });
  }
  std::string name(int64_t i) const override { return cat("seed ", i); }
  void read(int64_t i, uint8_t* out) const override {
    std::copy_n(pixels_.data() + size_t(i) * bytes(), bytes(), out);
  }

 private:
  engine::Device& device_;
  const model::LoadedModel loaded_;
  const GuidedModel guided_;
  const model::SamplerPlan plan_;
  int64_t count_;
  std::vector<uint8_t> pixels_;
};

/// What decoding the pictures gives.
struct Looks {
  std::vector<data::ImageSize> sizes;
  std::map<int64_t, std::string> reasons;  // of those that cannot be read
};

/// The size of a picture, or the reason why it cannot be read.
data::ImageSize look_at(const data::ImageList& list, const std::string& name, const SideOptions& o,
                        std::string& reason) {
  try {
    const std::vector<uint8_t> bytes = list.source->read(name);
    reason = data::other_format({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name);
    if (!reason.empty()) return {};
    const data::Image image =
        data::decode_image(bytes.data(), bytes.size(), list.source->place(name), o.orientation);
    return {image.width, image.height};
  } catch (const Error& error) {
    reason = error.what();
    return {};
  }
}

/// All ranks' reasons, on every one of them.
std::map<int64_t, std::string> gathered(kernels::Wire& ranks, const std::map<int64_t, std::string>& own) {
  constexpr char kEnd = '\0';
  std::string text;
  for (const auto& [picture, reason] : own) text += cat(picture) + kEnd + reason + kEnd;
  std::map<int64_t, std::string> all;
  for (const std::string& of_rank : engine::gather_texts(ranks, text)) {
    std::istringstream parts(of_rank);
    for (std::string picture, reason;
         std::getline(parts, picture, kEnd) && std::getline(parts, reason, kEnd);)
      all[std::stoll(picture)] = reason;
  }
  return all;
}

/// Decodes all pictures, which ranks share.
Looks look_at_all(const data::ImageList& list, const std::vector<int64_t>& numbers, const SideOptions& o,
                  kernels::Wire& ranks) {
  constexpr int64_t kAtOnce = 64;
  const auto count = int64_t(numbers.size());
  Looks looks;
  std::map<int64_t, std::string> own;
  LiveLine line;
  const auto make = [&](int64_t first, int64_t n, data::ImageSize* sizes) {
    give_way();
    std::vector<std::string> reasons(static_cast<size_t>(n));
    parallel_for(reasons.size(), thread_count(o.threads), [&](size_t i) {
      sizes[i] = look_at(list, list.names[size_t(numbers[size_t(first) + i])], o, reasons[i]);
    });
    for (int64_t i = 0; i < n; ++i)
      if (!reasons[size_t(i)].empty()) own[first + i] = reasons[size_t(i)];
  };
  const auto take = [&](int64_t first, int64_t n, const data::ImageSize* sizes) {
    looks.sizes.insert(looks.sizes.end(), sizes, sizes + n);
    line.show(cat("checking   ", thousands(first + n), " of ", thousands(count), " pictures"));
  };
  in_rounds<data::ImageSize>(ranks, {count, kAtOnce, 1}, make, take);
  line.end();
  looks.reasons = gathered(ranks, own);
  return looks;
}

/// Decodes every picture once, so that no damaged one ends hours of work; this takes little time compared with the
/// network's. As in training, up to one unreadable picture in data::kTolerated is left out, and named. Error: more than
/// that; pictures of several sizes.
Checked checked_pictures(const data::ImageList& list, const std::vector<int64_t>& numbers,
                         const SideOptions& o, kernels::Wire& ranks,
                         std::vector<data::SkippedFile>& left_out) {
  const auto [sizes, reasons] = look_at_all(list, numbers, o, ranks);
  Checked result;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const std::string& name = list.names[size_t(numbers[i])];
    if (const auto reason = reasons.find(int64_t(i)); reason != reasons.end()) {
      left_out.push_back({name, reason->second});
      continue;
    }
    if (result.numbers.empty()) result.size = sizes[i];
    if (!same(sizes[i], result.size))
      fail(cat(list.source->place(name), " is ", size_text(sizes[i]), ", ",
               list.names[size_t(result.numbers[0])], " is ", size_text(result.size),
               ": images of one size are needed; --size HxW cuts and scales them"));
    result.numbers.push_back(numbers[i]);
  }
  if (data::unusable(left_out) * data::kTolerated > numbers.size() || result.numbers.empty())
    fail(cat(list.root.string(), ": ", left_out.size(), " of ", numbers.size(),
             " pictures cannot be read; up to one in ", data::kTolerated, " would be left out. ",
             left_out[0].reason));
  return result;
}

/// Whether all pictures have this size already, by their headers.
bool have_size(const data::ImageList& list, data::ImageSize wanted, data::Orientation orientation) {
  for (const std::string& name : list.names) {
    try {
      const std::vector<uint8_t> bytes = list.source->read(name);
      const std::string place = list.source->place(name);
      if (!same(data::read_image_size(bytes.data(), bytes.size(), place, orientation), wanted)) return false;
    } catch (const Error&) {  // decoding it will report this
    }
  }
  return true;
}

/// The seed that ./sample named a picture for: 5 of 000005.png.
std::optional<uint64_t> seed_of(const std::string& name) {
  unsigned long long seed = 0;
  int end = 0;
  if (std::sscanf(name.c_str(), "%llu.png%n", &seed, &end) != 1 || size_t(end) != name.size()) return {};
  return seed;
}

/// The samples.json that ./sample wrote next to its images tells which of them are of one sampling, and their crop.
void heed_sample_note(const SampleNote& note, data::ImageList& list, Side& side) {
  list.names.erase(std::remove(list.names.begin(), list.names.end(), "grid.png"), list.names.end());
  const size_t all = list.names.size();
  const auto foreign = [&](const std::string& name) {
    const std::optional<uint64_t> seed = seed_of(name);
    return !seed || !note.seeds.count(*seed);
  };
  list.names.erase(std::remove_if(list.names.begin(), list.names.end(), foreign), list.names.end());
  if (const size_t others = all - list.names.size())
    side.notes.push_back(cat(others, " picture(s) in ", side.place(),
                             " are not of the sampling that samples.json describes: left out"));
  if (list.names.empty()) fail(cat(side.place(), ": its samples.json lists none of the images in it"));
  if (!note.crop.empty()) side.identity.crop = note.crop;
  side.identity.facts = {{"run", note.run}, {"step", cat(note.step)}};
  add_sampling(side, note.sampling);
}

/// Any folder or zip, its images as they are.
void open_plain(Side& side, const std::shared_ptr<const data::ImageList>& list, const SideOptions& o,
                kernels::Wire& ranks) {
  side.identity.kind = "folder";
  side.notes.insert(side.notes.end(), list->notes.begin(), list->notes.end());
  side.available = int64_t(list->names.size());
  Hash names;
  for (const std::string& name : list->names) names.add(name);
  engine::check_equal(ranks, {{cat("the names of the pictures in ", side.place()),
                               cat(side.available, " names, hash ", hex(names.value()))}});
  Checked checked = checked_pictures(*list, chosen_images(side.available, o), o, ranks, side.left_out);
  side.used = int64_t(checked.numbers.size());
  side.images = std::make_shared<PlainImages>(list, std::move(checked), o.orientation);
}

/// CelebA, or images that are to be cut and scaled: through the cache, as for training.
void open_cut(Side& side, const std::string& crop, const std::string& size_wanted, const SideOptions& o) {
  data::DatasetOptions options;
  const data::ImageSize size = data::parse_image_size(size_wanted);
  options.split = o.split, options.crop = crop, options.cache_dir = o.cache;
  options.height = size.height, options.width = size.width, options.threads = o.threads;
  options.orientation = o.orientation;
  std::optional<data::Dataset> opened;
  o.by_machine([&] { opened.emplace(open_pictures(side.place(), options)); });
  data::Dataset& images = *opened;
  side.identity.kind = images.kind(), side.identity.split = images.split();
  // The whole pictures of a folder may show anything.
  if (images.kind() != "folder" || images.crop() != "none") side.identity.crop = images.crop();
  side.identity.facts = {{"content", images.content_hash()}};
  side.left_out = images.skipped();
  side.available = int64_t(images.count());
  std::vector<int64_t> numbers = chosen_images(side.available, o);
  side.used = int64_t(numbers.size());
  side.images = std::make_shared<CutImages>(std::move(images), std::move(numbers));
}

/// Images that have the wanted size already are taken as they are.
void open_folder(Side& side, const SideOptions& o, kernels::Wire& ranks) {
  const auto list = std::make_shared<data::ImageList>(data::list_folder(side.place()));
  if (const auto note = fs::is_directory(side.place()) ? read_sample_note(side.place()) : std::nullopt) {
    heed_sample_note(*note, *list, side);
    return open_plain(side, list, o, ranks);
  }
  const std::string wanted = !o.size.empty() || o.crop.empty() ? o.size : o.known_size.value_or("64");
  const bool as_they_are =
      wanted.empty() ||
      (ranks.rank() == 0 && have_size(*list, data::parse_image_size(wanted), o.orientation));
  if (engine::broadcast_value(ranks, as_they_are)) return open_plain(side, list, o, ranks);
  open_cut(side, o.crop, wanted, o);
}

void open_checkpoint(Side& side, const fs::path& folder, const SideOptions& o, engine::Device& device) {
  model::LoadedModel loaded = model::load_model(device, folder);
  side.identity.kind = "checkpoint", side.identity.crop = loaded.options.crop;
  side.available = side.used = o.count;
  side.identity.facts = {
      {"checkpoint", folder.string()}, {"preset", loaded.options.preset}, {"step", cat(loaded.step)}};
  add_sampling(side, model::facts_of(settings_of(loaded, o)));
  side.identity.facts.emplace_back("seeds", cat("0-", o.count - 1));
  if (!loaded.attributes.empty())
    side.identity.facts.emplace_back(
        "attributes", cat(model::short_list(loaded.attributes.names()), "; those of ",
                          thousands(loaded.attributes.count()), " training images, chosen by the seeds"));
  else if (loaded.options.network.condition)
    side.notes.push_back(
        cat(folder.string(), " is from before checkpoints held attributes: drawn without any"));
  const auto drawn = std::make_shared<DrawnImages>(device, std::move(loaded), o);
  for (const auto& [name, value] : drawn->guided().facts()) side.identity.facts.emplace_back(name, value);
  for (const std::string& note : drawn->guided().notes()) side.notes.push_back(note);
  side.images = drawn;
}

/// What a side must have for anything to be measured.
void check_enough(const Side& side) {
  if ((side.images || side.features) && side.used < 2)
    fail(cat(side.place(), ": ", side.used == 1 ? "one image is too few" : "no image can be read",
             ": every number compares at least two, and FID means little below some thousands; name a set "
             "with more"));
}

/// Notes what was left out.
void note_left_out(Side& side) {
  if (side.left_out.empty()) return;
  std::string names;
  for (size_t i = 0; i < side.left_out.size() && i < 3; ++i) names += (i ? ", " : "") + side.left_out[i].name;
  side.notes.push_back(cat(side.left_out.size(), " picture(s) of ", side.place(),
                           " cannot be read and are left out of all numbers: ", names,
                           side.left_out.size() > 3 ? ", ... (--json names all)" : ""));
}

/// How many numbers each of a side's features has that are compared one by one; nothing if there are none.
std::optional<int64_t> width_of_rows(const Side& side) {
  if (side.images) return model::Inception::kFeatures;
  return side.features ? std::optional(side.features->width) : std::nullopt;
}
/// The width of the features that a side's FID is of.
std::optional<int64_t> width_for_fid(const Side& side) {
  return side.statistics ? std::optional(side.statistics->dimensions()) : width_of_rows(side);
}

/// The checkpoint that a folder is, or a run's newest: rank 0's, since a run under way may have a newer one a moment
/// later.
std::optional<fs::path> checkpoint_at(const fs::path& place, kernels::Wire& ranks) {
  if (fs::exists(place / "unet" / "config.json")) return place;
  if (!fs::is_directory(place / "checkpoints")) return std::nullopt;
  std::string found;
  engine::together(ranks, [&] {
    if (ranks.rank() > 0) return;
    const auto newest = model::newest_checkpoint(place);
    if (!newest) fail(cat(place.string(), ": the run has no checkpoint yet"));
    found = newest->string();
  });
  return engine::broadcast_text(ranks, found);
}

}  // namespace

std::vector<int64_t> chosen_images(int64_t available, const SideOptions& o) {
  std::vector<int64_t> numbers(size_t(std::min(available, o.count)));
  if (available <= o.count) {
    std::iota(numbers.begin(), numbers.end(), int64_t(0));
  } else {
    for (size_t i = 0; i < numbers.size(); ++i)
      numbers[i] = int64_t(permuted_index(o.seed, 1, i, uint64_t(available)));
    std::sort(numbers.begin(), numbers.end());
  }
  return numbers;
}

void check_place(const std::string& place) {
  if (fs::exists(place)) return;
  fail(cat(
      place,
      ": there is no such file or folder; a folder of images, CelebA, an .npz or a checkpoint is needed"));
}

std::optional<Side> open_file_of_arrays(const std::string& place, const SideOptions& options) {
  Side side;
  side.identity.place = place;
  if (!fs::is_regular_file(place) || !open_arrays(side, options)) return {};
  check_enough(side);
  return side;
}

Side open_side(const std::string& place, const SideOptions& options, engine::Device& device) {
  check_place(place);
  if (std::optional<Side> arrays = open_file_of_arrays(place, options)) return std::move(*arrays);
  Side side;
  side.identity.place = place;
  if (const std::optional<fs::path> checkpoint = checkpoint_at(place, device.ranks())) {
    open_checkpoint(side, *checkpoint, options, device);
  } else if (!data::find_celeba(place).empty()) {
    open_cut(side, options.crop.empty() ? options.known_crop.value_or("") : options.crop,
             options.size.empty() ? options.known_size.value_or("64") : options.size, options);
  } else {
    open_folder(side, options, device.ranks());
  }
  check_enough(side);
  note_left_out(side);
  return side;
}

void check_comparable(const Side& generated, const Side& reference) {
  const std::string &ours = generated.place(), &theirs = reference.place();
  const auto differ = [&](const std::string& what, const std::string& a, const std::string& b) {
    fail(cat(ours, " has ", what, " ", a, ", ", theirs, " has ", what, " ", b,
             ": such sets cannot be compared; --crop and --size say how images of CelebA or a folder are "
             "made"));
  };
  if (generated.images && reference.images && !same(generated.images->size(), reference.images->size()))
    differ("size", size_text(generated.images->size()), size_text(reference.images->size()));
  const auto &a = generated.identity.crop, &b = reference.identity.crop;
  if (a && b && *a != *b) differ("crop", *a, *b);
  const auto check_width = [&](std::optional<int64_t> a, std::optional<int64_t> b) {
    if (a && b && *a != *b)
      fail(cat(ours, " has features of ", *a, " numbers, ", theirs, " of ", *b,
               ": they are of different networks, and cannot be compared; those of the FID network have ",
               model::Inception::kFeatures));
  };
  check_width(width_for_fid(generated), width_for_fid(reference));
  check_width(width_of_rows(generated), width_of_rows(reference));
}

}  // namespace ito::apps
