#pragma once

#include <filesystem>
#include <vector>

#include "engine/parameters.h"

/// Averages of a run's weights of any length, made afterwards (Karras et al., arXiv:2312.02696, section 3.2): a run
/// with --power-ema saves two averages (kernels/power_ema.h) at each checkpoint, and any other is a weighted sum of
/// these.
namespace ito::model {

/// An average in which the weights of update s <= t weigh s^gamma.
struct PowerProfile {
  double t = 0, gamma = 0;
};

/// integral over time of the product of two profiles, each of integral 1.
double product_of(const PowerProfile& a, const PowerProfile& b);

/// What each saved average weighs in the sum whose profile is nearest to the wanted one, by least squares. Error: none
/// are saved, or one is from after the wanted time.
std::vector<double> weights_of_profiles(const std::vector<PowerProfile>& saved, const PowerProfile& wanted);

/// The relative width that this gamma has: the inverse of kernels::power_gamma.
double power_width(double gamma);

/// Writes both averages of a store, after `updates` updates: flat f32 buffers, as a state has them.
void save_power_averages(const std::filesystem::path& file, engine::ParamStore& store, int64_t updates);

/// The updates after which a folder has averages, ascending; empty without such a folder.
std::vector<int64_t> saved_power_averages(const std::filesystem::path& folder);

/// Removes those from after `updates`: they are of a history that the run no longer has.
void remove_power_averages_after(const std::filesystem::path& folder, int64_t updates);

/// The weights of the profile with this relative width after `updates`, from the files of a folder, into the store's
/// master track. Error: none are saved of that time, too few are saved for such a width, one is of another network or
/// damaged.
void load_power_average(const std::filesystem::path& folder, double width, int64_t updates,
                        engine::ParamStore& store);

}  // namespace ito::model
