#include "apps/evaluation/evaluation.h"

#include <algorithm>
#include <cmath>

#include "apps/console/live_line.h"
#include "apps/console/number_text.h"
#include "apps/evaluation/features.h"
#include "apps/evaluation/pixel_distance.h"
#include "apps/evaluation/rounds.h"
#include "apps/inputs/give_way.h"
#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "model/metrics/kernel_distance.h"
#include "model/metrics/ms_ssim.h"
#include "model/metrics/neighbours.h"
#include "model/metrics/random_pairs.h"
#include "model/metrics/vendi.h"

namespace ito::apps {

namespace {

constexpr int64_t kPairsAtOnce = 32;
constexpr size_t kClosest = 12;

/// The shorter side of the images.
int shorter_side(const SideImages& images) { return std::min(images.size().height, images.size().width); }

Figure figure(std::string key, std::string label) {
  Figure f;
  f.key = std::move(key), f.label = std::move(label);
  return f;
}

Figure missing(Figure f, const std::string& reason) {
  f.missing = reason;
  return f;
}

/// "FID-10000": the number of images is part of the name, since FID is larger for fewer images.
std::string fid_label(const std::string& name, std::optional<int64_t> count) {
  return count ? cat(name, "-", *count) : name;
}

/// Why one of the sides has no features; "" if both have.
std::string lacks_features(const SideFeatures& a, const SideFeatures& b) {
  return !a.missing.empty() ? a.missing : b.missing;
}

void add_frechet(Evaluation& e, const SideFeatures& generated, const SideFeatures* real) {
  Figure fid = figure("fid", fid_label("FID", generated.count));
  Figure floor = figure("fid_floor", "FID floor");
  if (!real) {
    e.figures.push_back(missing(fid, "no --reference"));
    e.figures.push_back(missing(floor, "no --reference"));
    return;
  }
  if (generated.statistics && real->statistics) {
    fid.value = frechet_distance(*generated.statistics, *real->statistics);
    if (real->count && real->count != generated.count) fid.note = cat("reference: ", *real->count);
  } else {
    fid.missing = !generated.statistics ? generated.missing : real->missing;
  }
  if (real->halves.size() == 2) {
    floor.value = frechet_distance(real->halves[0], real->halves[1]);
    floor.label = fid_label("FID floor", real->halves[0].count);
    floor.note = "between halves of the reference";
  } else {
    floor.missing = !real->missing.empty() ? real->missing : "the reference has too few images";
  }
  e.figures.push_back(fid), e.figures.push_back(floor);
}

void add_kernel_distance(Evaluation& e, const SideFeatures& generated, const SideFeatures* real) {
  Figure kid = figure("kid", "KID x 1000");
  kid.factor = 1000;
  const std::string lack = real ? lacks_features(generated, *real) : "no --reference";
  if (lack.empty()) {
    LiveLine line;
    const double start = now();
    const auto progress = [&](int done, int total) {
      give_way();
      line.show(cat("KID        ", done, " of ", total, " subsets, ",
                    duration((now() - start) / done * (total - done)), " left"));
    };
    const model::KernelDistance d = kernel_distance(generated.rows(), real->rows(), {}, progress);
    kid.value = d.mean, kid.spread = d.deviation;
    kid.note = cat("100 subsets of ", d.subset_size);
  }
  e.figures.push_back(missing(kid, lack));
}

void add_neighbours(Evaluation& e, const SideFeatures& generated, const SideFeatures* real) {
  Figure figures[] = {figure("precision", "Precision"), figure("recall", "Recall"),
                      figure("density", "Density"), figure("coverage", "Coverage")};
  std::string lack = real ? lacks_features(generated, *real) : "no --reference";
  if (lack.empty() && std::min(generated.kept, real->kept) <= 5)
    lack = "more than five images a side are needed";
  if (lack.empty()) {
    const model::Overlap o = overlap(real->rows(), generated.rows());
    const double values[] = {o.precision, o.recall, o.density, o.coverage};
    for (int i = 0; i < 4; ++i) {
      figures[i].value = values[i];
      figures[i].note = cat("pool3, k = ", i < 2 ? 3 : 5);
    }
    const std::vector<model::Nearest> nearest = nearest_rows(generated.rows(), real->rows());
    for (size_t i = 0; i < nearest.size(); ++i) {
      e.generated_distances.push_back(nearest[i].distance);
      e.closest.push_back({generated.images[i], real->images[size_t(nearest[i].row)], nearest[i].distance});
    }
    e.reference_distances = neighbour_radii(real->rows(), {1})[0];
    for (double& d : e.reference_distances) d = std::sqrt(d);
    std::stable_sort(e.closest.begin(), e.closest.end(),
                     [](const auto& a, const auto& b) { return a.distance < b.distance; });
    e.closest.resize(std::min(e.closest.size(), kClosest));
  }
  for (const Figure& f : figures) e.figures.push_back(missing(f, lack));
}

void add_scores(Evaluation& e, const SideFeatures& generated, const SideFeatures* real) {
  Figure vendi = figure("vendi", "Vendi (pool3)");
  vendi.missing = generated.missing;
  if (generated.kept > 0) {
    vendi.value = vendi_score(generated.rows());
    vendi.note = cat("of ", generated.kept, " images");
  }
  if (real && real->kept > 0) vendi.real = vendi_score(real->rows());
  e.figures.push_back(vendi);
  if (!generated.score) return;
  Figure score = figure("inception_score", "Inception score");
  score.value = generated.score->mean, score.spread = generated.score->deviation;
  if (real && real->score) score.real = real->score->mean, score.real_spread = real->score->deviation;
  e.figures.push_back(score);
}

using Pairs = std::vector<std::pair<int64_t, int64_t>>;

/// The images of pairs [begin, end): u8 [end - begin, height, width, 3] each.
struct PairImages {
  std::vector<uint8_t> a, b;
};
PairImages read_pairs(const SideImages& source, const Pairs& pairs, size_t begin, size_t end, int threads) {
  const size_t bytes = source.bytes();
  PairImages images{std::vector<uint8_t>((end - begin) * bytes), std::vector<uint8_t>((end - begin) * bytes)};
  parallel_for(end - begin, threads, [&](size_t i) {
    source.read(pairs[begin + i].first, images.a.data() + i * bytes);
    source.read(pairs[begin + i].second, images.b.data() + i * bytes);
  });
  return images;
}

/// Calls `of(images, count, values)` for all pairs of a side, some at a time, which ranks share, with progress.
template <class F>
model::MeanAndError over_pairs(const Side& side, const char* what, const EvaluationOptions& o,
                               kernels::Wire& ranks, F&& of) {
  const Pairs pairs = model::random_pairs(side.used, o.pairs, o.seed);
  const int threads = thread_count(o.threads);
  std::vector<double> values;
  LiveLine line;
  const double start = now();
  const auto make = [&](int64_t first, int64_t n, double* out) {
    give_way();
    of(read_pairs(*side.images, pairs, size_t(first), size_t(first + n), threads), size_t(n), out);
  };
  const auto take = [&](int64_t, int64_t n, const double* some) {
    values.insert(values.end(), some, some + n);
    const size_t done = values.size();
    line.show(cat(what, done, " of ", pairs.size(), " pairs of ", side.place(), ", ",
                  duration((now() - start) / double(done) * double(pairs.size() - done)), " left"));
  };
  in_rounds<double>(ranks, {int64_t(pairs.size()), kPairsAtOnce, 1}, make, take);
  return model::mean_and_error(values);
}

/// Fills a figure that is a mean over pairs of each side; f(side) measures one.
template <class F>
void add_of_pairs(Evaluation& e, Figure figure, const Side& generated, const Side* reference, F&& f) {
  const auto lack = [](const Side& side) {
    return side.images ? std::string() : cat(side.place(), " has no images");
  };
  if (figure.missing.empty()) figure.missing = lack(generated);
  if (figure.missing.empty()) {
    const model::MeanAndError m = f(generated);
    figure.value = m.mean, figure.spread = m.error;
    if (reference && lack(*reference).empty()) {
      const model::MeanAndError r = f(*reference);
      figure.real = r.mean, figure.real_spread = r.error;
    }
  }
  e.figures.push_back(figure);
}

void add_diversity(Evaluation& e, const Side& generated, const Side* reference,
                   const MetricNetworks& networks, const EvaluationOptions& o, kernels::Wire& ranks) {
  const int64_t pairs = std::min(o.pairs, generated.used / 2);
  Figure diversity = figure("diversity", "Diversity (LPIPS)");
  diversity.missing = networks.lpips_missing;
  if (diversity.missing.empty() && generated.images && shorter_side(*generated.images) < 31)
    diversity.missing = "LPIPS needs images of at least 31 pixels a side";
  diversity.note = cat("mean of ", pairs, " pairs");
  add_of_pairs(e, diversity, generated, reference, [&](const Side& side) {
    return over_pairs(side, "Diversity  ", o, ranks, [&](const PairImages& p, size_t count, double* values) {
      const data::ImageSize size = side.images->size();
      networks.lpips(p.a.data(), p.b.data(), int64_t(count), size.height, size.width, values);
    });
  });

  Figure similarity = figure("ms_ssim3", "1 - MS-SSIM-3");
  similarity.offset = 1, similarity.factor = -1;
  similarity.note = diversity.note;
  if (generated.images && shorter_side(*generated.images) < model::kMsSsim3LeastSide)
    similarity.missing = cat("images of at least ", model::kMsSsim3LeastSide, " pixels a side are needed");
  add_of_pairs(e, similarity, generated, reference, [&](const Side& side) {
    return over_pairs(side, "MS-SSIM-3  ", o, ranks, [&](const PairImages& p, size_t count, double* values) {
      const size_t bytes = side.images->bytes();
      const data::ImageSize size = side.images->size();
      parallel_for(count, thread_count(o.threads), [&](size_t i) {
        values[i] = model::ms_ssim3(p.a.data() + i * bytes, p.b.data() + i * bytes, size.height, size.width);
      });
    });
  });
}

}  // namespace

Evaluation evaluate(const Side& generated, const Side* reference, const MetricNetworks& networks,
                    const EvaluationOptions& options, kernels::Wire& ranks) {
  Evaluation e;
  FeatureWork work(networks, options, ranks);
  work.expect(generated);
  if (reference) work.expect(*reference);
  const SideFeatures ours = work.features_of(generated, false);
  std::optional<SideFeatures> real;
  if (reference) real = work.features_of(*reference, true);
  work.end();
  const SideFeatures* const theirs = real ? &*real : nullptr;
  const auto by_first = [&](const std::function<void()>& add) {
    engine::together(ranks, [&] {
      give_way();
      if (ranks.rank() == 0) add();
    });
  };
  by_first([&] {
    add_frechet(e, ours, theirs);
    add_kernel_distance(e, ours, theirs);
    add_neighbours(e, ours, theirs);
  });
  add_diversity(e, generated, reference, networks, options, ranks);
  by_first([&] { add_scores(e, ours, theirs); });
  add_pixel_distance(e, generated, reference, options, ranks);
  e.generated_statistics = ours.statistics;
  return e;
}

std::vector<uint8_t> some_images(const Side& side, int64_t n, int threads) {
  const size_t count = size_t(std::min(n, side.used)), bytes = side.images->bytes();
  std::vector<uint8_t> pixels(count * bytes);
  parallel_for(count, thread_count(threads), [&](size_t i) {
    side.images->read(int64_t(i) * side.used / int64_t(count), pixels.data() + i * bytes);
  });
  return pixels;
}

}  // namespace ito::apps
