#include "apps/evaluation/sides.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "apps/console/live_line.h"
#include "apps/console/number_text.h"
#include "apps/console/stopping.h"
#include "apps/evaluation/evaluation.h"
#include "apps/evaluation/sides_npz.h"
#include "apps/inputs/pictures.h"
#include "apps/inputs/samples.h"
#include "data/celeba_files/celeba.h"
#include "data/pictures/file_kind.h"
#include "data/pictures/folder.h"
#include "kernels/base/clock.h"
#include "kernels/base/parallel.h"
#include "kernels/base/philox.h"
#include "model/diffusion/sampler.h"
#include "model/training/checkpoint.h"
#include "model/training/run_folder.h"

namespace ito::apps {

namespace fs = std::filesystem;

namespace {

std::string size_text(int height, int width) { return cat(height, "x", width); }

/// The pictures with these numbers that can be read, all of one size.
struct Checked {
  std::vector<int64_t> numbers;
  data::ImageSize size;
};

/// Decodes every picture once, before hours of work end at a damaged one: that takes little compared with its
/// features. As for training, up to one unreadable picture in data::kTolerated is left out, and named. Error: more
/// than that; pictures of several sizes.
Checked checked_pictures(const data::ImageList& list, const std::vector<int64_t>& numbers,
                         const SideOptions& o, std::vector<data::SkippedFile>& left_out) {
  constexpr size_t kAtOnce = 512;
  std::vector<data::ImageSize> sizes(numbers.size());
  std::vector<std::string> reasons(numbers.size());
  const auto look = [&](size_t i) {
    const std::string& name = list.names[size_t(numbers[i])];
    try {
      const std::vector<uint8_t> bytes = list.source->read(name);
      reasons[i] = data::other_format({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name);
      if (!reasons[i].empty()) return;
      const data::Image image =
          data::decode_image(bytes.data(), bytes.size(), list.source->place(name), o.orientation);
      sizes[i] = {image.width, image.height};
    } catch (const Error& error) {
      reasons[i] = error.what();
    }
  };
  LiveLine line;
  for (size_t begin = 0; begin < numbers.size(); begin += kAtOnce) {
    stop_if_interrupted("nothing was written");
    const size_t end = std::min(numbers.size(), begin + kAtOnce);
    parallel_for(end - begin, thread_count(o.threads), [&](size_t i) { look(begin + i); });
    line.show(
        cat("checking   ", thousands(int64_t(end)), " of ", thousands(int64_t(numbers.size())), " pictures"));
  }
  line.end();
  Checked result;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const std::string& name = list.names[size_t(numbers[i])];
    if (!reasons[i].empty()) {
      left_out.push_back({name, reasons[i]});
      continue;
    }
    if (result.numbers.empty()) result.size = sizes[i];
    if (sizes[i].width != result.size.width || sizes[i].height != result.size.height)
      fail(cat(list.source->place(name), " is ", size_text(sizes[i].height, sizes[i].width), ", ",
               list.names[size_t(result.numbers[0])], " is ",
               size_text(result.size.height, result.size.width),
               ": images of one size are needed; --size HxW cuts and scales them"));
    result.numbers.push_back(numbers[i]);
  }
  if (data::unusable(left_out) * data::kTolerated > numbers.size() || result.numbers.empty())
    fail(cat(list.root.string(), ": ", left_out.size(), " of ", numbers.size(),
             " pictures cannot be read; up to one in ", data::kTolerated, " would be left out. ",
             left_out[0].reason));
  return result;
}

/// Whether all pictures say that they have this size already.
bool have_size(const data::ImageList& list, data::ImageSize wanted, data::Orientation orientation) {
  for (const std::string& name : list.names) {
    try {
      const std::vector<uint8_t> bytes = list.source->read(name);
      const auto size =
          data::read_image_size(bytes.data(), bytes.size(), list.source->place(name), orientation);
      if (size.width != wanted.width || size.height != wanted.height) return false;
    } catch (const Error&) {  // which is for those who decode it to tell
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

/// What ./sample left beside its images says which of them are of one sampling and which crop they show.
void heed_sample_note(const SampleNote& note, data::ImageList& list, Side& side) {
  list.names.erase(std::remove(list.names.begin(), list.names.end(), "grid.png"), list.names.end());
  const size_t all = list.names.size();
  const auto foreign = [&](const std::string& name) {
    const std::optional<uint64_t> seed = seed_of(name);
    return !seed || !note.seeds.count(*seed);
  };
  list.names.erase(std::remove_if(list.names.begin(), list.names.end(), foreign), list.names.end());
  if (const size_t others = all - list.names.size())
    side.notes.push_back(cat(others, " picture(s) in ", side.place,
                             " are not of the sampling that samples.json describes: left out"));
  if (list.names.empty()) fail(cat(side.place, ": no images in it that its samples.json knows"));
  side.crop = note.crop;
  side.facts = {{"run", note.run},
                {"step", cat(note.step)},
                {"sampler", note.sampler},
                {"sampler steps", cat(note.sampler_steps)}};
}

/// Any folder or zip, its images as they are.
void open_plain(Side& side, const std::shared_ptr<const data::ImageList>& list, const SideOptions& o) {
  side.kind = "folder";
  side.notes.insert(side.notes.end(), list->notes.begin(), list->notes.end());
  side.available = int64_t(list->names.size());
  Checked checked = checked_pictures(*list, chosen_images(side.available, o), o, side.left_out);
  side.height = checked.size.height, side.width = checked.size.width;
  const auto numbers = std::make_shared<const std::vector<int64_t>>(std::move(checked.numbers));
  side.used = int64_t(numbers->size());
  side.name = [=](int64_t i) { return list->names[size_t((*numbers)[size_t(i)])]; };
  side.read = [list, name = side.name, orientation = o.orientation](int64_t i, uint8_t* out) {
    const std::string picture = name(i);
    const std::vector<uint8_t> bytes = list->source->read(picture);
    const data::Image image =
        data::decode_image(bytes.data(), bytes.size(), list->source->place(picture), orientation);
    std::copy(image.rgb.begin(), image.rgb.end(), out);
  };
}

/// CelebA, or images that are to be cut and scaled: by way of the cache, as for training.
void open_cut(Side& side, const std::string& crop, const std::string& size_wanted, const SideOptions& o) {
  data::DatasetOptions options;
  const data::ImageSize size = data::parse_image_size(size_wanted);
  options.split = o.split, options.crop = crop, options.cache_dir = o.cache;
  options.height = size.height, options.width = size.width, options.threads = o.threads;
  options.orientation = o.orientation;
  const auto images = std::make_shared<const data::Dataset>(open_pictures(side.place, options));
  side.kind = images->kind(), side.split = images->split(), side.crop = images->crop();
  if (side.kind == "folder" && side.crop == "none") side.crop.clear();  // what its images show is not known
  side.height = size.height, side.width = size.width;
  side.available = int64_t(images->count());
  side.facts = {{"content", images->content_hash()}};
  side.left_out = images->skipped();
  const auto numbers = std::make_shared<const std::vector<int64_t>>(chosen_images(side.available, o));
  side.used = int64_t(numbers->size());
  side.name = [=](int64_t i) { return images->names()[size_t((*numbers)[size_t(i)])]; };
  side.read = [=](int64_t i, uint8_t* out) {
    const size_t bytes = size_t(images->height()) * size_t(images->width()) * 3;
    std::copy_n(images->pixels() + size_t((*numbers)[size_t(i)]) * bytes, bytes, out);
  };
}

std::string first_of(const std::string& a, const std::string& b, const std::string& c = "") {
  return !a.empty() ? a : !b.empty() ? b : c;
}

/// Images that have the wanted size already are taken as they are.
void open_folder(Side& side, const SideOptions& o) {
  const auto list = std::make_shared<data::ImageList>(data::list_folder(side.place));
  if (const auto note = fs::is_directory(side.place) ? read_sample_note(side.place) : std::nullopt) {
    heed_sample_note(*note, *list, side);
    return open_plain(side, list, o);
  }
  const std::string wanted = !o.size.empty() || o.crop.empty() ? o.size : first_of(o.known_size, "64");
  if (wanted.empty()) return open_plain(side, list, o);
  if (have_size(*list, data::parse_image_size(wanted), o.orientation)) return open_plain(side, list, o);
  open_cut(side, o.crop, wanted, o);
}

/// Seeds 0 .. count - 1, quantised as the files of ./sample would be.
void open_checkpoint(Side& side, const fs::path& folder, const SideOptions& o, engine::Device& device) {
  const auto loaded = std::make_shared<const model::LoadedModel>(model::load_model(device, folder));
  const model::NetworkConfig& net = loaded->options.network;
  const auto plan =
      std::make_shared<const model::SamplerPlan>(model::make_sampler_plan(o.sampler, loaded->sde));
  side.kind = "checkpoint", side.crop = loaded->options.crop;
  side.height = net.height, side.width = net.width;
  side.available = side.used = o.count;
  side.facts = {{"checkpoint", folder.string()},
                {"preset", loaded->options.preset},
                {"step", cat(loaded->step)},
                {"sampler", std::string(name_of(o.sampler.sampler))},
                {"sampler steps", cat(o.sampler.steps)},
                {"seeds", cat("0-", o.count - 1)}};
  const auto pixels = std::make_shared<std::vector<uint8_t>>();
  side.prepare = [=, &device] {
    std::vector<uint64_t> seeds(size_t(o.count));
    std::iota(seeds.begin(), seeds.end(), uint64_t(0));
    LiveLine line;
    const double start = now();
    *pixels = model::sample_images(
        device, loaded->denoiser(), *plan, {loaded->options.network.height, loaded->options.network.width, 3},
        seeds, [&](int64_t done, int64_t total) {
          stop_if_interrupted("nothing was written");
          const double left = (now() - start) / double(done) * double(total - done);
          line.show(cat("sampling   ", done * 100 / total, " %, ", duration(left), " left"));
        });
    line.end();
  };
  const size_t bytes = size_t(net.height) * size_t(net.width) * 3;
  side.read = [=](int64_t i, uint8_t* out) { std::copy_n(pixels->data() + size_t(i) * bytes, bytes, out); };
  side.name = [](int64_t i) { return cat("seed ", i); };
}

/// What a side must have for anything to be measured.
void check_enough(const Side& side) {
  const bool single = side.has_images() || !side.features.empty();
  if (single && side.used < 2)
    fail(cat(side.place, ": ", side.used == 1 ? "one image is too few" : "no image can be read",
             ": every number compares at least two, and FID means little below some thousands; name a set "
             "with more"));
}

/// What was left out, as a sentence.
void note_left_out(Side& side) {
  if (side.left_out.empty()) return;
  std::string names;
  for (size_t i = 0; i < side.left_out.size() && i < 3; ++i) names += (i ? ", " : "") + side.left_out[i].name;
  side.notes.push_back(cat(side.left_out.size(), " picture(s) of ", side.place,
                           " cannot be read and are left out of all numbers: ", names,
                           side.left_out.size() > 3 ? ", ... (--json names all)" : ""));
}

/// How many numbers a side's features for FID have; 0 where it has none.
int64_t width_for_fid(const Side& side) {
  if (side.statistics) return side.statistics->dimensions();
  return side.has_images() ? kInceptionWidth : side.feature_width;
}
/// The same of the features that are compared one by one.
int64_t width_of_rows(const Side& side) { return side.has_images() ? kInceptionWidth : side.feature_width; }

/// The checkpoint that a folder is, or a run's newest.
std::optional<fs::path> checkpoint_at(const fs::path& place) {
  if (fs::exists(place / "unet" / "config.json")) return place;
  if (fs::is_directory(place / "checkpoints")) {
    auto newest = model::newest_checkpoint(place);
    if (!newest) fail(cat(place.string(), ": the run has no checkpoint yet"));
    return newest;
  }
  return std::nullopt;
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
  side.place = place;
  if (!fs::is_regular_file(place) || !open_arrays(side, options)) return {};
  check_enough(side);
  return side;
}

Side open_side(const std::string& place, const SideOptions& options, engine::Device& device) {
  check_place(place);
  if (std::optional<Side> arrays = open_file_of_arrays(place, options)) return std::move(*arrays);
  Side side;
  side.place = place;
  if (const std::optional<fs::path> checkpoint = checkpoint_at(place)) {
    open_checkpoint(side, *checkpoint, options, device);
  } else if (!data::find_celeba(place).empty()) {
    open_cut(side, first_of(options.crop, options.known_crop),
             first_of(options.size, options.known_size, "64"), options);
  } else {
    open_folder(side, options);
  }
  check_enough(side);
  note_left_out(side);
  return side;
}

void check_comparable(const Side& generated, const Side& reference) {
  const auto differ = [&](const std::string& what, const std::string& a, const std::string& b) {
    fail(cat(generated.place, " has ", what, " ", a, ", ", reference.place, " has ", what, " ", b,
             ": such sets cannot be compared; --crop and --size say how images of CelebA or a folder are "
             "made"));
  };
  if (generated.height && reference.height &&
      (generated.height != reference.height || generated.width != reference.width))
    differ("size", size_text(generated.height, generated.width),
           size_text(reference.height, reference.width));
  if (!generated.crop.empty() && !reference.crop.empty() && generated.crop != reference.crop)
    differ("crop", generated.crop, reference.crop);
  const auto check_width = [&](int64_t a, int64_t b) {
    if (a > 0 && b > 0 && a != b)
      fail(cat(generated.place, " has features of ", a, " numbers, ", reference.place, " of ", b,
               ": they are of different networks, and cannot be compared; those of the FID network have ",
               kInceptionWidth));
  };
  check_width(width_for_fid(generated), width_for_fid(reference));
  check_width(width_of_rows(generated), width_of_rows(reference));
}

}  // namespace ito::apps
