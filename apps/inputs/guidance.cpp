#include "apps/inputs/guidance.h"

#include <algorithm>

#include "kernels/base/commands.h"
#include "model/training/attribute_request.h"
#include "model/training/class_request.h"

namespace ito::apps {

namespace {

std::vector<std::string> texts_of(const std::string& attributes) {
  return attributes.empty() ? std::vector<std::string>{} : std::vector<std::string>{attributes};
}

void check_guide(const model::LoadedModel& loaded, const model::LoadedModel& guide, const std::string& name) {
  if (jumps(guide.options))
    fail(cat("--guide ", name,
             " is a model that jumps to the image, and not a worse one of the same kind: choose the "
             "model that it was tuned from"));
  const model::NetworkConfig &a = loaded.options.network, &b = guide.options.network;
  if (a.width == b.width && a.height == b.height && a.channels == b.channels) return;
  fail(cat("--guide ", name, " draws images of ", b.width, "x", b.height, " with ", b.channels,
           " channels, the model those of ", a.width, "x", a.height, " with ", a.channels,
           ": choose a guide of the same images"));
}

}  // namespace

std::pair<double, double> parse_interval(const std::string& text) {
  const size_t comma = text.find(',');
  if (comma == std::string::npos) fail_value("--guidance-interval", "LO,HI, such as 0.3,5", text);
  const std::string who = "each number of --guidance-interval";
  const double low = parse_option<double>(who, std::string_view(text).substr(0, comma), from(0).to(1e30));
  const double high = parse_option<double>(who, std::string_view(text).substr(comma + 1), from(0).to(1e30));
  if (!(low < high)) fail_value("--guidance-interval", "LO,HI with LO below HI", text);
  return {low, high};
}

int class_of(const std::string& flag, const std::string& text, const model::LoadedModel& loaded) {
  try {
    return model::parse_class(text, loaded.options.network.classes, loaded.options.classes);
  } catch (const Error& error) {
    error.rethrow_at(flag);
  }
}

std::string class_name(const model::LoadedModel& loaded, int image_class) {
  const std::vector<std::string>& names = loaded.options.classes;
  return names.empty() ? cat(image_class) : names[size_t(image_class)];
}

void check_knows_attributes(const model::LoadedModel& loaded) {
  if (loaded.options.network.condition == 0)
    fail(cat("the model was trained without attributes, so that it cannot be asked for any; train one with ",
             commands::kTrain, " --attributes DATA, where DATA is CelebA or drawn faces"));
}

GuidedModel::GuidedModel(engine::Device& device, const model::LoadedModel& loaded, const GuidanceRequest& f)
    : device_(device), loaded_(loaded), texts_(texts_of(f.attributes)) {
  guidance_.weight = f.guidance.value_or(1);
  if (guidance_.weight != 1 && jumps(loaded.options))
    fail(
        "the model draws in one or two evaluations, and --guidance leads away from something in many: leave "
        "it "
        "out, or guide the model that this one was tuned from");
  if (!f.interval.empty()) {
    if (guidance_.weight == 1)
      fail("--guidance-interval does nothing without --guidance; add --guidance 2, for example");
    std::tie(guidance_.least, guidance_.most) = parse_interval(f.interval);
    if (const double most = loaded.sde.at(1).sigma; guidance_.least > most)
      fail(cat("--guidance-interval ", f.interval, ": the model's sigma is at most ", most));
  }
  if (!f.guide.empty()) {
    if (guidance_.weight == 1) fail("--guide does nothing without --guidance; add --guidance 2, for example");
    guide_ = model::load_model(device, run_or_checkpoint("--guide", f.guide), loaded.options.precision);
    guide_name_ = f.guide;
    check_guide(loaded, *guide_, f.guide);
  } else if (guidance_.weight != 1 && loaded.options.network.condition_width() == 0) {
    fail(
        "--guidance does nothing for a model that was trained without attributes and classes; add a --guide, "
        "or "
        "train with --attributes or --classes");
  } else if (guidance_.weight != 1 && loaded.options.drop_condition == 0) {
    fail(
        "--guidance leads away from images without attributes or a class, and the model has never learned "
        "such; add "
        "a --guide, which is led away from instead");
  }
  if (loaded.options.network.classes) {
    if (!f.image_class.empty()) image_class_ = class_of("--class", f.image_class, loaded);
    if (!texts_.empty()) fail("--attr: the model has classes and no attributes; ask for a --class");
    return;
  }
  if (!f.image_class.empty())
    fail(cat("--class: the model was trained without classes; train one with ", commands::kTrain,
             " --classes DATA, where DATA has a folder for each class; those of imported models are in "
             "docs/import.md"));
  if (!texts_.empty()) check_knows_attributes(loaded);
  if (!texts_.empty() || (guidance_.weight != 1 && !guide_)) loaded.ask(texts_);  // its errors
}

/// The guide under the conditions of the model's images, as far as it knows their names.
model::Denoiser GuidedModel::guide_denoiser(const model::AttributeRequest* asked) const {
  if (!asked || guide_->attributes.empty()) return guide_->varied_denoiser();
  const std::vector<std::string>&known = asked->rows().names(), &wanted = guide_->attributes.names();
  std::vector<size_t> places;  // in the model's condition; past its end: unknown to it
  for (const std::string& name : wanted)
    places.push_back(size_t(std::find(known.begin(), known.end(), name) - known.begin()));
  const auto conditions = [asked = *asked, places](const std::vector<uint64_t>& seeds) {
    std::vector<float> rows;
    for (const uint64_t seed : seeds) {
      const std::vector<float> condition = asked.condition_for(seed);
      for (const size_t place : places) rows.push_back(place < condition.size() ? condition[place] : 0);
    }
    return rows;
  };
  return model::guided_denoiser(device_, *guide_->network,
                                {guide_->options.diffusion.preconditioning, guide_->compute()}, conditions,
                                {});
}

model::Denoiser GuidedModel::of_class() const {
  if (!guide_) return loaded_.class_denoiser(image_class_, guidance_);
  const bool same = guide_->options.network.classes == loaded_.options.network.classes &&
                    guide_->options.classes == loaded_.options.classes;
  const model::Denoiser guide = same ? guide_->class_denoiser(image_class_, {}) : guide_->varied_denoiser();
  return model::autoguided(loaded_.class_denoiser(image_class_, {}), guide, guidance_);
}

model::Denoiser GuidedModel::denoiser(const std::vector<std::string>& attributes) const {
  if (loaded_.options.network.classes) return of_class();
  if (loaded_.attributes.empty()) {
    const model::Denoiser plain = loaded_.denoiser();
    return guide_ ? model::autoguided(plain, guide_denoiser(nullptr), guidance_) : plain;
  }
  const model::AttributeRequest asked = loaded_.ask(attributes);
  if (!guide_) return loaded_.attribute_denoiser(asked, guidance_);
  return model::autoguided(loaded_.attribute_denoiser(asked, {}), guide_denoiser(&asked), guidance_);
}

model::SamplerFacts GuidedModel::facts() const {
  model::SamplerFacts facts;
  for (const std::string& text : texts_) facts.emplace_back("attr", text);
  if (image_class_) facts.emplace_back("class", class_name(loaded_, *image_class_));
  if (guidance_.weight != 1) facts.emplace_back("guidance", shortest_text(guidance_.weight));
  if (guidance_.least > 0 || guidance_.most < model::Guidance{}.most)
    facts.emplace_back("guidance_interval",
                       cat(shortest_text(guidance_.least), ",", shortest_text(guidance_.most)));
  if (guide_) facts.emplace_back("guide", cat(guide_name_, " at step ", guide_->step));
  return facts;
}

std::vector<std::string> GuidedModel::notes() const {
  if (loaded_.options.network.classes && !image_class_)
    return {"no class is asked for: each image has one that its seed chooses"};
  if (texts_.empty()) return {};
  const model::Agreement a = loaded_.ask(texts_).agreement();
  if (a.all()) return {};
  return {cat("no training image has all ", a.wanted, " attributes: the others are taken from one of ",
              a.rows, " that agree with ", a.most)};
}

}  // namespace ito::apps
