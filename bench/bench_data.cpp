#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
// jpeglib.h uses what cstdio declares.
#include <jpeglib.h>

#include "apps/console/program.h"
#include "bench/kernel_cases.h"
#include "bench/machine.h"
#include "bench/timing.h"
#include "data/dataset.h"
#include "data/list_pictures.h"
#include "engine/io/json_text.h"
#include "kernels/base/clock.h"
#include "kernels/base/parallel.h"
#include "model/unet/presets.h"

/// How fast pictures become training images: our decoding and a whole cache compared with libjpeg-turbo alone on the
/// same bytes, the opening of a finished cache of many pictures, and what a step's batch takes.
namespace ito::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kCelebA = 202599;  // pictures

/// What is asked of ./bench_data.
struct Request {
  std::string folder, size = "64", scratch = "runs/bench_data", json;
  std::optional<data::Crop> crop;
  int count = 2000, many = 200000, rounds = 5, threads = 0;
  double step_ms = 0;
};

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.folder, Field("folder", "CelebA's folder or any folder of JPEGs, e.g. from ./make_faces")
                      .as("folder")
                      .required());
  visit(o.size, Field("size", "N or HxW"));
  visit(o.crop, Field("crop", "part of the picture").otherwise("ddim128 for CelebA, none for a folder"));
  visit(o.count, Field("count", "pictures that are decoded", from(1).to(1000000)));
  visit(o.many, Field("many", "pictures of the finished cache that is opened; 0: leave that out",
                      from(0).to(10000000)));
  visit(o.rounds, Field("rounds", "each measurement once a round; medians count", from(1).to(1000)));
  visit(o.threads, Field("threads", "0: all", kThreads));
  visit(o.step_ms,
        Field("step_ms", "a training step of `small` at batch 16, for the share of its data work; 0: unknown",
              from(0).to(1e9)));
  visit(o.scratch, Field("scratch", "a folder for caches; made, and removed at the end"));
  visit(o.json, Field("json", "a file that receives everything as one JSON object"));
}

/// The first pictures of a folder: their files as a folder of its own, and their bytes in memory.
struct Pictures {
  fs::path folder;
  data::Crop crop;
  data::ImageSize size;
  std::vector<std::vector<uint8_t>> bytes;
};

/// Links, so that a cache can be built of exactly these.
Pictures choose_pictures(const Request& f, const fs::path& scratch) {
  const data::ImageList list = data::list_pictures(f.folder, "all");
  Pictures pictures;
  pictures.folder = scratch / "chosen";
  pictures.crop = f.crop.value_or(list.kind == "celeba" ? data::Crop::ddim128 : data::Crop::none);
  pictures.size = data::parse_image_size(f.size);
  fs::create_directories(pictures.folder);
  for (size_t i = 0; i < std::min(list.names.size(), size_t(f.count)); ++i) {
    pictures.bytes.push_back(list.source->read(list.names[i]));
    const fs::path link = pictures.folder / cat(1000000 + i, ".jpg");
    std::ofstream(link, std::ios::binary)
        .write(reinterpret_cast<const char*>(pictures.bytes.back().data()),
               std::streamsize(pictures.bytes.back().size()));
  }
  return pictures;
}

/// As PIL decodes: accurate transform, fancy upsampling, RGB, every row.
void decode_by_libjpeg(const std::vector<uint8_t>& bytes, std::vector<uint8_t>& rgb) {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&info, TRUE);
  info.out_color_space = JCS_RGB;
  jpeg_start_decompress(&info);
  const size_t row_bytes = size_t(info.output_width) * 3;
  rgb.resize(row_bytes * info.output_height);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = rgb.data() + info.output_scanline * row_bytes;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
}

void libjpeg_alone(const Pictures& pictures, int threads) {
  parallel_for(pictures.bytes.size(), threads, [&](size_t i) {
    thread_local std::vector<uint8_t> rgb;
    decode_by_libjpeg(pictures.bytes[i], rgb);
  });
}

void our_decoding(const Pictures& pictures, int threads) {
  data::DecodeOptions options;
  options.crop = pictures.crop, options.size = pictures.size;
  const size_t image_bytes = size_t(pictures.size.width) * size_t(pictures.size.height) * 3;
  parallel_for(pictures.bytes.size(), threads, [&](size_t i) {
    thread_local std::vector<uint8_t> out;
    out.resize(image_bytes);
    data::decode_picture(pictures.bytes[i], "a picture", options, out.data());
  });
}

/// Opens `folder`; returns what decoding was forecast to take, 0 where there is a cache already.
double open(const fs::path& folder, data::Crop crop, data::ImageSize size, const fs::path& cache,
            int threads) {
  data::DatasetOptions options;
  options.crop = name_of(crop);
  options.height = size.height, options.width = size.width;
  options.cache_dir = cache;
  options.threads = threads;
  double forecast = 0;
  options.starting = [&](const data::DecodeForecast& f) { forecast = f.seconds; };
  data::open_dataset(folder, options);
  return forecast;
}

struct TimedRow {
  std::string what;
  int threads;
  Runnable work;
  std::vector<double> seconds, processor;  // by the clock, and of all threads together
  double median() const { return quantile(seconds, 0.5); }
  double median_processor() const { return quantile(processor, 0.5); }
};

/// A row compared with libjpeg's for as many threads, which may be itself.
json print(const TimedRow& row, const TimedRow& libjpeg, size_t pictures) {
  const double share = libjpeg.median() / row.median();
  const double processor_share = libjpeg.median_processor() / row.median_processor();
  std::printf("  %-44s %7d %12.0f", row.what.c_str(), row.threads, double(pictures) / row.median());
  std::printf(" %12.3f", row.median_processor() / double(pictures) * 1e3);
  if (&row != &libjpeg) std::printf("   %6.1f %% %6.1f %%", 100 * share, 100 * processor_share);
  std::printf("\n");
  return {{"what", row.what},
          {"threads", row.threads},
          {"pictures_per_second", double(pictures) / row.median()},
          {"processor_ms_per_picture", row.median_processor() / double(pictures) * 1e3},
          {"of_libjpeg", share},
          {"of_libjpeg_by_processor", processor_share}};
}

/// Decoding, in rounds in which everything has its turn; with one thread, then with all. Next to other
/// programs the processor's time says more than the clock.
json measure_decoding(const Request& f, const Pictures& pictures, const fs::path& scratch, int all) {
  const fs::path cache = scratch / "cache";
  std::vector<double> forecasts;
  std::vector<TimedRow> rows;
  for (const int threads : {1, all}) {
    const auto build = [&, threads] {
      const double seconds = open(pictures.folder, pictures.crop, pictures.size, cache, threads);
      if (threads == all) forecasts.push_back(seconds);
    };
    rows.push_back({"libjpeg-turbo alone, in memory",
                    threads,
                    [&, threads] { libjpeg_alone(pictures, threads); },
                    {},
                    {}});
    rows.push_back({"decode, crop and resize, in memory",
                    threads,
                    [&, threads] { our_decoding(pictures, threads); },
                    {},
                    {}});
    rows.push_back({"the whole cache, from files to a synced file", threads, build, {}, {}});
  }
  for (int round = 0; round < f.rounds; ++round) {
    for (TimedRow& row : rows) {
      fs::remove_all(cache);
      const double start = now();
      const std::clock_t processor = std::clock();
      row.work();
      row.seconds.push_back(now() - start);
      row.processor.push_back(double(std::clock() - processor) / CLOCKS_PER_SEC);
    }
  }
  std::printf("  %-44s %7s %12s %12s   %s\n", "decoding", "threads", "pictures/s", "processor ms",
              "of libjpeg-turbo's rate, by processor");
  json result = json::array();
  for (size_t i = 0; i < rows.size(); ++i)
    result.push_back(print(rows[i], rows[i / 3 * 3], pictures.bytes.size()));
  const double built = rows.back().median(), scale = double(kCelebA) / double(pictures.bytes.size());
  std::printf(
      "\n  CelebA's %zu pictures: %.1f min at that rate; forecast before each build: %.1f min (median)\n",
      kCelebA, built * scale / 60, quantile(forecasts, 0.5) * scale / 60);
  result.push_back({{"what", "forecast over built"}, {"ratio", quantile(forecasts, 0.5) / built}});
  return result;
}

/// A tree as CelebA's, with lists, whose pictures are small.
void make_many(const fs::path& root, int count) {
  constexpr int kSide = 8;
  fs::create_directories(root / "img_align_celeba");
  std::ofstream partition(root / "list_eval_partition.txt");
  std::ofstream attributes(root / "list_attr_celeba.txt");
  attributes << count << "\n";
  for (int a = 0; a < 40; ++a) attributes << "Attribute_" << a << " ";
  attributes << "\n";
  for (int i = 1; i <= count; ++i) {
    char name[16];
    std::snprintf(name, sizeof name, "%06d.jpg", i);
    std::ofstream file(root / "img_align_celeba" / name, std::ios::binary);
    file << "P6 " << kSide << " " << kSide << " 255\n";
    for (int b = 0; b < kSide * kSide * 3; ++b) file.put(char((i * 37 + b * 11) & 255));
    partition << name << " 0\n";
    attributes << name;
    for (int a = 0; a < 40; ++a) attributes << ((i + a) % 3 ? " -1" : "  1");
    attributes << "\n";
  }
}

json measure_opening(const Request& f, const fs::path& scratch, int threads) {
  const fs::path root = scratch / "many", cache = scratch / "many_cache";
  make_many(root, f.many);
  const auto opening = [&] { open(root, data::Crop::none, {8, 8}, cache, threads); };
  opening();  // decodes
  opening();  // notes that all is checked
  std::vector<double> seconds, processor;
  for (int round = 0; round < f.rounds; ++round) {
    const double start = now();
    const std::clock_t begin = std::clock();
    opening();
    seconds.push_back(now() - start);
    processor.push_back(double(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  const double median = quantile(seconds, 0.5), busy = quantile(processor, 0.5);
  std::printf(
      "\n  a finished cache of %d pictures of CelebA's layout is open after %.2f s, %.2f of a processor\n",
      f.many, median, busy);
  return {{"pictures", f.many}, {"seconds", median}, {"processor_seconds", busy}};
}

/// make_batch for `small` at batch 16 on the CPU, as a training step calls it.
json measure_batch(const Request& f, engine::Device& device) {
  const Setting setting{engine::Backend::cpu, 16, DType::f32, model::preset("small").network};
  Operands operands(device);
  const double seconds =
      Stopwatch(device, {9, 9, 0}, 0).time(batch_cases(setting).front().prepare(operands).run).seconds;
  std::printf("  a batch of 16 for `small` is made in %.3f ms", seconds * 1e3);
  if (f.step_ms > 0) std::printf(", %.2f %% of a step of %.0f ms", seconds * 1e5 / f.step_ms, f.step_ms);
  std::printf("\n");
  json result = {{"seconds", seconds}};
  if (f.step_ms > 0) result["share_of_step"] = seconds * 1e3 / f.step_ms;
  return result;
}

struct ScratchFolder {
  fs::path path;
  explicit ScratchFolder(const std::string& name) : path(name) {
    if (fs::exists(path)) fail(cat(name, " is there already: name another --scratch folder"));
    fs::create_directories(path);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

int run(const Request& f) {
  std::ofstream file;
  if (!f.json.empty()) file.open(f.json);
  if (!f.json.empty() && !file) fail(cat("cannot write ", f.json, ": choose another --json FILE"));
  engine::Device device({f.threads, engine::Backend::cpu});
  const ScratchFolder scratch(f.scratch);
  const Pictures pictures = choose_pictures(f, scratch.path);
  const std::string what = cat(pictures.bytes.size(), " pictures, crop ", name_of(pictures.crop), ", to ",
                               pictures.size.height, "x", pictures.size.width, ", median of ", f.rounds);
  std::printf("%s\n%s\n\n", machine_of(device).text().c_str(), what.c_str());
  json report = {{"machine", machine_of(device).text()},
                 {"date", now_text()},
                 {"commit", apps::build_commit()},
                 {"what", what}};
  report["decoding"] = measure_decoding(f, pictures, scratch.path, device.threads());
  if (f.many > 0) report["opening"] = measure_opening(f, scratch.path, device.threads());
  report["batch"] = measure_batch(f, device);
  if (!file.is_open()) return 0;
  file << io::json_text(report, 2) << "\n";
  if (!file.flush()) fail(cat("cannot write ", f.json, ": is the disk full?"));
  return 0;
}

}  // namespace
}  // namespace ito::bench

int main(int argc, char** argv) {
  return ito::apps::run_program<ito::bench::Request>(
      "Times the way of pictures into training, compared with libjpeg-turbo alone.", argc, argv,
      ito::bench::run);
}
