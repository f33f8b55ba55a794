#include "apps/evaluation/networks.h"

#include "engine/io/sha256.h"
#include "kernels/base/error.h"
#include "kernels/base/file.h"
#include "model/metrics/inception.h"
#include "model/metrics/lpips.h"

namespace ito::apps {

namespace {

/// Published weights, recognised by the first digits of their SHA-256, which are also part of the file's name.
struct Published {
  const char* what;
  std::vector<std::string> hashes;
  const char* get;
};

const Published kInception{"the FID network",
                           {"6726825d"},
                           "download pt_inception-2015-12-05-6726825d.pth (91 MiB) from "
                           "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
                           "pt_inception-2015-12-05-6726825d.pth"};
const Published kAlexNet{"AlexNet",
                         {"7be5be79", "4df8aa71"},
                         "download alexnet-owt-7be5be79.pth (233 MiB) from "
                         "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"};
constexpr const char* kGetHeads =
    "alex.pth (6 kB) from https://github.com/richzhang/PerceptualSimilarity, lpips/weights/v0.1";

void identify(OpenedNetworks& opened, const std::string& flag, const std::string& file,
              const Published* published) {
  const std::string hash = io::sha256_of_file(file);
  opened.facts.emplace_back(flag, cat(file, ", sha256 ", hash));
  if (!published) return;
  for (const std::string& known : published->hashes)
    if (hash.compare(0, known.size(), known) == 0) return;
  opened.notes.push_back(cat(file, " is not the published file of ", published->what, " (sha256 ",
                             published->hashes[0], "...): its numbers can only be compared with each other"));
}

}  // namespace

void check_network_files(const NetworkFiles& files) {
  if (files.alexnet.empty() != files.lpips.empty()) fail("LPIPS needs both --alexnet FILE and --lpips FILE");
  const std::pair<const char*, const std::string&> named[] = {
      {"--inception", files.inception}, {"--alexnet", files.alexnet}, {"--lpips", files.lpips}};
  for (const auto& [flag, file] : named) {
    if (file.empty()) continue;
    try {
      File(file, File::Mode::read).regular_size();
    } catch (const Error& error) {
      fail(cat(flag, " ", error.what()));
    }
  }
}

std::string where_to_get_inception() { return cat("--inception: ", kInception.get); }

void open_inception(OpenedNetworks& opened, const NetworkFiles& files, engine::Device& device) {
  if (files.inception.empty()) {
    opened.networks.inception_missing = "needs --inception FILE";
    opened.notes.push_back(where_to_get_inception());
    return;
  }
  identify(opened, "inception", files.inception, &kInception);
  opened.facts.emplace_back("resize", std::string(name_of(files.resize)));
  const auto network = std::make_shared<const model::InceptionFeatures>(
      device, model::weights_of_file(files.inception), files.resize);
  opened.networks.inception = [=](const uint8_t* images, int64_t n, int h, int w, float* features,
                                  float* logits) { (*network)(images, n, h, w, features, logits); };
}

OpenedNetworks open_networks(const NetworkFiles& files, engine::Device& device) {
  OpenedNetworks opened;
  check_network_files(files);
  open_inception(opened, files, device);
  if (files.alexnet.empty()) {
    opened.networks.lpips_missing = "needs --alexnet FILE --lpips FILE";
    opened.notes.push_back(cat("--alexnet: ", kAlexNet.get));
    opened.notes.push_back(cat("--lpips: download ", kGetHeads));
  } else {
    identify(opened, "alexnet", files.alexnet, &kAlexNet);
    identify(opened, "lpips", files.lpips, nullptr);
    const auto network = std::make_shared<model::Lpips>(device, model::weights_of_file(files.alexnet),
                                                        model::weights_of_file(files.lpips));
    opened.networks.lpips = [=](const uint8_t* a, const uint8_t* b, int64_t pairs, int h, int w, double* d) {
      network->distances(a, b, pairs, h, w, d);
    };
  }
  return opened;
}

}  // namespace ito::apps
