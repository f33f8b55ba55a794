#include "model/training/power_average.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/checkpoint.h"
#include "kernels/power_ema.h"
#include "model/training/run_folder.h"

namespace ito::model {

namespace fs = std::filesystem;

namespace {

/// Solves a x = b, by elimination with the largest pivots of each column. `a` is [n,n], row after row, and is symmetric
/// and nearly singular where averages are close to each other: hence the longer numbers.
std::vector<double> solved(std::vector<long double> a, std::vector<long double> b) {
  const size_t n = b.size();
  for (size_t i = 0; i < n; ++i) {
    size_t pivot = i;
    for (size_t row = i + 1; row < n; ++row)
      if (std::fabs(a[row * n + i]) > std::fabs(a[pivot * n + i])) pivot = row;
    std::swap_ranges(a.begin() + std::ptrdiff_t(i * n), a.begin() + std::ptrdiff_t((i + 1) * n),
                     a.begin() + std::ptrdiff_t(pivot * n));
    std::swap(b[i], b[pivot]);
    for (size_t row = i + 1; row < n; ++row) {
      const long double factor = a[row * n + i] / a[i * n + i];
      for (size_t k = i; k < n; ++k) a[row * n + k] -= factor * a[i * n + k];
      b[row] -= factor * b[i];
    }
  }
  std::vector<double> x(n);
  for (size_t i = n; i-- > 0;) {
    long double sum = b[i];
    for (size_t k = i + 1; k < n; ++k) sum -= a[i * n + k] * static_cast<long double>(x[k]);
    x[i] = double(sum / a[i * n + i]);
  }
  return x;
}

int64_t updates_of(const fs::path& file) {
  const auto step = step_of_name(file.stem());
  return step && file.extension() == ".safetensors" ? *step : 0;
}

fs::path file_of(const fs::path& folder, int64_t updates) {
  return folder / (step_name(updates) + ".safetensors");
}

/// What all weights together may differ from 1 by; then they are divided by their sum.
constexpr double kMostDifference = 0.02;

}  // namespace

double product_of(const PowerProfile& a, const PowerProfile& b) {
  const PowerProfile &early = a.t < b.t ? a : b, &late = a.t < b.t ? b : a;
  return (a.gamma + 1) * (b.gamma + 1) * std::pow(early.t / late.t, late.gamma) /
         ((a.gamma + b.gamma + 1) * late.t);
}

double power_width(double gamma) { return std::sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2); }

std::vector<double> weights_of_profiles(const std::vector<PowerProfile>& saved, const PowerProfile& wanted) {
  if (saved.empty()) fail("no averages are saved");
  std::vector<long double> products, wished;
  for (const PowerProfile& a : saved) {
    if (a.t > wanted.t) fail(cat("an average of update ", a.t, " is from after the wanted one, ", wanted.t));
    for (const PowerProfile& b : saved) products.push_back(product_of(a, b));
    wished.push_back(product_of(a, wanted));
  }
  return solved(std::move(products), std::move(wished));
}

void save_power_averages(const fs::path& file, engine::ParamStore& store, int64_t updates) {
  fs::create_directories(file.parent_path());
  engine::save_power_averages(file, store, {{"updates", std::to_string(updates)}});
}

std::vector<int64_t> saved_power_averages(const fs::path& folder) {
  std::vector<int64_t> saved;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (const int64_t updates = updates_of(entry.path()); updates > 0) saved.push_back(updates);
  std::sort(saved.begin(), saved.end());
  return saved;
}

void remove_power_averages_after(const fs::path& folder, int64_t updates) {
  std::error_code ignored;  // of files that another process has removed
  for (const int64_t saved : saved_power_averages(folder))
    if (saved > updates) fs::remove(file_of(folder, saved), ignored);
}

void load_power_average(const fs::path& folder, double width, int64_t updates, engine::ParamStore& store) {
  std::vector<int64_t> times = saved_power_averages(folder);
  if (std::find(times.begin(), times.end(), updates) == times.end()) {
    std::string list;
    for (const int64_t t : times) list += cat(list.empty() ? "" : ", ", t);
    fail(cat(folder.string(), " has no averages after ", updates, " updates",
             times.empty() ? ", nor any others" : ", but after " + list));
  }
  std::erase_if(times, [&](int64_t t) { return t > updates; });
  std::vector<PowerProfile> saved;
  for (const int64_t t : times)
    for (const double of : kernels::kPowerWidths) saved.push_back({double(t), kernels::power_gamma(of)});
  std::vector<double> weights = weights_of_profiles(saved, {double(updates), kernels::power_gamma(width)});
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (!(std::abs(all - 1) < kMostDifference))
    fail(cat("the averages of ", times.size(), " checkpoints in ", folder.string(),
             " are too few for a relative width of ", width, ": the nearest sum of them has weights of ", all,
             " in all, not 1"));
  std::vector<double> sum(size_t(store.model_count()), 0.0);
  for (size_t i = 0; i < times.size(); ++i) {
    const engine::PowerAverages averages = engine::read_power_averages(file_of(folder, times[i]), store);
    for (size_t k = 0; k < averages.average.size(); ++k)
      for (size_t e = 0; e < sum.size(); ++e)
        sum[e] += weights[averages.average.size() * i + k] / all * double(averages.average[k][e]);
  }
  const std::vector<float> rounded(sum.begin(), sum.end());
  store.device().upload(store.master(), rounded.data(), rounded.size() * sizeof(float));
  store.refresh_half();
}

}  // namespace ito::model
