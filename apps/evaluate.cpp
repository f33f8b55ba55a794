#include <iostream>

#include "apps/console/given.h"
#include "apps/console/number_text.h"
#include "apps/console/output_file.h"
#include "apps/console/program.h"
#include "apps/console/stopping.h"
#include "apps/evaluation/networks.h"
#include "apps/evaluation/report.h"
#include "apps/evaluation/sides_npz.h"
#include "apps/inputs/checkpoint.h"
#include "apps/launch/launched.h"
#include "data/celeba_files/celeba.h"
#include "data/dataset.h"
#include "data/pictures/crop.h"
#include "engine/agreement.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/clock.h"

namespace ito::apps {
namespace {

namespace fs = std::filesystem;

/// What is asked of ./evaluate.
struct Request {
  std::string generated, reference, json, html, save_stats;
  std::optional<data::Crop> crop;
  SideOptions sides;
  NetworkFiles files;
  EvaluationOptions evaluation;
  DeviceRequest device;
};

constexpr const char* kForms = "a folder or zip of images, CelebA, a run or checkpoint, or an .npz";

template <FieldsOf<NetworkFiles> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(
      o.inception,
      Field("inception", "weights of the FID network: pt_inception-2015-12-05-6726825d.pth or .safetensors"));
  visit(o.alexnet, Field("alexnet", "AlexNet's weights, for LPIPS: alexnet-owt-7be5be79.pth"));
  visit(o.lpips, Field("lpips", "LPIPS' linear heads: alex.pth of its version 0.1"));
  visit(o.resize, Field("resize", "how images reach 299x299"));
}

template <FieldsOf<EvaluationOptions> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  constexpr Range kImages = from(2).to(1e9);
  visit(o.pairs, Field("pairs", "random pairs for Diversity and MS-SSIM-3, at most", from(1).to(1e9)));
  visit(
      o.pairwise,
      Field("pairwise", "images of a side whose features are kept, for KID, neighbours and Vendi", kImages));
  visit(o.inception_score, Field("inception_score", "adds it; says little about faces"));
  visit(o.seed, Field("seed", "of pairs, halves and of which images are taken", kAnySeed));
}

template <FieldsOf<Request> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.generated, Field("generated", cat("what is measured: ", kForms)).as("generated").required());
  visit(o.reference, Field("reference", cat("the real images: ", kForms)));
  visit(o.sides.count, Field("count", "images of each side, at most", from(2).to(1e9)));
  fields(o.files, visit);
  visit(o.json, Field("json", "writes the numbers as JSON"));
  visit(o.html, Field("html", "writes a page with images, histogram and nearest neighbours"));
  visit(o.save_stats,
        Field("save_stats",
              "writes mean and covariance of GENERATED's features, as pytorch-fid reads them (.npz)"));
  visit(o.crop, Field("crop", "of CelebA").otherwise("the other side's, else ddim128"));
  visit(o.sides.orientation, data::orientation_field());
  visit(o.sides.size, Field("size", "N or HxW, of CelebA and of folders that are to be scaled")
                          .otherwise("of CelebA: the other side's, else 64"));
  visit(o.sides.split, Field("split", "of CelebA").one_of(data::split_names()).otherwise("train"));
  fields(o.evaluation, visit);
  fields(o.sides.sampler, visit);
  fields(o.sides.guidance, visit);
  visit(o.sides.cache, Field("cache", "folder of decoded images"));
  fields(o.device, visit);
}

void check_outputs(const Request& f) {
  check_output("--json", f.json), check_output("--html", f.html), check_output("--save-stats", f.save_stats);
}

void check_request(const Request& f) {
  if (!f.save_stats.empty() && fs::path(f.save_stats).extension() != ".npz")
    fail(cat("--save-stats ", f.save_stats, ": pytorch-fid recognises statistics by the ending .npz"));
  check_network_files(f.files);
  check_place(f.generated);
  if (!f.reference.empty()) check_place(f.reference);
}

/// Fails if an option that says how a checkpoint draws is given where neither side is a checkpoint.
void check_sampling(const Request& f, const Side& generated, const Side* reference) {
  for (const Side* side : {&generated, reference})
    if (side && side->identity.kind == "checkpoint") return;
  const std::vector<std::string> names = given_options(f.sides.sampler, f.sides.guidance);
  if (!names.empty())
    fail_advising(cat(names.front(), " is for checkpoints, and nothing here is one"),
                  {cat("no {", names.front(), "}")});
}

/// Checks, before the networks run, that the sides have what was asked for.
void check_sides(const Request& f, const Side& generated) {
  if (!f.save_stats.empty() && !generated.statistics && !generated.features && f.files.inception.empty())
    fail("--save-stats needs --inception FILE: " + where_to_get_inception());
  if (f.evaluation.inception_score && generated.used < 10)
    fail(cat("--inception-score needs an image for each of its ten splits, and there are only ",
             generated.used));
}

/// Opens the reference, whose crop and size are by default those of the generated side.
Side open_reference(const Request& f, const Side& generated, engine::Device& device) {
  SideOptions options = f.sides;
  options.known_crop = generated.identity.crop;
  if (const auto& images = generated.images)
    options.known_size = cat(images->size().height, "x", images->size().width);
  Side reference = open_side(f.reference, options, device);
  check_comparable(generated, reference);
  return reference;
}

void write_results(const Request& f, const EvaluationReport& report) {
  if (!f.json.empty()) io::write_file_atomic(f.json, report_json(report));
  if (!f.html.empty()) io::write_file_atomic(f.html, report_page(report, f.sides.threads));
  if (!f.save_stats.empty()) write_statistics(f.save_stats, *report.evaluation.generated_statistics);
  for (const std::string& file : {f.json, f.html, f.save_stats})
    if (!file.empty()) std::cout << "wrote      " << file << "\n";
}

/// Error: ranks have opened different images; with the first difference.
void check_ranks(kernels::Wire& ranks, engine::Device& device, const Side& generated, const Side* reference) {
  engine::Facts facts = {{"version", version_text()}, {"device", device.name()}};
  for (const Side* side : {&generated, reference}) {
    if (!side) continue;
    facts.emplace_back("images", side_text(*side));
    for (const auto& [name, value] : side->identity.facts) facts.emplace_back(name, value);
  }
  engine::check_equal(ranks, facts);
}

EvaluationReport begin_report(const Request& f, const Side& generated, const Side* reference,
                              const OpenedNetworks& opened, engine::Device& device) {
  EvaluationReport report;
  report.generated = &generated, report.reference = reference;
  report.facts = opened.facts;
  report.facts.emplace_back("seed", cat(f.evaluation.seed));
  report.facts.emplace_back("on", where(device));
  report.notes = opened.notes;
  for (const Side* side : {&generated, reference})
    if (side) report.notes.insert(report.notes.end(), side->notes.begin(), side->notes.end());
  return report;
}

int evaluate_sides(Request f, Launched& launched) try {
  constexpr double kStuckAfter = 600;  // seconds
  f.evaluation.threads = f.sides.threads = launched.threads(f.device.threads);
  f.sides.seed = f.evaluation.seed;
  if (f.crop) f.sides.crop = name_of(*f.crop);
  f.sides.by_machine = [&](const auto& work) { launched.one_by_machine(work); };
  launched.by_first([&] { check_outputs(f); });
  check_request(f);
  launched.watch(kStuckAfter, [] { return "before all was measured; nothing was written"; });
  const engine::Backend backend = engine::choose_backend(f.device.device, launched.gpu());
  engine::Device device(launched.device(f.device.threads, backend, f.device.conv));
  std::optional<Side> reference = open_file_of_arrays(f.reference, f.sides);
  Side generated = open_side(f.generated, f.sides, device);
  if (reference)
    check_comparable(generated, *reference);
  else if (!f.reference.empty())
    reference = open_reference(f, generated, device);
  Side* const real = reference ? &*reference : nullptr;
  check_ranks(launched.ranks(), device, generated, real);
  check_sampling(f, generated, real);
  check_sides(f, generated);
  const OpenedNetworks opened = open_networks(f.files, device);
  EvaluationReport report = begin_report(f, generated, real, opened, device);
  for (Side* side : {&generated, real})
    if (side && side->images) side->images->prepare();
  const double start = now();
  report.evaluation = evaluate(generated, real, opened.networks, f.evaluation, launched.ranks());
  launched.by_first([&] {
    std::cout << report_text(report) << "took       " << duration(now() - start) << "\n";
    write_results(f, report);
  });
  return 0;
} catch (const engine::Interrupted&) {
  stop("nothing was written");
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  ito::apps::catch_interrupts();
  return ito::apps::run_launched<ito::apps::Request>(
      "Measures generated images: FID, KID, precision and recall, diversity. Several ranks (mpirun, srun) "
      "share the "
      "work.",
      argc, argv, ito::apps::evaluate_sides, ito::apps::kExitCodes);
}
