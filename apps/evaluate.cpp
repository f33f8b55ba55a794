#include <iostream>

#include "apps/app_evaluation_networks.h"
#include "apps/app_evaluation_report.h"
#include "apps/app_main.h"
#include "apps/app_model.h"
#include "apps/app_sides_npz.h"
#include "data/crop.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/clock.h"

namespace ito::apps {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string generated, reference, json, html, save_stats, device = "auto", conv = "ours";
  SideOptions sides;
  NetworkFiles files;
  EvaluationOptions evaluation;
};

void add_files(CLI::App& app, Flags& f) {
  app.add_option("--inception", f.files.inception,
                 "weights of the FID network: pt_inception-2015-12-05-6726825d.pth or .safetensors");
  app.add_option("--alexnet", f.files.alexnet, "AlexNet's weights, for LPIPS: alexnet-owt-7be5be79.pth");
  app.add_option("--lpips", f.files.lpips, "LPIPS' linear heads: alex.pth of its version 0.1");
  app.add_option("--json", f.json, "writes the numbers as JSON");
  app.add_option("--html", f.html, "writes a page with images, histogram and nearest neighbours");
  app.add_option("--save-stats", f.save_stats,
                 "writes mean and covariance of GENERATED's features, as pytorch-fid reads them (.npz)");
}

void add_flags(CLI::App& app, Flags& f) {
  constexpr const char* kForms = "a folder or zip of images, CelebA, a run or checkpoint, or an .npz";
  app.add_option("generated", f.generated, std::string("what is measured: ") + kForms)->required();
  app.add_option("--reference", f.reference, std::string("the real images: ") + kForms);
  app.add_option("--count", f.sides.count, "images of each side, at most")->capture_default_str();
  add_files(app, f);
  app.add_option("--resize", f.files.resize, "how images reach 299x299: pytorch-fid, tf1 or clean")
      ->capture_default_str();
  app.add_option("--crop", f.sides.crop,
                 data::crop_names() + ", of CelebA (default: the other side's, else ddim128)");
  app.add_option(
      "--size", f.sides.size,
      "N or HxW, of CelebA (default: the other side's, else 64) and of folders that are to be scaled");
  app.add_option("--split", f.sides.split, "of CelebA: train, valid, test or all (default: train)");
  app.add_option("--pairs", f.evaluation.pairs, "random pairs for Diversity and MS-SSIM-3, at most")
      ->capture_default_str();
  app.add_option("--pairwise", f.evaluation.pairwise,
                 "images of a side whose features are kept, for KID, neighbours and Vendi")
      ->capture_default_str();
  app.add_flag("--inception-score", f.evaluation.inception_score, "adds it; says little about faces");
  app.add_option("--seed", f.evaluation.seed, "of pairs, halves and of which images are taken")
      ->capture_default_str();
  app.add_option("--sampler", f.sides.sampler, "of a checkpoint: euler-maruyama or heun")
      ->capture_default_str();
  app.add_option("--steps", f.sides.steps, "sampler steps")->capture_default_str();
  app.add_option("--cache", f.sides.cache, "folder of decoded images")->capture_default_str();
  app.add_option("--device", f.device, "auto, cpu or cuda")->capture_default_str();
  app.add_option("--conv", f.conv, "convolutions on a GPU: ours or cudnn")->capture_default_str();
  app.add_option("--threads", f.sides.threads, "CPU threads (0: all)")->capture_default_str();
}

/// Before hours of work: results can be written where they shall be.
void check_output(const std::string& flag, const std::string& file) {
  if (file.empty()) return;
  const fs::path folder = fs::absolute(file).parent_path();
  if (!fs::is_directory(folder)) fail(cat(flag, " ", file, ": there is no folder ", folder.string()));
  if (fs::is_directory(file)) fail(cat(flag, " ", file, ": a folder, where a file's name is needed"));
}

void check_flags(const Flags& f) {
  check_output("--json", f.json), check_output("--html", f.html), check_output("--save-stats", f.save_stats);
  if (f.evaluation.pairs < 1) fail(cat("--pairs must be at least 1, is ", f.evaluation.pairs));
  if (f.evaluation.pairwise < 2) fail(cat("--pairwise must be at least 2, is ", f.evaluation.pairwise));
  if (!f.save_stats.empty() && fs::path(f.save_stats).extension() != ".npz")
    fail(cat("--save-stats ", f.save_stats, ": pytorch-fid knows statistics by the ending .npz"));
}

/// What the generated side is known to be is the reference's default.
Side open_reference(const Flags& f, const Side& generated, engine::Device& device) {
  SideOptions options = f.sides;
  options.known_crop = generated.crop;
  if (generated.height) options.known_size = cat(generated.height, "x", generated.width);
  Side reference = open_side(f.reference, options, device);
  check_comparable(generated, reference);
  return reference;
}

void write_results(const Flags& f, const EvaluationReport& report) {
  if (!f.json.empty()) io::write_file_atomic(f.json, report_json(report));
  if (!f.html.empty()) io::write_file_atomic(f.html, report_page(report, f.sides.threads));
  if (!f.save_stats.empty()) write_statistics(f.save_stats, *report.evaluation.generated_statistics);
  for (const std::string& file : {f.json, f.html, f.save_stats})
    if (!file.empty()) std::cout << "wrote      " << file << "\n";
}

int evaluate_sides(Flags& f) {
  f.evaluation.threads = f.sides.threads, f.sides.seed = f.evaluation.seed;
  check_flags(f);
  const engine::Backend backend = engine::parse_backend(f.device);
  engine::Device device({f.sides.threads, backend, parse_sampling_conv(f.conv)});
  const OpenedNetworks opened = open_networks(f.files, device);
  Side generated = open_side(f.generated, f.sides, device);
  std::optional<Side> reference;
  if (!f.reference.empty()) reference = open_reference(f, generated, device);
  if (!f.save_stats.empty() && !generated.statistics && generated.features.empty() &&
      !opened.networks.inception)
    fail("--save-stats needs --inception FILE: " + opened.notes.at(0));

  if (f.evaluation.inception_score && generated.used < 10)
    fail(cat("--inception-score needs an image for each of its ten splits, there are ", generated.used));

  EvaluationReport report;
  report.generated = &generated, report.reference = reference ? &*reference : nullptr;
  report.facts = opened.facts;
  report.facts.push_back({"seed", cat(f.evaluation.seed)});
  report.facts.push_back({"on", where(device)});
  report.notes = opened.notes;
  for (const Side* side : {report.generated, report.reference})
    if (side) report.notes.insert(report.notes.end(), side->notes.begin(), side->notes.end());
  for (Side* side : {&generated, reference ? &*reference : nullptr})
    if (side && side->prepare) side->prepare();
  const double start = now();
  report.evaluation = evaluate(generated, report.reference, opened.networks, f.evaluation);
  std::cout << report_text(report) << "took       " << duration(now() - start) << "\n";
  write_results(f, report);
  return 0;
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  CLI::App app{"Measures generated images: FID, KID, precision and recall, diversity.", "evaluate"};
  ito::apps::Flags flags;
  ito::apps::add_flags(app, flags);
  ito::apps::catch_interrupts();
  return ito::apps::run_program(app, argc, argv, [&] { return ito::apps::evaluate_sides(flags); });
}
