#include <cmath>
#include <iostream>
#include <set>

#include "apps/console/number_text.h"
#include "apps/console/output_file.h"
#include "apps/console/program.h"
#include "apps/console/stopping.h"
#include "apps/inputs/checkpoint.h"
#include "apps/inputs/guidance.h"
#include "apps/inputs/pictures.h"
#include "data/celeba_files/celeba.h"
#include "data/celeba_files/lists.h"
#include "data/dataset.h"
#include "data/list_pictures.h"
#include "data/pictures/contact_sheet.h"
#include "data/pictures/crop.h"
#include "data/pictures/image_facts.h"
#include "data/statistics.h"
#include "engine/io/npy.h"
#include "engine/io/safetensors.h"
#include "kernels/base/commands.h"
#include "kernels/base/parallel.h"
#include "kernels/base/path_text.h"
#include "model/import/scheduler.h"
#include "model/training/checkpoint.h"
#include "model/training/class_request.h"
#include "model/training/power_average.h"

/// ./inspect checkpoint DIR | data DIR | image FILE | forward ... | ema ... | export ...: only reads, except for the
/// files that it is asked to write.
namespace ito::apps {

/// What stored weights are rounded to.
enum class WeightType : uint8_t { f32, f16, bf16 };

}  // namespace ito::apps

template <>
struct ito::Names<ito::apps::WeightType> {
  using WeightType = apps::WeightType;
  static constexpr std::string_view kKind = "type of weights";
  static constexpr Named<WeightType> kTable[] = {
      {"f32", WeightType::f32}, {"f16", WeightType::f16}, {"bf16", WeightType::bf16}};
};

namespace ito::apps {
namespace {

namespace fs = std::filesystem;

struct CheckpointRequest {
  std::string folder;
};

template <FieldsOf<CheckpointRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.folder, Field("folder", "a checkpoint's folder").as("folder").otherwise("the newest"));
}

struct DataRequest {
  std::string folder, size = "64", split, cache = "runs/cache", sheet = "contact_sheet.png";
  std::optional<data::Crop> crop;
  data::Orientation orientation = data::Orientation::upright;
};

template <FieldsOf<DataRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.folder,
        Field("folder", "CelebA's folder or zip, or any folder or zip of images").as("folder").required());
  visit(o.size, Field("size", "N or HxW"));
  visit(o.crop, Field("crop", "part of the picture").otherwise("ddim128 for CelebA, none for a folder"));
  visit(o.orientation, data::orientation_field());
  visit(o.split, Field("split", "of CelebA")
                     .one_of(data::split_names())
                     .otherwise("train for CelebA, all for a folder"));
  visit(o.cache, Field("cache", "folder of the decoded images"));
  visit(o.sheet, Field("sheet", "where the contact sheet goes"));
}

struct ImageRequest {
  std::string file;
};

template <FieldsOf<ImageRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.file, Field("file", "a picture").as("file").required());
}

struct ForwardRequest {
  std::string checkpoint, input, output;
  double c_noise = 0;
  std::string image_class;
};

template <FieldsOf<ForwardRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.checkpoint, Field("checkpoint", "a checkpoint's folder").otherwise("the newest"));
  visit(o.input, Field("input", "x.npy: float32 [N,C,H,W]").required());
  visit(o.c_noise,
        Field("c_noise", "the noise level as the network gets it (EDM: ln sigma / 4)", from(-1e30).to(1e30))
            .required());
  visit(o.image_class, Field("class", "of the images, its name or number, of a model with classes"));
  visit(o.output, Field("output", "y.npy").required());
}

struct EmaRequest {
  std::string run, out;
  double sigma_rel = 0;
  int64_t updates = 0;
};

template <FieldsOf<EmaRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.run,
        Field("run", "a run with --power-ema, or a checkpoint of it").as("run").otherwise("the newest"));
  visit(o.sigma_rel,
        Field("sigma_rel", "width of the average as a share of the run; .05 and .1 are what the run saves",
              above(0).below(0.288))
            .required());
  visit(o.updates, Field("updates", "updates that the average ends with; 0: the checkpoint's",
                         from(0).to(engine::kMostSteps)));
  visit(o.out, Field("out", "a folder that receives the model, as a checkpoint to sample").required());
}

struct ExportRequest {
  std::string model, out;
  WeightType weights = WeightType::f32;
};

template <FieldsOf<ExportRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.model, Field("model", "a run or a checkpoint").as("model").otherwise("the newest"));
  visit(o.weights, Field("weights", "what they are rounded to: f16 and bf16 take half the bytes"));
  visit(o.out,
        Field("out", "a folder that receives the averaged weights, as a checkpoint to sample").required());
}

double root_mean_square(const std::vector<float>& values) {
  double sum = 0;
  for (float v : values) sum += double(v) * v;
  return std::sqrt(sum / std::max<double>(1, double(values.size())));
}

/// Prints which attributes the network is conditioned on, if any, and how many images they were of.
void print_condition(const model::LoadedModel& loaded) {
  const model::AttributeRows& rows = loaded.attributes;
  if (!rows.empty())
    std::cout << "attributes " << model::short_list(rows.names()) << "; of " << thousands(rows.count())
              << " training images\n";
  else if (const std::vector<std::string>& names = loaded.options.classes; !names.empty())
    std::cout << "classes    " << model::short_list(names) << "\n";
  else if (const int classes = loaded.options.network.classes)
    std::cout << "classes    " << thousands(classes) << ", of which an image has one\n";
  else if (const int k = loaded.options.network.condition)
    std::cout << "attributes " << k << ", not named: the checkpoint is from before it held them\n";
}

int inspect_checkpoint(const CheckpointRequest& f) {
  const fs::path folder = find_checkpoint(f.folder, "");
  engine::Device device;
  const model::LoadedModel loaded = model::load_model(device, folder);  // and checks it
  const io::SafetensorsReader reader(folder / "unet/diffusion_pytorch_model.safetensors");
  std::cout << folder.string() << ": step " << thousands(loaded.step) << ", preset " << loaded.options.preset
            << ", " << thousands(loaded.store->trainable_count()) << " parameters\n";
  print_condition(loaded);
  if (const auto& from = loaded.options.from)
    std::cout << "from       " << text_of(*from) << ", weights " << from->weights << "\n";
  std::cout << "\n";
  for (const io::TensorInfo& tensor : reader.tensors()) {
    char line[200];
    std::snprintf(line, sizeof line, "  %-56s %-4s %-20s rms %.4g\n", tensor.name.c_str(),
                  io::name_of(tensor.type), io::shape_text(tensor.shape).c_str(),
                  root_mean_square(reader.reals(tensor.name)));
    std::cout << line;
  }
  std::cout << "\noptions " << model::to_json(loaded.options);
  return 0;
}

void print_channels(const data::Dataset& images, int threads) {
  const size_t pixels = images.count() * size_t(images.height()) * size_t(images.width());
  const auto channels = data::channel_statistics(images.pixels(), pixels, threads);
  constexpr const char* kNames[] = {"red", "green", "blue"};
  for (size_t c = 0; c < 3; ++c) {
    char line[120];
    std::snprintf(line, sizeof line, "%-10s mean %+.4f, deviation %.4f\n", kNames[c], channels[c].mean,
                  channels[c].deviation);
    std::cout << line;
  }
}

/// Prints the largest distance between two pictures, and the --sigma-max that follows.
void print_distance(const data::Dataset& images, int threads) {
  constexpr double kOperations = 2e10;  // a few seconds on one core
  const size_t image_bytes = size_t(images.height()) * size_t(images.width()) * 3;
  const size_t most = std::max<size_t>(2, size_t(std::sqrt(2 * kOperations / double(image_bytes))));
  const data::FarthestPair pair = data::farthest_pair(images.pixels(), images.count(), image_bytes,
                                                      std::min<size_t>(most, 2000), threads);
  if (pair.compared < 2) return;
  if (pair.distance == 0) {
    std::cout << "farthest   0: all " << thousands(int64_t(pair.compared))
              << " pictures that were compared are the same: no --sigma-max follows from that\n";
    return;
  }
  std::cout
      << "farthest   " << std::round(pair.distance * 10) / 10 << " between "
      << images.names()[pair.images.first] << " and " << images.names()[pair.images.second] << ", of "
      << thousands(int64_t(pair.compared)) << " compared with each other\n"
      << "advice     --sigma-max " << std::ceil(pair.distance)
      << " by Song and Ermon's rule (2020, technique 1: the largest distance); the default, 80, is EDM's\n";
}

/// Prints how many pictures each split has; "none" if the list gives it none.
void print_splits(const std::string& folder) {
  for (const std::string split : {"train", "valid", "test", "all"}) {
    std::string count = "none";
    try {
      count = thousands(int64_t(data::list_pictures(folder, split).names.size()));
    } catch (const data::EmptySplit&) {
    }
    std::cout << "  " << split << std::string(9 - split.size(), ' ') << count << "\n";
  }
}

/// Prints which attributes the pictures have, if any, and how many have each.
void print_attributes(const data::Dataset& images) {
  const std::vector<std::string>& names = images.attribute_names();
  if (names.empty()) return;
  std::cout << "attributes " << model::short_list(names) << "; the pictures that have each:\n";
  const std::vector<double> shares = data::attribute_shares(images.attributes(), names.size());
  for (size_t a = 0; a < names.size(); ++a) {
    char line[80];
    std::snprintf(line, sizeof line, "  %-22s %5.1f %%%s", names[a].c_str(), 100 * shares[a],
                  a % 2 ? "\n" : "    ");
    std::cout << line;
  }
  if (names.size() % 2) std::cout << "\n";
}

void print_people(const data::Dataset& images) {
  if (!images.identities().empty()) {
    const std::set<int32_t> people(images.identities().begin(), images.identities().end());
    std::cout << "people     " << thousands(int64_t(people.size() - people.count(0))) << " in this split\n";
  }
  const std::vector<int32_t>& places = images.landmarks();
  if (places.empty()) return;
  std::cout << "landmarks ";
  for (size_t k = 0; k < data::kLandmarks; k += 2) {
    double x = 0, y = 0;
    for (size_t i = k; i < places.size(); i += data::kLandmarks) x += places[i], y += places[i + 1];
    const double n = double(places.size()) / double(data::kLandmarks);
    std::cout << " (" << std::lround(x / n) << ", " << std::lround(y / n) << ")";
  }
  std::cout << " on average: left eye, right eye, nose, mouth's left and right\n";
}

data::Dataset open_split(const DataRequest& f) {
  const data::ImageSize size = data::parse_image_size(f.size);
  data::DatasetOptions o;
  o.split = f.split, o.height = size.height, o.width = size.width, o.cache_dir = f.cache, o.check_all = true;
  if (f.crop) o.crop = name_of(*f.crop);
  o.orientation = f.orientation;
  return open_pictures(f.folder, o);
}

int inspect_data(const DataRequest& f) {
  catch_interrupts();
  check_output("--sheet", f.sheet);
  const data::Dataset images = open_split(f);
  const int threads = thread_count(0);
  std::cout << "folder     " << images.root().string() << " (" << images.kind() << ")\n"
            << "images     " << thousands(int64_t(images.count())) << " of split " << images.split()
            << ", crop " << images.crop() << ", " << images.width() << "x" << images.height() << "\n";
  if (images.kind() == "celeba") print_splits(f.folder);
  for (const auto& skipped : images.skipped())
    std::cout << "skipped    " << skipped.name << ": " << skipped.reason << "\n";
  print_channels(images, threads);
  print_distance(images, threads);
  print_people(images);
  print_attributes(images);
  constexpr int kColumns = 12, kRows = 8;
  data::write_png(
      f.sheet,
      data::contact_sheet(images.pixels(), images.count(), images.height(), images.width(), kColumns, kRows),
      {{"version", cat("Ito ", version_text())}});
  std::cout << "wrote      " << f.sheet << ": "
            << data::room_in_sheet(images.count(), images.height(), images.width(), kColumns, kRows) << " of "
            << thousands(int64_t(images.count())) << " pictures\n";
  return 0;
}

int inspect_image(const ImageRequest& f) {
  const std::vector<uint8_t> bytes = data::read_bytes(f.file);
  const data::ImageFacts facts = data::image_facts(bytes.data(), bytes.size(), f.file);
  const auto line = [](std::string name, const std::string& text) {
    name.resize(std::max<size_t>(10, name.size()), ' ');
    std::cout << name << " " << text << "\n";
  };
  line("file", cat(f.file, ": ", facts.kind, ", ", thousands(int64_t(bytes.size())), " bytes"));
  line("size", cat(facts.size.width, " wide, ", facts.size.height, " high"));
  if (!facts.colours.empty()) line("colours", facts.colours);
  if (facts.orientation != 1)
    line("turned", cat("EXIF orientation ", facts.orientation, ": shown ", facts.upright.width, " wide, ",
                       facts.upright.height, " high"));
  for (const auto& [keyword, text] : facts.texts) line(keyword, text);
  return 0;
}

/// [N,C,H,W] <-> [N,H,W,C].
std::vector<float> permuted(const float* from, int64_t n, int64_t outer, int64_t inner) {
  std::vector<float> to(size_t(n * outer * inner));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t a = 0; a < outer; ++a)
      for (int64_t b = 0; b < inner; ++b)
        to[size_t((i * inner + b) * outer + a)] = from[(i * outer + a) * inner + b];
  return to;
}

int forward(const ForwardRequest& f) {
  check_output("--output", f.output);
  const io::NpyArray x = io::read_npy(f.input);
  if (x.shape.size() != 4)
    fail(cat(f.input, " must be float32 [N,C,H,W], has ", x.shape.size(), " dimensions"));
  const int64_t n = x.shape[0], c = x.shape[1], h = x.shape[2], w = x.shape[3];
  engine::Device device;
  const model::LoadedModel loaded = model::load_model(device, find_checkpoint(f.checkpoint, ""));
  engine::NoGrad off(device);
  const std::vector<float> c_noise(size_t(n), float(f.c_noise));
  const engine::Tensor input = engine::Tensor::from(device, {n, h, w, c}, engine::DType::f32,
                                                    permuted(x.as<float>(), n, c, h * w).data());
  model::NetworkInput given{
      input, engine::Tensor::from(device, {n}, engine::DType::f32, c_noise.data()), {}, {}, {}};
  if (const int classes = loaded.options.network.classes) {
    if (f.image_class.empty()) fail(cat("the model has ", classes, " classes; name one with --class"));
    const std::vector<float> rows = model::ClassRequest(classes, class_of("--class", f.image_class, loaded))
                                        .conditions(std::vector<uint64_t>(size_t(n)));
    const std::vector<float> keep(size_t(n), 1.0f);
    given.condition = engine::Tensor::from(device, {n, classes}, engine::DType::f32, rows.data());
    given.keep = engine::Tensor::from(device, {n}, engine::DType::f32, keep.data());
  } else if (!f.image_class.empty()) {
    fail("--class: the model has no classes");
  }
  const engine::Tensor y = (*loaded.network)(given);
  const std::vector<float> out = permuted(static_cast<const float*>(y.data()), n, h * w, c);
  io::write_npy(f.output, io::ElementType::f32, x.shape, out.data());
  std::cout << "wrote      " << f.output << ": F(x; " << f.c_noise << ") of " << n << " images, rms "
            << root_mean_square(out) << "\n";
  return 0;
}

/// Of the averages that were saved up to a checkpoint, the newest one's time.
int64_t newest_average(const fs::path& folder, int64_t updates) {
  std::vector<int64_t> saved = model::saved_power_averages(folder);
  std::erase_if(saved, [&](int64_t of) { return of > updates; });
  if (saved.empty()) fail(cat(folder.string(), " has no averages from before this checkpoint"));
  return saved.back();
}

int make_average(const EmaRequest& f) {
  if (fs::exists(f.out)) fail(cat("--out ", f.out, " exists already: choose a new folder"));
  const fs::path found = f.run.empty() ? find_checkpoint("", "") : run_or_checkpoint("RUN", f.run);
  if (found == included_model())
    fail("there is no run below runs/, and the model that comes with Ito has no other averages: name a run");
  const fs::path checkpoint = fs::canonical(found);
  engine::Device device;
  model::LoadedModel loaded = model::load_model(device, checkpoint);
  if (!loaded.options.power_ema)
    fail(
        cat(checkpoint.string(), " was trained without --power-ema, so that only its own average was saved"));
  const fs::path folder = checkpoint.parent_path().parent_path() / "power_ema";
  const int64_t updates = f.updates ? f.updates : newest_average(folder, model::updates_of(checkpoint));
  model::load_power_average(folder, f.sigma_rel, updates, *loaded.store);
  loaded.step = updates;
  model::save_model(f.out, loaded);
  std::cout << "wrote      " << f.out << ": the average of relative width " << f.sigma_rel << " over "
            << thousands(updates) << " updates; " << commands::kSample << " --checkpoint "
            << shell_quoted(f.out) << " draws from it\n";
  return 0;
}

int export_model(const ExportRequest& f) {
  if (fs::exists(f.out)) fail(cat("--out ", f.out, " exists already: choose a new folder"));
  const fs::path checkpoint = f.model.empty() ? find_checkpoint("", "") : run_or_checkpoint("MODEL", f.model);
  engine::Device device;
  const model::LoadedModel loaded = model::load_model(device, checkpoint);
  constexpr io::ElementType kTypes[] = {io::ElementType::f32, io::ElementType::f16, io::ElementType::bf16};
  model::save_model(f.out, loaded, kTypes[size_t(f.weights)]);
  std::cout << "wrote      " << f.out << ": the model of " << checkpoint.string() << " in "
            << name_of(f.weights) << "; " << commands::kSample << " --checkpoint " << shell_quoted(f.out)
            << " draws from it\n";
  if (fs::exists(checkpoint / "import.json"))  // where it came from, and under which licence
    fs::copy_file(checkpoint / "import.json", fs::path(f.out) / "import.json");
  std::string why;
  if (const auto files = model::diffusers_files(loaded.options, &why)) {
    std::cout << "diffusers  " << files->pipeline << ".from_pretrained('" << f.out << "')(" << files->call
              << ") draws with it, too\n";
    if (!files->note.empty()) std::cout << "note       it draws other images: " << files->note << "\n";
  } else {
    std::cout << "note       diffusers cannot draw with it: " << why << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  using namespace ito::apps;
  CLI::App app{"Looks into checkpoints, data and pictures."};
  app.require_subcommand(1);
  CLI::App* checkpoint = app.add_subcommand("checkpoint", "a checkpoint's tensors and options");
  CLI::App* data = app.add_subcommand("data", "a data folder's size, splits, statistics and a contact sheet");
  CLI::App* image =
      app.add_subcommand("image", "a picture's size, kind and texts: of which run and seed it is");
  CLI::App* bare =
      app.add_subcommand("forward", "the bare network F(x; c_noise) on numbers, with EMA weights");
  CLI::App* ema =
      app.add_subcommand("ema", "a model of averaged weights, of any length, from a run with --power-ema");
  CLI::App* exported = app.add_subcommand("export", "a model alone, without the state of its run");
  Flags of_checkpoint(*checkpoint), of_data(*data), of_image(*image), of_forward(*bare), of_ema(*ema),
      of_export(*exported);
  of_checkpoint.add(CheckpointRequest{}), of_data.add(DataRequest{}), of_image.add(ImageRequest{}),
      of_forward.add(ForwardRequest{}), of_ema.add(EmaRequest{}), of_export.add(ExportRequest{});
  return run_program(app, argc, argv, [&] {
    if (*checkpoint) return inspect_checkpoint(of_checkpoint.read<CheckpointRequest>());
    if (*data) return inspect_data(of_data.read<DataRequest>());
    if (*image) return inspect_image(of_image.read<ImageRequest>());
    if (*ema) return make_average(of_ema.read<EmaRequest>());
    if (*exported) return export_model(of_export.read<ExportRequest>());
    return forward(of_forward.read<ForwardRequest>());
  });
}
