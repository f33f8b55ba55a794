#include "apps/console/flags.h"

namespace ito::apps {

namespace {

/// What CLI11 gives as the value of a flag that is given without one.
constexpr const char* kBare = "true";

}  // namespace

void Flags::add_switch(const std::string& flags, const Field& field, const std::string& help) {
  const std::string flag = field.flag;
  if (flag.empty()) return;
  app_->add_flag_function(
      flags, [this, flag](int64_t times) { given_[flag] = times > 0 ? "" : kOff; }, help);
}

void Flags::add_text(const Field& field, const std::string& what, const std::string& help,
                     const std::string& shown) {
  const std::string flag = field.flag;
  if (flag.empty()) return;
  CLI::Option* option = app_->add_option_function<std::string>(
      flag,
      [this, flag, bare = field.is_bare](const std::string& text) {
        // Usually a shell variable that is not set.
        if (text.empty()) fail(flag + ": its value is empty; give one, or leave the flag out");
        given_[flag] = bare && text == kBare ? "" : text;
      },
      help);
  option->type_name(field.is_bare ? field.bare_value : what)->required(field.is_required);
  if (field.is_repeated) option->multi_option_policy(CLI::MultiOptionPolicy::Join)->delimiter(',');
  if (field.is_bare) option->expected(0);  // takes no word of its own, but what an equals sign joins to it
  if (!shown.empty() && !field.is_required) option->default_str(shown);
}

}  // namespace ito::apps
