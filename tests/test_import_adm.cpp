#include <doctest/doctest.h>

#include "import_peers.h"
#include "model/diffusion/sampler.h"
#include "model/import/adm_flags.h"
#include "model/import/adm_names.h"
#include "model/import/foreign_model.h"
#include "model/import/scheduler.h"
#include "model/training/checkpoint.h"
#include "model/training/class_request.h"
#include "model/training/fine_tuning.h"
#include "model/unet/network.h"

/// Models of improved-diffusion, guided-diffusion and consistency_models: flags, names, packings, classes; outputs and
/// images of small networks against guided-diffusion's own (tests/reference/adm_values.py).
namespace ito::tests {
namespace {

const json& recorded() {
  static const json all = json::parse(std::ifstream(fixture("adm.json")));
  return all;
}

using Named = std::vector<std::pair<std::string, std::vector<int64_t>>>;

/// torch.save of a dict of tensors with the recipe's numbers.
std::string file_of(const Named& tensors) {
  std::vector<NamedNumbers> named;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, shape] = tensors[i];
    named.push_back({name, shape, parity_parameter(uint32_t(i), name, shape)});
  }
  return torch_file(named);
}

Named tensors_of(const json& c) {
  Named tensors;
  for (const json& t : c.at("tensors"))
    tensors.emplace_back(t.at(0).get<std::string>(), t.at(1).get<std::vector<int64_t>>());
  return tensors;
}

/// The largest difference, over the largest number.
double difference(const std::vector<float>& got, const std::vector<float>& want) {
  REQUIRE(got.size() == want.size());
  double most = 0, error = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    most = std::max(most, std::abs(double(want[i])));
    const double apart = std::abs(double(got[i]) - double(want[i]));
    error = apart <= error ? error : apart;  // never keeps a NaN out
  }
  return error / most;
}

std::vector<float> recorded_image(const json& c, const char* name, int size) {
  return channels_last(c.at(name).get<std::vector<float>>(), 2, 3, size * size);
}

/// The network's output for the recipe's input at the indices 3 and 77, for images of the classes 1 and 2.
std::vector<float> output_of(engine::Device& device, const LoadedModel& model,
                             const std::vector<float>& given) {
  const NetworkConfig& net = model.options.network;
  const auto tensor = [&](const engine::Shape& shape, const std::vector<float>& from) {
    return Tensor::from(device, shape, engine::DType::f32, from.data());
  };
  const engine::NoGrad off(device);
  NetworkInput input{tensor({2, net.height, net.width, 3}, given), tensor({2}, {3, 77}), {}, {}, {}};
  if (net.classes) {
    std::vector<float> rows = ClassRequest(net.classes, 1).conditions({0});
    const std::vector<float> second = ClassRequest(net.classes, 2).conditions({0});
    rows.insert(rows.end(), second.begin(), second.end());
    input.condition = tensor({2, net.classes}, rows), input.keep = tensor({2}, {1, 1});
  }
  const std::vector<double> numbers = (*model.network)(input).to_doubles();
  return {numbers.begin(), numbers.end()};
}

std::string flag_error(const std::string& flags, std::optional<AdmCode> code = {}) {
  return error_of([&] { adm_flags(flags, code); });
}

/// Flags of improved-diffusion's CIFAR-10, of guided-diffusion's ImageNet-64, of the FFHQ network of DPS, of DDPM-IP's
/// CelebA-64, of a consistency model.
const std::string kCifar =
    "--image_size 32 --num_channels 128 --num_res_blocks 3 --learn_sigma True --dropout 0.3 "
    "--diffusion_steps 4000 "
    "--noise_schedule cosine --rescale_timesteps True";
const std::string kImageNet =
    "--attention_resolutions 32,16,8 --class_cond True --diffusion_steps 1000 --dropout 0.1 --image_size 64 "
    "--learn_sigma True --noise_schedule cosine --num_channels 192 --num_head_channels 64 --num_res_blocks 3 "
    "--resblock_updown True --use_new_attention_order True --use_fp16 True --use_scale_shift_norm True";
const std::string kDps =
    "--image_size 256 --num_channels 128 --num_res_blocks 1 --num_head_channels 64 --attention_resolutions "
    "16 "
    "--resblock_updown True --use_scale_shift_norm True --learn_sigma True --diffusion_steps 1000 "
    "--noise_schedule linear";
const std::string kLsun =
    "--image_size 256 --num_channels 128 --num_res_blocks 2 --num_heads 1 --learn_sigma True "
    "--use_scale_shift_norm "
    "False --attention_resolutions 16 --diffusion_steps 1000 --noise_schedule linear --rescale_timesteps "
    "False";
const std::string kConsistency =
    "--training_mode consistency_distillation --sampler onestep --attention_resolutions 32,16,8 --class_cond "
    "True "
    "--use_scale_shift_norm True --dropout 0.0 --image_size 64 --num_channels 192 --num_head_channels 64 "
    "--num_res_blocks 3 --resblock_updown True --use_fp16 True --weight_schedule uniform";

}  // namespace

TEST_CASE("networks and images of ADM's family are those of guided-diffusion's own code") {
  const TempFolder folder;
  int number = 0;
  for (const json& c : recorded().at("cases")) {
    const std::string flags = c.at("flags").get<std::string>();
    CAPTURE(flags);
    const fs::path file = folder / cat("model", number, ".pt"), made = folder / cat("made", number);
    ++number;
    put(file, file_of(tensors_of(c)));
    const Imported imported = write_imported(made, adm_model(file, {flags, AdmCode::guided}));
    engine::Device device;
    const LoadedModel model = load_model(device, made);
    CHECK(imported.parameters == model.store->trainable_count());
    const int size = model.options.network.width, numbers = 2 * 3 * size * size;
    const std::vector<float> given = channels_last(parity_input(size_t(numbers)), 2, 3, size * size);
    CHECK(difference(output_of(device, model, given), recorded_image(c, "output", size)) < 1e-5);

    const int steps = recorded().at("steps").get<int>();
    const SamplerSettings sampler =
        model.settle({.sampler = SamplerKind::ddim, .steps = steps, .grid = Grid::leading});
    const SamplerPlan plan = make_sampler_plan(sampler, model.sde);
    const std::vector<float> noise =
        channels_last(parity_stream(kInputStream, size_t(numbers), std::sqrt(3.0)), 2, 3, size * size);
    Denoiser denoiser = model.denoiser();
    if (model.options.network.classes)  // the seeds are the classes
      denoiser = guided_denoiser(device, *model.network, {model.options.diffusion.preconditioning},
                                 [&](const std::vector<uint64_t>& seeds) {
                                   std::vector<float> rows;
                                   for (const uint64_t seed : seeds)
                                     for (const float x : ClassRequest(3, int(seed)).conditions({0}))
                                       rows.push_back(x);
                                   return rows;
                                 },
                                 {});
    if (denoiser.prepare) denoiser.prepare({1, 2});
    const std::vector<float> got =
        Sampler(device, denoiser, plan, {size, size, 3}, 2).numbers({1, 2}, {.noise = noise.data()});
    // What networks of random weights say is mostly noise times a hundred, which is then clipped: so is its rounding.
    CHECK(difference(got, recorded_image(c, "images", size)) < 2e-3);
  }
}

TEST_CASE("q, k and v are rows of one tensor, in two orders") {
  const NetworkConfig c =
      adm_flags("--image_size 32 --num_channels 32 --num_heads 2", AdmCode::guided).network;
  const int channels = c.block_channels.back(), w = channels / 2;
  for (const auto& [part, name] : {std::pair{0, "to_q"}, {1, "to_k"}, {2, "to_v"}}) {
    const std::string ours = cat("mid_block.attentions.0.", name, ".bias");
    const ForeignPart legacy = adm_part(ours, c, false), split = adm_part(ours, c, true);
    CHECK((legacy.tensor == "middle_block.1.qkv.bias" && split.tensor == legacy.tensor));
    REQUIRE((legacy.rows.size() == size_t(channels) && split.rows.size() == size_t(channels)));
    for (const int channel : {0, 1, w - 1, w, channels - 1}) {
      const int head = channel / w, within = channel % w;
      CHECK(legacy.rows[size_t(channel)] == head * 3 * w + part * w + within);
      CHECK(split.rows[size_t(channel)] == part * channels + channel);
    }
  }
}

TEST_CASE("the indices of a respacing are a grid's") {
  for (const json& row : recorded().at("respacing")) {
    const int levels = row.at(0).get<int>();
    const std::string text = row.at(1).get<std::string>();
    CAPTURE(text);
    if (text == "1") continue;  // theirs is index 0, from which nothing can be drawn: it is refused
    const AdmFlags flags =
        adm_flags(cat("--diffusion_steps ", levels, " --timestep_respacing ", text), AdmCode::guided);
    std::vector<int> indices = table_indices(*flags.sampler.grid, *flags.sampler.steps, levels);
    std::reverse(indices.begin(), indices.end());
    CHECK(indices == row.at(2).get<std::vector<int>>());
  }
}

TEST_CASE("flags of published models say what they are") {
  const AdmFlags cifar = adm_flags(kCifar, AdmCode::improved);
  CHECK(cifar.network.block_channels == std::vector<int>{128, 256, 256, 256});
  CHECK(cifar.network.attention == std::vector<bool>{false, true, true, false});
  CHECK(cifar.network.head_width == 64);  // 4 heads of 256 channels
  CHECK((cifar.network.scale_shift && !cifar.network.residual_resampling && cifar.learned_variance));
  CHECK(cifar.diffusion.sde.table.levels == 4000);
  CHECK(cifar.diffusion.preconditioning.last_index == doctest::Approx(3999 * 0.25));
  CHECK(measure(cifar.network).parameters == 52542979);  // and 3,459 of the variances: 52.55 M

  const AdmFlags imagenet = adm_flags(kImageNet);
  CHECK(imagenet.code == AdmCode::guided);
  CHECK((imagenet.class_cond && imagenet.split_first && imagenet.network.residual_resampling));
  CHECK(imagenet.network.block_channels == std::vector<int>{192, 384, 576, 768});
  CHECK(imagenet.network.attention == std::vector<bool>{false, true, true, true});
  CHECK(imagenet.network.head_width == 64);
  CHECK(imagenet.diffusion.preconditioning.last_index == 999);

  const AdmFlags dps = adm_flags(kDps);
  TrainingOptions as_model;
  as_model.network = dps.network, as_model.diffusion = dps.diffusion, as_model.own_sampler = dps.sampler;
  const auto files = diffusers_files(as_model);
  REQUIRE(files.has_value());
  CHECK(files->call == "num_inference_steps=100, use_clipped_model_output=True");
  CHECK((files->pipeline == "DDIMPipeline" && files->note.empty()));
  std::string why;
  as_model.network.classes = 10;
  CHECK_FALSE(diffusers_files(as_model, &why).has_value());
  CHECK(contains(why, "pass no classes"));
  as_model.network.classes = 0, as_model.network.head_width = 0, as_model.network.heads = 4;
  CHECK_FALSE(diffusers_files(as_model, &why).has_value());
  CHECK(contains(why, "heads of one width"));
  CHECK(measure(adm_flags(kDps).network).parameters == 93560451);    // 93.56 M
  CHECK(measure(adm_flags(kLsun).network).parameters == 113673219);  // 113.68 M
  const AdmFlags consistency = adm_flags(kConsistency);
  CHECK(consistency.code == AdmCode::consistency);
  CHECK((consistency.split_first && consistency.class_cond && !consistency.learned_variance));
  CHECK(consistency.diffusion.preconditioning.prediction == Prediction::consistency);
  CHECK(consistency.sampler.sampler == SamplerKind::consistency);
  CHECK(consistency.sampler.steps == 1);
  const AdmFlags edm = adm_flags("--training_mode edm --image_size 64 --num_res_blocks 3");
  CHECK(edm.diffusion.preconditioning.prediction == Prediction::edm);
  CHECK(edm.diffusion.preconditioning.condition == NoiseCondition::log_sigma_250);
  CHECK((edm.sampler.sampler == SamplerKind::heun && edm.sampler.steps == 40));
  // Attentions of 384 and 512 channels with 4 heads each: heads have no one width.
  const AdmFlags improved = adm_flags("--image_size 64 --num_res_blocks 3 --sigma_small True");
  CHECK((improved.code == AdmCode::improved && improved.network.heads == 4 && !improved.network.head_width));
  CHECK((improved.sampler.sampler == SamplerKind::ancestral && improved.sampler.variance == Variance::small));
  CHECK(adm_flags("--num_channels=64 \\\n --rescale_timesteps yes").network.block_channels[0] == 64);
}

TEST_CASE("flags that Ito does not understand are refused by name and value") {
  const std::pair<const char*, const char*> rows[] = {
      {"", "rescale_timesteps is True in the first"},
      {"--image_size 64", "which differ in what they leave out"},
      {"image_size 64", "'image_size' is in place of a name"},
      {"--image_size 64 --num_channels", "num_channels has no value"},
      {"--image_size 64 --image_size 32", "image_size is given twice, as 64 and as 32"},
      {"--image_siz 64 --resblock_updown True", "unknown flag image_siz; did you mean image_size?"},
      {"--image_size 0 --resblock_updown True", "image_size must be"},
      {"--image_size 512 --resblock_updown True", "has half of num_channels"},
      {"--image_size 100 --resblock_updown True", "image_size 100 has no channels of its own here"},
      {"--channel_mult 2,2", "channel_mult must begin with 1, is 2,2"},
      {"--channel_mult 1,x", "each number of channel_mult"},
      {"--num_channels 40 --resblock_updown True", "40 channels do not divide into 32 norm groups"},
      {"--num_head_channels 0", "num_head_channels must be -1 or at least 1"},
      {"--num_heads 5 --resblock_updown True", "do not divide into"},
      {"--num_heads_upsample 2 --resblock_updown True",
       "num_heads_upsample must be -1 or num_heads, 4, is 2"},
      {"--noise_schedule sqrt --resblock_updown True", "noise_schedule must be linear or cosine, is sqrt"},
      {"--resblock_updown maybe", "resblock_updown must be True or False, is maybe"},
      {"--timestep_respacing 10,20 --resblock_updown True", "sections are not among Ito's grids"},
      {"--timestep_respacing ddim300 --resblock_updown True",
       "no whole stride visits so many of diffusion_steps 1000"},
      {"--timestep_respacing ddim334 --resblock_updown True", "its stride of 3 is not among Ito's grids"},
      {"--timestep_respacing 1 --resblock_updown True", "timestep_respacing must be"},
      {"--classifier_scale 1.0 --resblock_updown True", "guidance by a classifier"},
      {"--sigma_small True --resblock_updown True", "of improved-diffusion and of another program at once"},
      {"--training_mode progdist", "training_mode must be edm, consistency_distillation or"},
      {"--sigma_min 90", "needs 0 < sigma_min < sigma_max"},
      {"--s_churn 1", "s_churn must be 0"},
      {"--training_mode edm --learn_sigma True", "learn_sigma must be False"}};
  for (const auto& [flags, message] : rows) {
    CAPTURE(flags);
    CHECK(contains(flag_error(flags), message));
  }
  CHECK(flag_error("--image_size 64", AdmCode::guided).empty());
}

TEST_CASE("a file of ADM's is compared with its flags; classes and what its samplers need") {
  const TempFolder folder;
  const json& with_classes = recorded().at("cases").at(1);
  const std::string flags = with_classes.at("flags").get<std::string>();
  put(folder / "model.pt", file_of(tensors_of(with_classes)));
  const auto error = [&](const std::string& of, const std::string& file = "model.pt") {
    return error_of([&] {
      write_imported(folder / "never", adm_model(folder / file, {of, AdmCode::guided}));
    });
  };
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = flags;
    return text.replace(text.find(from), from.size(), to);
  };
  CHECK(contains(error(replaced("--class_cond True", "--class_cond False")),
                 "has label_emb.weight: class_cond must be True"));
  CHECK(contains(error(replaced("--learn_sigma True", "--learn_sigma False")),
                 "has 6 rows in out.2.weight: with learn_sigma False there are 3"));
  CHECK(contains(error(replaced("--resblock_updown True", "--resblock_updown False")),
                 "has no input_blocks.2.0.op.weight"));
  CHECK(contains(error(replaced("--num_res_blocks 1", "--num_res_blocks 2")),
                 "the network of its configuration has"));
  CHECK(contains(error(replaced("--attention_resolutions 4,2", "--attention_resolutions 4")),
                 "has no output_blocks.1.1.in_layers.0.weight, which the network"));
  CHECK(contains(error(replaced("--channel_mult 1,2,2", "--channel_mult 1,2,3")),
                 "the network of its configuration has"));
  put(folder / "ddim.pt", file_of({{"down.0.block.0.conv1.weight", {2, 2, 3, 3}}}));
  CHECK(contains(error(flags, "ddim.pt"), "its tensors are named as those of ddim"));
  CHECK(contains(error_of([&] { ddim_model(folder / "model.pt"); }), "import it as adm, with its flags"));
  // Below a name of its own the weights are found, of two networks neither.
  Named inside = tensors_of(with_classes), twice = inside;
  for (auto& [name, shape] : inside) name = "module." + name;
  put(folder / "module.pt", file_of(inside));
  CHECK(adm_model(folder / "module.pt", {flags, AdmCode::guided}).tensors.size() == inside.size());
  twice.insert(twice.end(), inside.begin(), inside.end());
  put(folder / "twice.pt", file_of(twice));
  CHECK(contains(error(flags, "twice.pt"), "has several networks, at '' and 'module.'"));
  inside.emplace_back("step", std::vector<int64_t>{1});
  put(folder / "more.pt", file_of(inside));
  std::string notes;
  for (const std::string& note : adm_model(folder / "more.pt", {flags, AdmCode::guided}).notes) notes += note;
  CHECK(contains(notes, "the weights are those of 'module.'; 1 other tensors are left out"));
  CHECK_FALSE(fs::exists(folder / "never"));

  write_imported(folder / "made", adm_model(folder / "model.pt", {flags, AdmCode::guided}));
  const json origin = json::parse(std::ifstream(folder / "made/import.json"));
  CHECK(origin.at("flags") == flags);
  CHECK(origin.at("format") == "adm");
  engine::Device device;
  const LoadedModel model = load_model(device, folder / "made");
  CHECK(model.options.network.classes == 3);
  CHECK(model.options.drop_condition == 0);
  CHECK(model.settle({}).sampler == SamplerKind::ddim);
  CHECK(contains(error_of([&] { model.settle({.sampler = SamplerKind::ancestral}); }),
                 "with variances that it learned"));
  CHECK(model.settle({.sampler = SamplerKind::ancestral, .variance = Variance::small}).sampler ==
        SamplerKind::ancestral);
  CHECK(contains(error_of([&] { model.class_denoiser(3, {}); }), "knows the classes 0 to 2, not 3"));
  // Every class is drawn, by the seed alone.
  const ClassRequest any(3, {});
  int of_class[3] = {};
  for (uint64_t seed = 0; seed < 300; ++seed) ++of_class[any.class_for(seed)];
  for (const int images : of_class) CHECK((images > 70 && images < 130));
  CHECK(any.conditions({7, 8})[size_t(3 + any.class_for(8))] == 1);
  // Fine-tuning goes on without classes, with the same network and meaning.
  const TrainingOptions tuned = options_from(model.options);
  CHECK((tuned.network.classes == 0 && tuned.network.scale_shift && tuned.network.residual_resampling));
  CHECK(tuned.learned_variance);
  check_same_model(model.options, tuned);
}

TEST_CASE("a class that means none is taken from all embeddings, which changes no output") {
  const TempFolder folder;
  const json& c = recorded().at("cases").at(1);
  const std::string flags = c.at("flags").get<std::string>();
  put(folder / "model.pt", file_of(tensors_of(c)));
  const AdmChoice plain{flags, AdmCode::guided}, with_none{flags, AdmCode::guided, 2};
  write_imported(folder / "plain", adm_model(folder / "model.pt", plain));
  write_imported(folder / "none", adm_model(folder / "model.pt", with_none));
  engine::Device device;
  const LoadedModel model = load_model(device, folder / "none");
  CHECK(model.options.drop_condition > 0);
  const int size = model.options.network.width;
  const std::vector<float> given =
      channels_last(parity_input(size_t(2 * 3 * size * size)), 2, 3, size * size);
  CHECK(difference(output_of(device, model, given), recorded_image(c, "output", size)) < 1e-5);
  // Without a class the network is that of class 2.
  const auto tensor = [&](const engine::Shape& shape, const std::vector<float>& from) {
    return Tensor::from(device, shape, engine::DType::f32, from.data());
  };
  const engine::NoGrad off(device);
  const auto output = [&](const LoadedModel& of, float keep) {
    const std::vector<double> f = (*of.network)({tensor({1, size, size, 3}, given),
                                                 tensor({1}, {5}),
                                                 tensor({1, 3}, ClassRequest(3, 2).conditions({0})),
                                                 tensor({1}, {keep}),
                                                 {}})
                                      .to_doubles();
    return std::vector<float>(f.begin(), f.end());
  };
  const std::vector<float> want = output(load_model(device, folder / "plain"), 1);
  CHECK(difference(output(model, 0), want) < 1e-5);
  CHECK(difference(output(load_model(device, folder / "plain"), 0), want) > 1e-3);
  CHECK(contains(error_of([&] {
                   adm_model(folder / "model.pt", {flags, AdmCode::guided, 3});
                 }),
                 "the model has the classes 0 to 2, of which 3 is none"));
}

TEST_CASE("a consistency model draws in one evaluation, and is not trained to denoise") {
  // At the boundary D is the image itself; far from it the scaling is EDM's.
  const Preconditioning p{Prediction::consistency, NoiseCondition::log_sigma_250};
  const Scaling near = p.at({0, 1, 0.002, 0.002}), far = p.at({1, 1, 80, 80});
  CHECK(near.c_skip == 1);
  CHECK(near.c_out == 0);
  CHECK(far.c_skip == doctest::Approx(0.25 / (79.998 * 79.998 + 0.25)).epsilon(1e-12));
  CHECK(far.c_out == doctest::Approx(79.998 * 0.5 / std::hypot(80, 0.5)).epsilon(1e-12));
  CHECK(far.c_in == doctest::Approx(1 / std::hypot(80, 0.5)).epsilon(1e-12));
  CHECK(far.c_noise == doctest::Approx(250 * std::log(80.0)).epsilon(1e-12));
  const Scaling mid = p.at({0.5, 1, 3, 3});  // the perfect F gives the image back: c_skip x + c_out F = x_0
  CHECK(mid.c_skip + mid.c_out * mid.target_x0 == doctest::Approx(1).epsilon(1e-12));
  CHECK(mid.c_skip * 3 + mid.c_out * mid.target_z == doctest::Approx(0).epsilon(1e-12));
  const SamplerPlan plan = make_sampler_plan(
      settle({.sampler = SamplerKind::consistency, .steps = 1}, p.prediction), make_sde(SdeOptions{}));
  REQUIRE(plan.stages.size() == 1);
  CHECK(plan.stages[0].level.sigma == doctest::Approx(80));
  CHECK((plan.stages[0].update.a == 0 && plan.stages[0].update.b[0] == 1));
  TrainingOptions o;
  o.diffusion.preconditioning = p;
  CHECK(contains(error_of([&] { check_same_model(o, options_from(o)); }), "is a consistency model"));
}

}  // namespace ito::tests
