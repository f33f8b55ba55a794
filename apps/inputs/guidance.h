#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/inputs/checkpoint.h"
#include "model/diffusion/sampler_options.h"

/// What programs that draw from a checkpoint let a user ask of its faces: attributes, and how strongly.
namespace ito::apps {

struct GuidanceRequest {
  std::string attributes;        // all that --attr gave, joined by commas
  std::string image_class = {};  // its name or number
  std::optional<double> guidance;
  std::string interval, guide;
};

template <FieldsOf<GuidanceRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.attributes,
        Field("attr",
              "attributes of the faces: Smiling=1, Eyeglasses=-1 or Smiling,-Eyeglasses; those not "
              "named are as in a training image, chosen by the seed")
            .repeated());
  visit(o.image_class,
        Field("class", "of all images, its name or its number from 0 on, of a model with classes")
            .otherwise("any, chosen by the seed"));
  visit(o.guidance, Field("guidance",
                          "how strongly: 1 is plain, more leads away from faces without these attributes, or "
                          "from those of the guide",
                          from(-100).to(100))
                        .otherwise("1"));
  visit(o.interval,
        Field("guidance_interval", "LO,HI: only where sigma is in there").otherwise("everywhere"));
  visit(o.guide,
        Field("guide", "a run or checkpoint, worse than the model, to be led away from (autoguidance)"));
}

/// "LO,HI" with 0 <= LO < HI. Error: anything else.
std::pair<double, double> parse_interval(const std::string& text);

/// The class that a flag asks of a model with classes. Error, with the flag: none of its names or numbers.
int class_of(const std::string& flag, const std::string& text, const model::LoadedModel&);
/// A class's name; its number where the model's classes have no names.
std::string class_name(const model::LoadedModel&, int image_class);

/// Error, with how to train one that does: the model knows no attributes.
void check_knows_attributes(const model::LoadedModel&);

/// A loaded model with what is asked of it. Both models must outlive its denoisers.
class GuidedModel {
 public:
  /// Error: guidance without a guide, of a model that never drew without a condition; a guide that has no weight;
  /// attributes or a class that the model does not know; a guide of other images.
  GuidedModel(engine::Device&, const model::LoadedModel& loaded, const GuidanceRequest&);

  model::Denoiser denoiser() const { return denoiser(texts_); }
  /// The same with these attributes instead of those that were asked for.
  model::Denoiser denoiser(const std::vector<std::string>& attributes) const;
  const std::vector<std::string>& attributes() const { return texts_; }

  /// What tells samplings apart, as model::facts_of has it; empty where nothing was asked.
  model::SamplerFacts facts() const;
  /// Sentences for the user: where no training image has all that was asked for.
  std::vector<std::string> notes() const;

 private:
  model::Denoiser guide_denoiser(const model::AttributeRequest* asked) const;
  model::Denoiser of_class() const;

  engine::Device& device_;
  const model::LoadedModel& loaded_;
  std::vector<std::string> texts_;
  std::optional<int> image_class_;
  model::Guidance guidance_;
  std::optional<model::LoadedModel> guide_;
  std::string guide_name_;
};

}  // namespace ito::apps
