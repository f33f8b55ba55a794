#include "model/training/fine_tuning.h"

#include <algorithm>

#include "engine/parameters.h"
#include "model/training/attribute_rows.h"
#include "model/unet/layers.h"
#include "model/unet/presets.h"

namespace ito::model {

namespace {

using engine::ParameterSpec;
using engine::ParamStore;
using engine::Track;
using Names = std::vector<std::string>;

/// A field's name with its value as a user types it.
struct NamedText {
  std::string name, text;
};

struct CollectTexts {
  std::vector<NamedText>& texts;

  template <class T>
  void operator()(const T& value, const Field& field) const {
    if constexpr (is_list<T>) {
      texts.push_back({field.name, ""});
      for (const auto& item : value) texts.back().text += cat(texts.back().text.empty() ? "" : ", ", item);
    } else if constexpr (Nameable<T>) {
      texts.push_back({field.name, std::string(name_of(value))});
    } else {
      texts.push_back({field.name, shortest_text(value)});
    }
  }
};

/// What a network's weights mean, as far as options decide it.
std::vector<NamedText> meaning(const TrainingOptions& o) {
  std::vector<NamedText> texts;
  const CollectTexts collect{texts};
  meaning_fields(o.diffusion, collect);
  collect(o.network.embedding, Field("embedding"));
  return texts;
}

/// `network` with what does not make it another one: size, dropout, condition, labels of augmented images; and with the
/// embedding, which is an option of its own.
NetworkConfig shaped_as(NetworkConfig network, const NetworkConfig& like) {
  network.height = like.height, network.width = like.width;
  network.dropout = like.dropout, network.condition = like.condition, network.classes = like.classes;
  network.augment = like.augment;
  network.embedding = like.embedding;
  return network;
}

std::optional<size_t> place_of(const std::string& name, const Names& names) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return {};
  return size_t(found - names.begin());
}

/// Those of `names` that are not among `others`.
Names missing_from(const Names& others, const Names& names) {
  Names missing;
  for (const std::string& name : names)
    if (!place_of(name, others)) missing.push_back(name);
  return missing;
}

/// The weights [out, now] of a linear layer whose columns have names, from those [out, there] of another one; columns
/// that are new are zero.
std::vector<float> named_columns(const std::vector<float>& weights, const Names& there, const Names& now) {
  const size_t rows = weights.size() / there.size();
  std::vector<float> columns(rows * now.size());
  for (size_t k = 0; k < now.size(); ++k)
    if (const auto place = place_of(now[k], there))
      for (size_t i = 0; i < rows; ++i) columns[i * now.size() + k] = weights[i * there.size() + *place];
  return columns;
}

/// One parameter's numbers for the new run.
std::vector<float> numbers_for(const ParameterSpec& spec, const LoadedModel& source,
                               const TrainingOptions& now) {
  ParamStore& store = *source.store;
  const int there = store.find(spec.name);
  const bool of_classes = spec.name.starts_with(kClassEmbedding);
  if (of_classes || spec.name.starts_with(kConditionEmbedding)) {
    const Names& known = of_classes ? source.options.classes : source.options.attributes;
    const Names& names = of_classes ? now.classes : now.attributes;
    const bool none_is_kept = missing_from(known, names).size() == names.size();
    if (none_is_kept)
      return std::vector<float>(size_t(spec.shape.count()));  // its bias would be of other attributes
    if (spec.shape.rank() == 2) return named_columns(store.read(there, Track::ema), known, names);
  }
  if (there < 0 && spec.name.starts_with(kAugmentEmbedding))
    return std::vector<float>(size_t(spec.shape.count()));
  if (there < 0 || store.specs()[size_t(there)].shape != spec.shape)
    fail(cat("the model that the run begins from has no ", spec.name, " of the shape ", spec.shape.str()));
  return store.read(there, Track::ema);
}

/// Notes names that the source alone knows, or the run alone; `what` they are of.
void add_notes(const char* what, const Names& there, const Names& now, Names& notes) {
  if (const Names gone = missing_from(now, there); !gone.empty())
    notes.push_back(cat("the model that the run begins from knows ", what,
                        " that this run has not, and that are left out: ", short_list(gone)));
  if (const Names fresh = missing_from(there, now); !fresh.empty())
    notes.push_back(cat("the model that the run begins from does not know these ", what,
                        ", which begin without any effect: ", short_list(fresh)));
}

Names notes_on_conditions(const TrainingOptions& source, const TrainingOptions& now) {
  Names notes;
  if (source.network.classes && source.classes.empty())
    notes.push_back(cat("the model that the run begins from knows ", source.network.classes,
                        " classes without names, which are left out"));
  if (source.network.condition && source.attributes.empty())
    notes.push_back(cat("the ", source.network.condition,
                        " attributes of the model that the run begins from have no names, since it is from "
                        "before they were recorded: they are left out"));
  add_notes("attributes", source.attributes, now.attributes, notes);
  add_notes("classes", source.classes, now.classes, notes);
  return notes;
}

Names notes_on_augmentation(const NetworkConfig& source, const NetworkConfig& now) {
  if (source.augment == now.augment) return {};
  if (now.augment)
    return {
        "the model that the run begins from has no labels of augmented images: these begin without any "
        "effect"};
  return {"the model that the run begins from has labels of augmented images, which are left out"};
}

}  // namespace

TrainingOptions options_from(const TrainingOptions& source) {
  TrainingOptions o;
  o.preset = source.preset;
  o.network = source.network;
  o.network.dropout = 0, o.network.condition = 0, o.network.classes = 0, o.network.augment = false;
  o.diffusion = source.diffusion;
  o.own_sampler = source.own_sampler;
  o.learned_variance = source.learned_variance;
  return o;
}

void check_same_network(const TrainingOptions& source, const std::string& name) {
  const NetworkConfig other = shaped_as(preset(name).network, source.network);
  if (const auto difference = first_difference(source.network, other))
    fail_advising(
        cat("the preset ", name, " is another network than that of the model that the run begins from: ",
            difference->key, " is ", difference->first, " there, and ", difference->second, " in the preset"),
        {"no {preset}", "no {from}"});
}

void check_same_model(const TrainingOptions& source, const TrainingOptions& now) {
  if (jumps(source) && now.objective != ObjectiveKind::consistency)
    fail_advising(
        "the model that the run begins from is a consistency model, which draws in one or two evaluations, "
        "and "
        "denoising would make a slow one of it",
        {"{objective} consistency"});
  const std::vector<NamedText> there = meaning(source), asked = meaning(now);
  for (size_t i = 0; i < there.size(); ++i)
    if (there[i].text != asked[i].text)
      fail_advising(cat("the model that the run begins from has ", there[i].name, " ", there[i].text,
                        ", and ", asked[i].text, " is asked for"),
                    {cat("no {", there[i].name, "}"), "no {from}"});
  const auto difference = first_difference(source.network, shaped_as(now.network, source.network));
  if (difference)
    fail(cat("the model that the run begins from has ", difference->key, " ", difference->first, ", the run ",
             difference->second));
}

std::vector<std::string> begin_from(const LoadedModel& source, Trainer& trainer) {
  const TrainingOptions& now = trainer.options();
  check_same_model(source.options, now);
  ParamStore& store = trainer.store();
  for (size_t i = 0; i < store.specs().size(); ++i) {
    const ParameterSpec& spec = store.specs()[i];
    if (spec.auxiliary) continue;  // these begin as in any run
    std::vector<float> numbers = numbers_for(spec, source, now);
    store.write(int(i), Track::master, numbers);
    if (spec.trainable) store.write(int(i), Track::ema, numbers);
  }
  store.refresh_half();
  Names notes = notes_on_conditions(source.options, now);
  for (const std::string& note : notes_on_augmentation(source.options.network, now.network))
    notes.push_back(note);
  return notes;
}

}  // namespace ito::model
