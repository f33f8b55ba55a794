#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/training/checkpoint.h"
#include "model/unet/presets.h"
#include "tests/helpers.h"
#include "tests/small_run.h"

/// The file of a network's configuration: what diffusers can say in it is understood as diffusers understands it, or
/// refused by name.
namespace ito::model {
namespace {

using nlohmann::json;
using tests::contains, tests::error_of, tests::TempFolder;

/// All arguments of UNet2DModel's constructor in diffusers 0.42, with their defaults.
const char* const kDefaults = R"({
  "sample_size": null, "in_channels": 3, "out_channels": 3, "center_input_sample": false,
  "time_embedding_type": "positional", "time_embedding_dim": null, "freq_shift": 0, "flip_sin_to_cos": true,
  "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
  "mid_block_type": "UNetMidBlock2D",
  "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
  "block_out_channels": [224, 448, 672, 896], "layers_per_block": 2, "mid_block_scale_factor": 1,
  "downsample_padding": 1, "downsample_type": "conv", "upsample_type": "conv", "dropout": 0.0, "act_fn": "silu",
  "attention_head_dim": 8, "norm_num_groups": 32, "attn_norm_num_groups": null, "norm_eps": 1e-5,
  "resnet_time_scale_shift": "default", "add_attention": true, "class_embed_type": null, "num_class_embeds": null,
  "num_train_timesteps": null})";

/// The config.json of google/ddpm-cat-256 (the same network as ddpm-celebahq-256, -church-256 and -bedroom-256).
const char* const kCat = R"({
  "_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", "act_fn": "silu", "attention_head_dim": null,
  "block_out_channels": [128, 128, 256, 256, 512, 512], "center_input_sample": false,
  "down_block_types": ["DownBlock2D", "DownBlock2D", "DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
  "downsample_padding": 0, "flip_sin_to_cos": false, "freq_shift": 1, "in_channels": 3, "layers_per_block": 2,
  "mid_block_scale_factor": 1, "norm_eps": 1e-06, "norm_num_groups": 32, "out_channels": 3, "sample_size": 256,
  "time_embedding_type": "positional",
  "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"]})";

/// Of google/ddpm-cifar10-32.
const char* const kCifar = R"({
  "_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", "act_fn": "silu", "attention_head_dim": null,
  "block_out_channels": [128, 256, 256, 256], "center_input_sample": false,
  "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"], "downsample_padding": 0,
  "flip_sin_to_cos": false, "freq_shift": 1, "in_channels": 3, "layers_per_block": 2, "mid_block_scale_factor": 1,
  "norm_eps": 1e-06, "norm_num_groups": 32, "out_channels": 3, "sample_size": 32, "time_embedding_type": "positional",
  "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]})";

const char* const kDocument = R"({
  "_class_name": "UNet2DModel",
  "act_fn": "relu",
  "add_attention": true,
  "attention_head_dim": null,
  "block_out_channels": [
    64,
    128,
    256,
    512
  ],
  "down_block_types": [
    "DownBlock2D",
    "DownBlock2D",
    "DownBlock2D",
    "DownBlock2D"
  ],
  "downsample_padding": 1,
  "dropout": 0.0,
  "flip_sin_to_cos": true,
  "freq_shift": 0.0,
  "in_channels": 3,
  "ito_condition": 0,
  "ito_fourier_scale": 16.0,
  "ito_network": "document",
  "ito_skips": "add",
  "layers_per_block": 1,
  "norm_eps": 1e-05,
  "norm_num_groups": 32,
  "out_channels": 3,
  "sample_size": 64,
  "time_embedding_type": "fourier",
  "up_block_types": [
    "UpBlock2D",
    "UpBlock2D",
    "UpBlock2D",
    "UpBlock2D"
  ]
}
)";

const char* const kDdim = R"({
  "_class_name": "UNet2DModel",
  "act_fn": "silu",
  "add_attention": true,
  "attention_head_dim": null,
  "block_out_channels": [
    128,
    256,
    256,
    256,
    512
  ],
  "down_block_types": [
    "DownBlock2D",
    "DownBlock2D",
    "AttnDownBlock2D",
    "DownBlock2D",
    "DownBlock2D"
  ],
  "downsample_padding": 0,
  "dropout": 0.0,
  "flip_sin_to_cos": true,
  "freq_shift": 0.0,
  "in_channels": 3,
  "ito_condition": 0,
  "ito_fourier_scale": 16.0,
  "ito_network": "unet",
  "ito_skips": "concatenate",
  "layers_per_block": 2,
  "norm_eps": 1e-06,
  "norm_num_groups": 32,
  "out_channels": 3,
  "sample_size": 64,
  "time_embedding_type": "fourier",
  "up_block_types": [
    "UpBlock2D",
    "UpBlock2D",
    "AttnUpBlock2D",
    "UpBlock2D",
    "UpBlock2D"
  ]
}
)";

/// One value that this network does not have, and a part of the error that says which it has. Of a list the error
/// may show only the element that is wrong.
struct Foreign {
  std::string key, value, allowed, wrong_element = {};
};
const Foreign kForeign[] = {
    {"sample_size", "null", "must be a whole number, or a list of height and width"},
    {"sample_size", "\"16\"", "must be a whole number"},
    {"sample_size", "[16,16,16]", "a list of height and width"},
    {"sample_size", "[16,\"16\"]", "must be a whole number", "\"16\""},
    {"in_channels", "0", "must be at least 1"},
    {"in_channels", "null", "must be a whole number"},
    {"out_channels", "6", "must be 3 (as many as in_channels)"},
    {"center_input_sample", "true", "must be false"},
    {"center_input_sample", "0", "must be false"},
    {"time_embedding_type", "\"learned\"", "must be \"fourier\" or \"positional\""},
    {"time_embedding_type", "\"sinusoidal\"", "must be \"fourier\" or \"positional\""},
    {"time_embedding_dim", "128", "must be null or 64 (4 times the first of block_out_channels)"},
    {"freq_shift", "null", "must be a number"},
    {"freq_shift", "true", "must be a number"},
    {"flip_sin_to_cos", "1", "must be true or false"},
    {"flip_sin_to_cos", "null", "must be true or false"},
    {"down_block_types", "[\"DownBlock2D\",\"AttnSkipDownBlock2D\"]",
     "DownBlock2D, AttnDownBlock2D or ResnetDownsampleBlock2D"},
    {"down_block_types", "[\"DownBlock2D\"]", "one for each of block_out_channels"},
    {"down_block_types", "\"DownBlock2D\"", "must be a list"},
    {"mid_block_type", "null", "must be \"UNetMidBlock2D\""},
    {"mid_block_type", "\"UNetMidBlock2DCrossAttn\"", "must be \"UNetMidBlock2D\""},
    {"up_block_types", "[\"SkipUpBlock2D\",\"UpBlock2D\"]", "the mirror of down_block_types"},
    {"up_block_types", "[\"UpBlock2D\",\"AttnUpBlock2D\"]", "must be [\"AttnUpBlock2D\",\"UpBlock2D\"]"},
    {"block_out_channels", "[]", "must be a list of whole numbers, one for each level"},
    {"block_out_channels", "32", "must be a list"},
    {"block_out_channels", "[16,32.5]", "must be a whole number", "32.5"},
    {"layers_per_block", "2.5", "must be a whole number"},
    {"layers_per_block", "0", "must be at least 1"},
    {"mid_block_scale_factor", "1.4142", "must be 1 (the middle's sums are not divided)"},
    {"downsample_padding", "2", "must be 1 or 0"},
    {"downsample_padding", "true", "must be 1 or 0"},
    {"downsample_type", "\"fir\"", "must be \"conv\" or \"resnet\""},
    {"downsample_type", "null", "must be \"conv\" or \"resnet\""},
    {"upsample_type", "\"resnet\"", "must be \"conv\" (as the way down)"},
    {"upsample_type", "\"fir\"", "must be \"conv\" or \"resnet\""},
    {"dropout", "1.5", "must be in [0, 1)"},
    {"dropout", "\"0.1\"", "must be a number"},
    {"dropout", "-0.1", "must be at least 0"},
    {"act_fn", "\"mish\"", "must be \"silu\" or \"swish\" or \"relu\""},
    {"act_fn", "\"gelu\"", "must be \"silu\" or \"swish\" or \"relu\""},
    {"act_fn", "\"none\"", "must be \"silu\" or \"swish\" or \"relu\""},
    {"act_fn", "null", "must be \"silu\" or \"swish\" or \"relu\""},
    {"attention_head_dim", "0", "must be null (one head) or at least 1"},
    {"attention_head_dim", "\"8\"", "must be a whole number"},
    {"norm_num_groups", "\"8\"", "must be a whole number"},
    {"norm_num_groups", "0", "must be null or at least 1"},
    {"attn_norm_num_groups", "4", "must be null or 8 (the middle's attention has norm_num_groups)"},
    {"norm_eps", "1e+205", "must be finite"},
    {"norm_eps", "-1.0", "must be at least 0"},
    {"norm_eps", "null", "must be a number"},
    {"resnet_time_scale_shift", "\"ada_group\"", "must be \"scale_shift\" or \"default\""},
    {"add_attention", "false", "must be true (the middle always has attention)"},
    {"class_embed_type", "\"timestep\"", "must be null (classes have a table, num_class_embeds)"},
    {"num_class_embeds", "0", "must be null or at least 1"},
    {"num_class_embeds", "\"10\"", "must be a whole number"},
    {"ito_heads", "-1", "must be at least 0"},
    {"num_train_timesteps", "\"1000\"", "must be null or a whole number"},
    {"_class_name", "\"UNet2DConditionModel\"", "must be \"UNet2DModel\""},
    {"ito_network", "\"vnet\"", "must be \"unet\" or \"document\" or \"tutorial\""},
    {"ito_skips", "\"adddd\"", "must be \"concatenate\" or \"add\""},
    {"ito_fourier_scale", "\"16\"", "must be a number"},
    {"ito_condition", "-1", "must be at least 0"},
    {"block_out_chanels", "[16,32]", "unknown key block_out_chanels"},
    {"cross_attention_dim", "768", "unknown key cross_attention_dim"},
    {"ito_output_scale", "0.5", "unknown key ito_output_scale"},
};

json tiny() { return json::parse(to_json(preset("tiny").network)); }

TEST_CASE("one foreign value is refused with its key, the value and what this network has") {
  for (const Foreign& foreign : kForeign) {
    json j = tiny();
    j[foreign.key] = json::parse(foreign.value);
    const std::string error = error_of([&] { network_config_from_json(j.dump(), "here/config.json"); });
    CAPTURE(foreign.key);
    CAPTURE(error);
    CHECK(error.rfind("here/config.json: ", 0) == 0);
    CHECK(contains(error, foreign.key));
    CHECK(contains(error, "is " + (foreign.wrong_element.empty() ? foreign.value : foreign.wrong_element)));
    CHECK(contains(error, foreign.allowed));
  }
}

TEST_CASE("every argument of UNet2DModel is among the refused") {
  const json arguments = json::parse(kDefaults);
  for (const auto& [key, value] : arguments.items()) {
    const std::string name = key;
    const auto names_it = [&](const Foreign& foreign) { return foreign.key == name; };
    CHECK_MESSAGE(std::any_of(std::begin(kForeign), std::end(kForeign), names_it), name);
  }
}

TEST_CASE("what is missing is diffusers' default, and reported where it cannot be") {
  json all = json::parse(kDefaults);
  all["sample_size"] = 64;
  const NetworkConfig c = network_config_from_json(R"({"sample_size": 64})");
  CHECK(to_json(c) == to_json(network_config_from_json(all.dump())));
  CHECK(c.kind == NetworkKind::unet);
  CHECK(c.height == 64);
  CHECK(c.width == 64);
  CHECK(c.channels == 3);
  CHECK(c.block_channels == std::vector<int>{224, 448, 672, 896});
  CHECK(c.attention == std::vector<bool>{false, true, true, true});
  CHECK(c.layers_per_block == 2);
  CHECK(c.groups == 32);
  CHECK(c.norm_eps == 1e-5f);
  CHECK(c.head_width == 8);
  CHECK(c.embedding == EmbeddingKind::sinusoidal);
  CHECK(c.flip_sin_to_cos);
  CHECK(c.freq_shift == 0);
  CHECK(c.pad_both_sides);
  CHECK(c.activation == Activation::silu);
  CHECK(c.skips == SkipKind::concatenate);
  CHECK(c.dropout == 0);
  CHECK(c.condition == 0);

  const std::string missing = ", the default, since the file has no such key";
  CHECK(error_of([] { network_config_from_json("{}"); }) ==
        "config.json: sample_size must be a whole number, or a list of height and width, is null" + missing);
  CHECK(error_of([] { network_config_from_json(R"({"sample_size": 64, "in_channels": 1})"); }) ==
        "config.json: out_channels must be 1 (as many as in_channels), is 3" + missing);
}

TEST_CASE("published networks of diffusers' are read as what they are") {
  NetworkConfig want;
  want.height = want.width = 256;
  want.block_channels = {128, 128, 256, 256, 512, 512};
  want.attention = {false, false, false, false, true, false};
  want.norm_eps = 1e-6f;
  want.head_width = 0;
  want.embedding = EmbeddingKind::sinusoidal;
  want.flip_sin_to_cos = want.pad_both_sides = false;
  want.freq_shift = 1;
  CHECK(to_json(network_config_from_json(kCat)) == to_json(want));
  want.height = want.width = 32;
  want.block_channels = {128, 256, 256, 256};
  want.attention = {false, true, false, false};
  CHECK(to_json(network_config_from_json(kCifar)) == to_json(want));
}

TEST_CASE("other spellings of the same network") {
  const auto with = [](const char* key, const json& value) {
    json j = tiny();
    j[key] = value;
    return network_config_from_json(j.dump());
  };
  const std::string same = to_json(preset("tiny").network);
  CHECK(to_json(with("act_fn", "swish")) == same);
  CHECK(to_json(with("mid_block_scale_factor", 1.0)) == same);
  CHECK(to_json(with("time_embedding_dim", 64)) == same);
  CHECK(to_json(with("attn_norm_num_groups", 8)) == same);
  CHECK(to_json(with("num_train_timesteps", 1000)) == same);
  CHECK(to_json(with("freq_shift", 0)) == same);
  CHECK(to_json(with("sample_size", {16, 16})) == same);
  CHECK(to_json(with("_name_or_path", "anything")) == same);
  CHECK(with("sample_size", {16, 32}).width == 32);
  CHECK(with("act_fn", "relu").activation == Activation::relu);
  CHECK(with("downsample_padding", 0).pad_both_sides == false);
  CHECK(with("ito_skips", "add").skips == SkipKind::add);
  CHECK(with("ito_condition", 40).condition == 40);
}

TEST_CASE("with patches the file describes the network between them, which diffusers can read") {
  NetworkConfig c = preset("tiny").network;
  c.height = 32, c.width = 48, c.patch = 2;
  const json j = json::parse(to_json(c));
  CHECK(j.at("ito_patch") == 2);
  CHECK(j.at("sample_size") == json({16, 24}));
  CHECK((j.at("in_channels") == 12 && j.at("out_channels") == 12));
  const NetworkConfig back = network_config_from_json(j.dump());
  CHECK((back.patch == 2 && back.height == 32 && back.width == 48 && back.channels == 3));
  CHECK_FALSE(first_difference(back, c));
  CHECK(first_difference(c, preset("tiny").network)->key == "ito_patch");
  CHECK(c.stride() == 4);
  const auto refused = [&](const char* key, const json& value) {
    json changed = j;
    changed[key] = value;
    return error_of([&] { network_config_from_json(changed.dump()); });
  };
  CHECK(contains(refused("in_channels", 10), "in_channels must be a multiple of 4, is 10"));
  CHECK(contains(refused("ito_patch", 0), "ito_patch must be from 1 to 16, is 0"));
  CHECK(contains(refused("ito_patch", 17), "ito_patch must be from 1 to 16, is 17"));
  CHECK(contains(refused("sample_size", 2'000'000'000), "sample_size must be at most"));
  CHECK(contains(refused("ito_network", "tutorial"), "patches are for the network unet, not for tutorial"));
  c.height = 34;
  CHECK(
      contains(error_of([&] { check(c); }), "must be a multiple of 4 for 2 levels and patches of 2 pixels"));
}

TEST_CASE("what ADM's networks have is diffusers' own keys, which are there only where a network has it") {
  const NetworkConfig plain = preset("tiny").network;
  for (const char* key : {"downsample_type", "upsample_type", "resnet_time_scale_shift", "num_class_embeds",
                          "attn_norm_num_groups", "ito_heads"})
    CHECK_FALSE(contains(to_json(plain), key));
  NetworkConfig c = plain;
  c.block_channels = {16, 16, 32, 32}, c.attention = {false, true, false, true};
  c.scale_shift = c.residual_resampling = true, c.classes = 10;
  const json j = json::parse(to_json(c));
  CHECK(j.at("down_block_types") == json::parse(R"(["ResnetDownsampleBlock2D", "AttnDownBlock2D",
                                                     "ResnetDownsampleBlock2D", "AttnDownBlock2D"])"));
  CHECK(j.at("up_block_types") == json::parse(R"(["AttnUpBlock2D", "ResnetUpsampleBlock2D", "AttnUpBlock2D",
                                                  "ResnetUpsampleBlock2D"])"));
  CHECK((j.at("downsample_type") == "resnet" && j.at("upsample_type") == "resnet"));
  CHECK((j.at("resnet_time_scale_shift") == "scale_shift" && j.at("attn_norm_num_groups") == 8));
  CHECK((j.at("num_class_embeds") == 10 && j.at("ito_condition") == 0));
  CHECK_FALSE(first_difference(network_config_from_json(j.dump()), c));
  CHECK(first_difference(c, plain).has_value());
  const auto with = [&](const char* key, const json& value) {
    json changed = j;
    changed[key] = value;
    return error_of([&] { network_config_from_json(changed.dump()); });
  };
  // Without group norm in the middle's attention, as diffusers has it unless the key says otherwise.
  CHECK(contains(with("attn_norm_num_groups", nullptr), "attn_norm_num_groups must be 8"));
  CHECK(contains(with("downsample_type", "conv"), "must have either DownBlock2D or ResnetDownsampleBlock2D"));
  CHECK(contains(with("upsample_type", "conv"), "upsample_type must be \"resnet\" (as the way down)"));
  CHECK(contains(with("ito_condition", 4), "a network has attributes or classes, not both"));
  CHECK(contains(with("ito_network", "document"), "are for the network unet, not for document"));
  json mixed = j;
  mixed["down_block_types"][0] = "DownBlock2D", mixed["up_block_types"][3] = "UpBlock2D";
  CHECK(
      contains(error_of([&] { network_config_from_json(mixed.dump()); }), "must have either DownBlock2D or"));
  // The last level keeps the size: both of its names mean the same there, and so do those of the first on the way up.
  NetworkConfig no_attention = c;
  no_attention.attention = {false, false, false, false};
  json other = json::parse(to_json(no_attention));
  other["down_block_types"][3] = "DownBlock2D", other["up_block_types"][3] = "UpBlock2D";
  other.erase("downsample_type"), other.erase("upsample_type");  // about blocks with attention alone
  CHECK_FALSE(first_difference(network_config_from_json(other.dump()), no_attention));
}

TEST_CASE("the labels of augmented images are a key that is there only where the network has them") {
  NetworkConfig c = preset("tiny").network;
  CHECK_FALSE(contains(to_json(c), "ito_augment"));
  c.augment = true;
  json j = json::parse(to_json(c));
  CHECK(j.at("ito_augment") == true);
  CHECK(network_config_from_json(j.dump()).augment);
  CHECK(first_difference(c, preset("tiny").network)->key == "ito_augment");
  j["ito_augment"] = 9;
  CHECK(contains(error_of([&] { network_config_from_json(j.dump()); }),
                 "ito_augment must be true or false, is 9"));
  j["ito_augment"] = true, j["ito_network"] = "document";
  CHECK(contains(error_of([&] { network_config_from_json(j.dump()); }),
                 "the labels of augmented images are for the network unet, not for document"));
}

TEST_CASE("diffusers' ReLU is not ours: it leaves SiLU in two places") {
  json j = tiny();
  j["act_fn"] = "relu";
  j.erase("ito_network");
  const std::string error = error_of([&] { network_config_from_json(j.dump()); });
  CHECK(contains(error, "act_fn must be \"silu\", is \"relu\""));
}

TEST_CASE("a text that is no configuration is an error that names the file") {
  for (const std::string text : {"", "{", "[]", "3", "null", "\xff", "{\"norm_eps\": 1e999}"})
    CHECK_MESSAGE(contains(error_of([&] { network_config_from_json(text, "a/b.json"); }), "a/b.json"), text);
  const std::string nested = "{\"act_fn\": " + std::string(500'000, '[') + std::string(500'000, ']') + "}";
  CHECK(error_of([&] { network_config_from_json(nested); }) == "config.json: is nested too deeply");
}

TEST_CASE("the text of a configuration stays as it is, byte for byte, and is read back") {
  CHECK(to_json(preset("document").network) == kDocument);
  CHECK(to_json(preset("celeba64-ddim").network) == kDdim);
  for (const Preset& p : presets()) {
    CAPTURE(p.name);
    CHECK(to_json(network_config_from_json(to_json(p.network))) == to_json(p.network));
    CHECK_FALSE(first_difference(network_config_from_json(to_json(p.network)), p.network));
  }
}

TEST_CASE("numbers are read back to the bit") {
  NetworkConfig c = preset("tiny").network;
  c.norm_eps = 1.2345678e-5f, c.dropout = 0.99999994f, c.freq_shift = 0.1f, c.fourier_scale = 1 / 3.0f;
  const NetworkConfig back = network_config_from_json(to_json(c));
  CHECK(back.norm_eps == c.norm_eps);
  CHECK(back.dropout == c.dropout);
  CHECK(back.freq_shift == c.freq_shift);
  CHECK(back.fourier_scale == c.fourier_scale);
}

TEST_CASE("the first difference of two configurations") {
  const NetworkConfig a = preset("tiny").network;
  NetworkConfig b = a;
  CHECK_FALSE(first_difference(a, b));
  b.dropout = 0.5f;
  b.head_width = 4;
  const auto difference = first_difference(a, b);
  REQUIRE(difference);
  CHECK(difference->key == "attention_head_dim");
  CHECK(difference->first == "null");
  CHECK(difference->second == "4");
}

TEST_CASE("enumerations have the names that flags use") {
  CHECK(parse_name<EmbeddingKind>("sinusoidal") == EmbeddingKind::sinusoidal);
  CHECK(ito::name_of(EmbeddingKind::fourier) == "fourier");
  CHECK(ito::name_of(NetworkKind::tutorial) == "tutorial");
  CHECK(ito::name_of(SkipKind::add) == "add");
  CHECK(ito::name_of(Activation::silu) == "silu");
  CHECK(contains(error_of([] { parse_name<EmbeddingKind>("positional"); }),
                 "unknown embedding \"positional\""));
}

TEST_CASE("a checkpoint whose two files describe different networks is not loaded") {
  const tests::SmallRun run;
  const TempFolder place;
  const auto folder = place / "step", config = folder / "unet/config.json";
  engine::Device device({1, engine::Backend::cpu});
  {
    Trainer trainer(device, run.options, run.images());
    save_checkpoint(folder, trainer);
  }
  CHECK(load_model(device, folder).options.network.layers_per_block == 1);
  const auto error = [&] { return error_of([&] { load_model(device, folder); }); };
  const auto rewrite = [&](const char* key, const json& value) {
    json j = json::parse(to_json(run.options.network));
    j[key] = value;
    std::ofstream(config) << j;
  };
  rewrite("layers_per_block", 2);
  CHECK(error() == cat(config.string(), ": layers_per_block is 2, but 1 in ",
                       (folder / "options.json").string(),
                       ": restore the one that was changed, or use another checkpoint"));
  rewrite("act_fn", "mish");
  CHECK(error().rfind(config.string() + ": act_fn must be", 0) == 0);
  std::filesystem::remove(config);
  CHECK(contains(error(), "is not a checkpoint: it has no unet/config.json"));
}

}  // namespace
}  // namespace ito::model
