#include <doctest/doctest.h>

#include "import_peers.h"
#include "model/import/foreign_model.h"
#include "model/training/checkpoint.h"

/// The files of others' models: containers, names, what is cut off, would run code or does not fit.
namespace ito::tests {

TEST_CASE("containers of the same weights give the same checkpoint; older names of attention are known") {
  const Peer peer;
  const TempFolder folder;
  const std::string scheduler = peer.about.at("cases").at(0).at("config").dump();
  peer.save(folder / "whole", scheduler);
  write_imported(folder / "want", diffusers_model(folder / "whole"));
  const auto same = [&](const fs::path& made) {
    for (const io::TensorSpec& spec : peer.specs)
      CHECK(weights_of(folder / made, spec.name) == weights_of(folder / "want", spec.name));
  };
  // Two files and their index, the older names in one folder without inner ones.
  fs::create_directories(folder / "split");
  fs::copy(folder / "whole/unet/config.json", folder / "split/config.json");
  fs::copy(folder / "whole/scheduler/scheduler_config.json", folder / "split/scheduler_config.json");
  json map;
  std::vector<io::TensorEntry> parts[2];
  for (size_t i = 0; i < peer.specs.size(); ++i) {
    io::TensorSpec spec = peer.specs[i];
    for (const auto& [newer, older] : {std::pair{".to_q.", ".query."},
                                       {".to_k.", ".key."},
                                       {".to_v.", ".value."},
                                       {".to_out.0.", ".proj_attn."}})
      if (const size_t at = spec.name.find(newer); at != std::string::npos)
        spec.name.replace(at, std::string(newer).size(), older);
    map[spec.name] = cat("part", i % 2, ".safetensors");
    parts[i % 2].push_back({spec, peer.numbers[i].data()});
  }
  for (int k : {0, 1}) io::write_safetensors(folder / cat("split/part", k, ".safetensors"), parts[k]);
  put(folder / "split/diffusion_pytorch_model.safetensors.index.json", json{{"weight_map", map}}.dump());
  write_imported(folder / "made", diffusers_model(folder / "split"));
  same("made");
  const json origin = json::parse(std::ifstream(folder / "made/import.json"));
  CHECK((origin.at("folder") == "split" && origin.at("parts").size() == 2));
  CHECK(origin.at("parts").at("part1.safetensors").get<std::string>().size() == 64);
  // torch.save's own files, whole and with an index of half precision's name.
  fs::create_directories(folder / "bin");
  for (const char* name : {"config.json", "scheduler_config.json"})
    fs::copy(folder / "split" / name, folder / "bin" / name);
  put(folder / "bin/diffusion_pytorch_model.bin", torch_file(peer));
  write_imported(folder / "from_bin", diffusers_model(folder / "bin"));
  same("from_bin");
  fs::rename(folder / "bin/diffusion_pytorch_model.bin", folder / "bin/all.bin");
  json newer;
  for (const io::TensorSpec& spec : peer.specs) newer[spec.name] = "all.bin";
  put(folder / "bin/diffusion_pytorch_model.bin.index.fp16.json", json{{"weight_map", newer}}.dump());
  const ForeignModel half = diffusers_model(folder / "bin");
  CHECK(contains(half.notes.back(), "rounded to half precision"));
  write_imported(folder / "from_half", half);
  same("from_half");
  map["absent"] = "part0.safetensors";
  put(folder / "split/diffusion_pytorch_model.safetensors.index.json", json{{"weight_map", map}}.dump());
  CHECK(contains(error_of([&] { diffusers_model(folder / "split"); }), "part0.safetensors lacks absent"));
}

TEST_CASE("a checkpoint of ddim's: averaged or last weights, under our names") {
  const DdimFile peer;
  const TempFolder folder;
  put(folder / "ckpt.pth", peer.list());
  const std::pair<const char*, const char*> pairs[] = {
      {"temb.dense.1.weight", "time_embedding.linear_2.weight"},
      {"down.0.downsample.conv.weight", "down_blocks.0.downsamplers.0.conv.weight"},
      {"down.1.block.0.nin_shortcut.weight", "down_blocks.1.resnets.0.conv_shortcut.weight"},
      {"down.1.block.0.temb_proj.bias", "down_blocks.1.resnets.0.time_emb_proj.bias"},
      {"down.1.attn.0.k.weight", "down_blocks.1.attentions.0.to_k.weight"},
      {"mid.attn_1.norm.weight", "mid_block.attentions.0.group_norm.weight"},
      {"mid.attn_1.proj_out.weight", "mid_block.attentions.0.to_out.0.weight"},
      {"mid.block_2.conv2.weight", "mid_block.resnets.1.conv2.weight"},
      {"up.1.block.0.conv1.weight", "up_blocks.0.resnets.0.conv1.weight"},
      {"up.1.upsample.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"},
      {"up.0.block.1.norm1.bias", "up_blocks.1.resnets.1.norm1.bias"},
      {"norm_out.weight", "conv_norm_out.weight"},
      {"conv_out.bias", "conv_out.bias"}};
  for (const bool raw : {false, true}) {
    const fs::path made = folder / (raw ? "raw" : "average");
    write_imported(made, ddim_model(folder / "ckpt.pth", {.raw = raw}));
    for (const auto& [theirs, ours] : pairs) {
      CAPTURE(theirs);
      CHECK(weights_of(made, ours) == peer.values(theirs, raw ? 0 : 1));
    }
    engine::Device device;
    const LoadedModel model = load_model(device, made);
    CHECK(model.options.network.width == 32);  // its attention is at 16
    CHECK_FALSE(model.options.network.pad_both_sides);
    CHECK(text_of(model.settle({})) == "ddim, 100 steps, grid leading, eta 0, clip none");
    CHECK(text_of(model.settle({.sampler = SamplerKind::heun})) ==
          "heun, 18 steps, grid karras, rho 7, clip none");
  }
  put(folder / "cut.pth", peer.list().substr(0, 100000));
  CHECK(contains(error_of([&] { ddim_model(folder / "cut.pth"); }), "truncated"));
}

TEST_CASE("files that are cut off, at every percent, and pickles that would run code") {
  const Peer peer;
  const TempFolder folder;
  const std::string scheduler = peer.about.at("cases").at(0).at("config").dump();
  peer.save(folder / "from", scheduler);
  const fs::path file = folder / "from/unet/diffusion_pytorch_model.safetensors";
  const auto bytes_of = [](const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto refuses_every_part = [&](const std::string& whole, const fs::path& place, const auto& import) {
    for (size_t percent = 0; percent < 100; ++percent) {
      put(place, whole.substr(0, whole.size() * percent / 100));
      CAPTURE(percent);
      CHECK_FALSE(error_of(import).empty());
      CHECK_FALSE(fs::exists(folder / "to"));
    }
  };
  refuses_every_part(bytes_of(file), file,
                     [&] { write_imported(folder / "to", diffusers_model(folder / "from")); });
  refuses_every_part(DdimFile().list(), folder / "cut.pth",
                     [&] { write_imported(folder / "to", ddim_model(folder / "cut.pth")); });
  // os.system("touch MARKER") as an object's way to be made: protocols 2 and 4.
  const fs::path marker = folder / "marker";
  const std::string command = cat("touch ", marker.string());
  using torch_pickles::text;
  const std::string two = torch_pickles::global("os", "system") + torch_pickles::tuple({text(command)}) + "R";
  const std::string four = "\x8c\x02os\x8c\x06system\x93" + torch_pickles::tuple({text(command)}) + "R";
  const auto errors = [&](const std::string& file) {
    put(folder / "evil.pth", file);
    return error_of([&] { ddim_model(folder / "evil.pth"); }) + "\n" +
           error_of([&] { adm_model(folder / "evil.pth", {"--resblock_updown True"}); });
  };
  CHECK(contains(errors(torch_pickles::legacy(two, {}, "")), "os.system"));
  std::string of_four = torch_pickles::legacy(four, {}, "");
  of_four.replace(of_four.find("\x80\x02" + four), 2, "\x80\x04");
  CHECK(contains(errors(of_four), "of protocol 4; only 2 is read"));
  CHECK_FALSE(fs::exists(marker));
}

TEST_CASE("rows are taken whole, wherever a reader's pieces end") {
  constexpr int kClasses = 5, kWidth = 11, kPiece = 7;
  std::vector<float> table(size_t(kClasses * kWidth));
  for (size_t i = 0; i < table.size(); ++i) table[i] = float(i);
  ForeignModel model;
  model.options.network.classes = kClasses;
  model.part_of = [](const std::string& name) { return ForeignPart{name}; };
  model.tensors = {{"class_embedding.weight", {kClasses, kWidth}, [&](const io::TakeNumbers& take) {
                      const std::span<const float> all = table;
                      for (size_t at = 0; at < all.size(); at += kPiece)
                        take(all.subspan(at, std::min(size_t(kPiece), all.size() - at)));
                    }}};
  for (int none = 0; none < kClasses; ++none) {
    use_null_class(model, none);
    std::vector<float> bias(size_t(kWidth), 0.5f), row(table.begin(), table.begin() + kWidth);
    model.change("time_embedding.linear_2.bias", 0, bias);
    model.change("class_embedding.weight", 0, row);
    for (int i = 0; i < kWidth; ++i) {
      CHECK(bias[size_t(i)] == 0.5f + float(none * kWidth + i));
      CHECK(row[size_t(i)] == -float(none * kWidth));
    }
  }
}

TEST_CASE("tensors that do not fit are named, and nothing is left behind") {
  const Peer peer;
  const TempFolder folder;
  const std::string scheduler = peer.about.at("cases").at(0).at("config").dump();
  const auto error_with = [&](const std::function<void(Peer&)>& change) {
    Peer other = peer;
    change(other);
    fs::remove_all(folder / "from");
    other.save(folder / "from", scheduler);
    return error_of([&] { write_imported(folder / "to", diffusers_model(folder / "from")); });
  };
  CHECK(contains(error_with([](Peer& p) { p.specs.pop_back(), p.numbers.pop_back(); }), "has no "));
  CHECK(contains(error_with([](Peer& p) { p.specs.back().name = "other"; }), "has no "));
  CHECK(contains(error_with([](Peer& p) {
                   p.specs.push_back({"more", io::ElementType::f32, {1}}), p.numbers.push_back({1});
                 }),
                 "has 1 tensors more than the network of its configuration, more for one"));
  CHECK(contains(error_with([](Peer& p) { p.specs[0].shape.back() = 1, p.numbers[0].resize(1000000); }),
                 "is ["));
  CHECK(contains(error_with([](Peer& p) { p.numbers[3][0] = NAN; }), "holds nan"));
  CHECK_FALSE(fs::exists(folder / "to"));
}

}  // namespace ito::tests
