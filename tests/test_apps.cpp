#include <doctest/doctest.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "data/pictures/image.h"
#include "model/diffusion/sampler_options.h"
#include "tests/helpers.h"
#include "tests/program.h"
#include "tests/refusals.h"

/// The programs as a user runs them: a whole small run, its resumption, samples by seed, and every kind of
/// mistake.
namespace {

namespace fs = std::filesystem;
using namespace ito::tests;

/// A folder of its own for each test case; commands run inside it.
struct ProgramFolder : TempFolder {
  Ended run(const std::string& command) const { return run_program(path(), command); }
  void faces(int count = 40) const {
    REQUIRE(run("make_faces faces --count " + std::to_string(count) + " --seed 3").code == 0);
  }
  std::map<std::string, std::string> files(const std::string& folder) const {
    return contents_of(path() / folder);
  }
  /// What every picture in a folder shows.
  std::map<std::string, std::vector<uint8_t>> pixels(const std::string& folder) const {
    std::map<std::string, std::vector<uint8_t>> shown;
    for (const auto& [name, bytes] : files(folder))
      shown[name] =
          ito::data::decode_image(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), name).rgb;
    return shown;
  }
};

const std::string kTiny =
    " faces --preset tiny --batch 4 --warmup 2 --sample-count 4 --sample-steps 3 --sample-every 100 ";

void refused(const ProgramFolder& place, const std::string& command, const std::string& part) {
  check_refused(place.path(), command, part);
}

TEST_CASE("a run from faces to samples, and the same command again") {
  const ProgramFolder place;
  place.faces();
  const std::string train = "train_celeba" + kTiny + "--steps 6 --save-every 4 --out run";
  const Ended first = place.run(train);
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  CHECK(contains(first.out, "178,451 parameters"));
  CHECK(fs::exists(place.path() / "run/samples/step-00000006.png"));
  CHECK(fs::exists(place.path() / "run/checkpoints/step-00000004"));
  CHECK(place.files("run/checkpoints/step-00000006").count("unet/config.json") == 1);
  std::istringstream log(ito::io::read_file(place.path() / "run/log.jsonl"));
  std::map<std::string, int> last_step;  // with a loss, with a validation loss
  for (std::string line; std::getline(log, line);) {
    const auto json = nlohmann::json::parse(line);
    for (const char* key : {"loss", "validation_loss"})
      if (json.contains(key)) last_step[key] = json.at("step");
  }
  CHECK(last_step == std::map<std::string, int>{{"loss", 6}, {"validation_loss", 6}});

  const Ended again = place.run(train);
  CHECK(again.code == 0);
  CHECK(contains(again.out, "finished"));
  const Ended longer = place.run("train_celeba" + kTiny + "--steps 8 --save-every 4 --out run");
  CHECK(longer.code == 0);
  CHECK(fs::exists(place.path() / "run/checkpoints/step-00000008"));
  CHECK_FALSE(fs::exists(place.path() / "run/checkpoints/step-00000004"));  // --keep 2

  CHECK(place.run("sample --checkpoint run/checkpoints/best --steps 4 --count 1 --out best").code == 0);
  REQUIRE(place.run("sample --run run --steps 4 --count 3 --out many").code == 0);
  REQUIRE(place.run("sample --run run --steps 4 --seeds 2 --out one").code == 0);
  const auto many = place.files("many"), one = place.files("one");
  CHECK(many.size() == 5);  // three images, the grid and what they are
  const auto note = nlohmann::json::parse(many.at("samples.json"));
  CHECK(note ==
        nlohmann::json({{"run", "run"},
                        {"step", 8},
                        {"sampling",
                         {"sampler euler-maruyama", "steps 4", "grid uniform", "final denoise", "clip none"}},
                        {"seeds", {0, 1, 2}},
                        {"crop", "ddim128"},
                        {"height", 16},
                        {"width", 16}}));
  REQUIRE(place.run("sample --run run --steps 4 --seeds 7 --out many").code == 0);  // of the same sampling
  CHECK(nlohmann::json::parse(place.files("many").at("samples.json")).at("seeds") ==
        nlohmann::json({0, 1, 2, 7}));
  REQUIRE(place.run("sample --run run --steps 3 --seeds 5 --out many").code == 0);  // of another
  CHECK(nlohmann::json::parse(place.files("many").at("samples.json")).at("seeds") == nlohmann::json({5}));
  CHECK(one.at("000002.png") == many.at("000002.png"));
  CHECK(many.at("000001.png") != many.at("000002.png"));
  CHECK(place.run("sample --run run --sampler heun --steps 3 --count 2 --out heun").code == 0);

  const auto says = [&](const std::string& picture, const std::string& what) {
    const std::string out = place.run("inspect image " + picture).out;
    CAPTURE(out);
    CHECK(contains(out, what));
    CHECK(contains(out, "version    Ito "));
  };
  says("one/000002.png",
       "size       16 wide, 16 high\ncolours    RGB (colour type 2), 8 bits\n"
       "seed       2\nrun        run\nstep       8\nsampler    euler-maruyama\nsteps      4\ngrid    "
       "   uniform\nfinal      denoise\nclip       none\n");
  says("heun/grid.png", "seeds      0-1\nrun        run\nstep       8\nsampler    heun\nsteps      3\n");
  says("run/samples/step-00000006.png",
       "seeds      0-3\nrun        run\nstep       6\nsampler    dpm++2m-sde\nsteps      5\n");
}

TEST_CASE("two runs with the same flags write the same bytes; dry runs write nothing") {
  const ProgramFolder place;
  place.faces();
  for (const char* out : {"a", "b"}) {
    const std::string name = out;
    REQUIRE(place.run("train_celeba" + kTiny + "--steps 3 --dropout 0.1 --attributes --out " + name).code ==
            0);
  }
  CHECK(place.files("a/checkpoints") == place.files("b/checkpoints"));
  CHECK(place.pixels("a/samples") == place.pixels("b/samples"));  // their texts name the runs
  const Ended dry = place.run("train_celeba" + kTiny + "--steps 1000 --out c --dry-run");
  CHECK(dry.code == 0);
  for (const char* part : {"parameters", "GFLOP", "memory", "time", "--batch 4", "--sample-every 100",
                           "--lr 0.0002", "--sde ve", "--preset tiny", "--size 16x16", "--crop ddim128"})
    CHECK(contains(dry.out, part));
  CHECK_FALSE(fs::exists(place.path() / "c"));
}

TEST_CASE("a run on chosen attributes, in every layout that has them; what names none is refused at once") {
  const ProgramFolder place;
  const std::string flags =
      " --preset tiny --size 8 --batch 2 --steps 1 --sample-count 0 --validate-count 0 --threads 1 ";
  std::map<std::string, std::string> rows;
  for (const std::string layout : {"official", "folders", "torchvision", "kaggle", "zip"}) {
    CAPTURE(layout);
    REQUIRE(place.run("make_faces " + layout + " --count 30 --seed 3 --layout " + layout).code == 0);
    const Ended o =
        place.run("train_celeba --attributes=Smiling,Eyeglasses " + layout + flags + "--out run-" + layout);
    CAPTURE(o.err);
    REQUIRE(o.code == 0);
    CHECK(contains(o.out, "attributes Smiling, Eyeglasses\n"));
    rows[place.files("run-" + layout).at("checkpoints/step-00000001/attributes.safetensors")] += layout + " ";
  }
  CHECK(rows.size() == 1);
  const std::string train = "train_celeba official" + flags;
  const Ended other = place.run(train + "--attributes=Smiling --out run-official");
  CHECK(other.code == 1);
  CHECK(contains(other.err, "attributes: [\"Smiling\",\"Eyeglasses\"] there, [\"Smiling\"] now\n"));
  refused(place, train + "--attributes=Smiling,Eyglasses --cache new --out no",
          "unknown attribute \"Eyglasses\"; did you mean \"Eyeglasses\"");
  CHECK_FALSE(fs::exists(place.path() / "new"));  // nothing was decoded for it
  refused(place, train + "--attributes=Smiling,Smiling --out no", "names Smiling twice");
  fs::remove(place.path() / "official/list_attr_celeba.txt");
  refused(place, train + "--attributes=Smiling --out no", "--attributes needs CelebA's list_attr_celeba.txt");
  CHECK_FALSE(fs::exists(place.path() / "no"));
}

TEST_CASE("what a run is conditioned on is shown, and a checkpoint that has moved still has it") {
  const ProgramFolder place;
  place.faces();
  const std::string train = "train_celeba" + kTiny + "--steps 2 ";
  const Ended dry = place.run(train + "--attributes=Smiling,Male --out dry --dry-run");
  CHECK(contains(dry.out, " --attributes=Smiling,Male "));
  REQUIRE(place.run(train + "--attributes=Smiling,Male --out two").code == 0);
  const Ended all = place.run(train + "--attributes --out all");
  CAPTURE(all.err);
  REQUIRE(all.code == 0);
  CHECK(
      contains(all.out, "attributes 5_o_Clock_Shadow, Arched_Eyebrows, Attractive and 37 more: 40 in all\n"));
  CHECK(place.pixels("all/samples") != place.pixels("two/samples"));
  const fs::path moved = place.path() / "moved";
  fs::rename(place.path() / "two/checkpoints/step-00000002", moved);
  fs::remove_all(place.path() / "two");
  CHECK(contains(place.run("inspect checkpoint moved").out,
                 "\nattributes Smiling, Male; of 32 training images\n"));
  CHECK(contains(place.run("inspect data faces --size 16").out,
                 "\nattributes 5_o_Clock_Shadow, Arched_Eyebrows, Attractive and 37 more: 40 in all; "));
  const Ended drawn = place.run("evaluate moved --count 2 --sampler heun --steps 2");
  CAPTURE(drawn.err);
  CHECK(drawn.code == 0);
  CHECK(contains(drawn.out, "Smiling, Male; those of 32 training images, chosen by the seeds"));
  fs::resize_file(moved / "attributes.safetensors", 100);
  refused(place, "sample --checkpoint moved --count 1",
          "attributes.safetensors, the attributes that a model was");
  fs::remove(moved / "attributes.safetensors");
  refused(place, "evaluate moved --count 2", "moved has no attributes.safetensors");
}

TEST_CASE("the same flags as in an earlier version write the same options") {
  const ProgramFolder place;
  place.faces(60);
  const std::string common =
      "train_celeba faces --batch 2 --steps 1 --sample-count 0 --validate-count 0 --threads 1 ";
  CHECK(place.run(common + "--preset tiny --out plain").code == 0);
  CHECK(place
            .run(common +
                 "--preset document --size 16 --sde vp --prediction v --weighting min-snr --level-draw "
                 "antithetic --decay cosine --final-lr 0.1 --precision bf16 --accumulate 3 --no-flip "
                 "--dropout 0.125 --embedding sinusoidal --attributes --seed 18446744073709551615 "
                 "--conv auto --out document")
            .code == 0);
  for (const std::string name : {"plain", "document"}) {
    CAPTURE(name);
    const fs::path golden = fs::path(ITO_SOURCE_DIR) / "tests/fixtures/options" / name;
    const auto same = [&](const std::string& there, const std::string& file) {
      return ito::io::read_file(place.path() / name / there / file) == ito::io::read_file(golden / file);
    };
    CHECK(same("", "options.json"));
    CHECK(same("checkpoints/step-00000001/unet", "config.json"));
  }
}

TEST_CASE("without --preset the device chooses, and a run that goes on keeps its own; numbers are decimal") {
  const ProgramFolder place;
  place.faces();
  const std::string flags = " --batch 04 --warmup 2 --sample-count 0 --threads 1 ";
  const Ended first = place.run("train_celeba faces --size 16" + flags + "--steps 01 --out chosen");
  CAPTURE(first.err);
  CHECK(first.code == 0);
  CHECK(contains(first.out, "small, the default on a CPU (celeba64 on a GPU); --preset chooses another"));
  CHECK(contains(first.out, "training   1 steps of 4 images"));
  REQUIRE(place.run("train_celeba faces --preset tiny" + flags + "--steps 1 --out run").code == 0);
  const Ended again = place.run("train_celeba faces" + flags + "--steps 2 --out run");
  CAPTURE(again.err);
  CHECK(again.code == 0);
  CHECK(contains(again.out, "network    tiny"));
  CHECK(fs::exists(place.path() / "run/checkpoints/step-00000002"));
}

TEST_CASE(
    "what is validated on is reported; a run that diverges says so and leaves its last good checkpoint") {
  const ProgramFolder place;
  place.faces();
  const std::string train = "train_celeba" + kTiny + "--save-every 1 --out run --max-bad-steps 2 ";
  const Ended good = place.run(train + "--steps 2 --split all");
  CHECK(contains(good.out, "validation uses images that the run also learns from: the split all contains"));
  fs::remove_all(place.path() / "run");
  const Ended bad = place.run(train + "--steps 40 --lr 1e30");
  CAPTURE(bad.out);
  CAPTURE(bad.err);
  CHECK(bad.code == 1);
  CHECK_FALSE(contains(bad.out, "validation uses"));
  CHECK(contains(bad.out, "was skipped, its "));
  CHECK(contains(bad.err, "as the last of 2 in a row (max_bad_steps): the run has diverged"));
  CHECK(contains(
      bad.err,
      "; there is no checkpoint yet; try another --out with a lower --lr, a longer --warmup or a lower "
      "--clip\n"));
  refused(place, "train_celeba faces --preset tiny --max-bad-steps 0", "--max-bad-steps");
  refused(place, "train_celeba faces --preset tiny --validate-count -1", "--validate-count");
  refused(place, "train_celeba faces --preset tiny --lr 1e39",
          "--lr must be a number above 0 and at most 1e+38, is \"1e39\"");
}

TEST_CASE(
    "a valid split that cannot be read is an error: validation never changes to other images by itself") {
  const ProgramFolder place;
  place.faces();
  std::ifstream partition(place.path() / "faces/list_eval_partition.txt");
  int spoiled = 0;
  for (std::string name, split; partition >> name >> split;)
    if (split == "1") std::ofstream(place.path() / "faces/img_align_celeba" / name) << "x", ++spoiled;
  REQUIRE(spoiled > 0);
  refused(place, "train_celeba" + kTiny + "--steps 1 --out run", "cannot be used");
  CHECK(place.run("train_celeba" + kTiny + "--steps 1 --out run --validate-count 0").code == 0);
}

TEST_CASE("every preset's objective and every SDE trains and samples") {
  const ProgramFolder place;
  place.faces();
  for (const std::string flags :
       {"--sde vp --prediction noise", "--sde sub-vp --prediction v --weighting min-snr",
        "--sde simple --prediction x0", "--sde ve --prediction score-scaled --level-draw antithetic",
        "--sde vp --weighting likelihood --embedding sinusoidal", "--precision bf16 --accumulate 2"}) {
    CAPTURE(flags);
    const Ended o = place.run("train_celeba" + kTiny + "--steps 2 --out run " + flags);
    CAPTURE(o.err);
    CHECK(o.code == 0);
    CHECK(place.run("sample --run run --steps 3 --count 1 --out images").code == 0);
    fs::remove_all(place.path() / "run");
  }
  for (const std::string preset : {"document", "tutorial"}) {
    CAPTURE(preset);
    const Ended o =
        place.run("train_celeba faces --preset " + preset +
                  " --size 16 --batch 2 --steps 2 --sample-count 1 --sample-steps 2 --out run-" + preset);
    CAPTURE(o.err);
    CHECK(o.code == 0);
    CHECK(place.run("sample --run run-" + preset + " --steps 3 --count 1 --out images").code == 0);
  }
}

TEST_CASE("inspect shows checkpoints, data and the bare network") {
  const ProgramFolder place;
  place.faces();
  REQUIRE(place.run("train_celeba" + kTiny + "--steps 1 --out run").code == 0);
  const Ended checkpoint = place.run("inspect checkpoint run/checkpoints/step-00000001");
  CHECK(checkpoint.code == 0);
  CHECK(contains(checkpoint.out, "down_blocks.0.resnets.0.conv1.weight"));
  const Ended data = place.run("inspect data faces --size 32");
  CHECK(data.code == 0);
  CHECK(contains(data.out, "Smiling"));
  for (const char* part : {"decoding   ", " pictures, about ", "train    ", "valid    ", "test     ",
                           "all      40", "red        mean", "farthest   ", "advice     --sigma-max "})
    CHECK(contains(data.out, part));
  CHECK(fs::exists(place.path() / "contact_sheet.png"));
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 16, 16), }";
  header.resize(117, ' ');
  header += '\n';
  const std::string magic("\x93NUMPY\x01\x00\x76\x00", 10);
  std::ofstream(place.path() / "x.npy", std::ios::binary)
      << magic << header << std::string(3 * 256 * 4, '\0');
  const Ended forward = place.run(
      "inspect forward --checkpoint run/checkpoints/step-00000001 --input x.npy --c-noise -0.5 --output "
      "y.npy");
  CAPTURE(forward.err);
  CHECK(forward.code == 0);
  CHECK(fs::file_size(place.path() / "y.npy") == fs::file_size(place.path() / "x.npy"));
}

TEST_CASE("without a run ./sample draws from the model that comes with Ito, and says so") {
  if (!fs::exists(ITO_APP_DIR "/data/drawn_model")) return;  // programs of another build than the root's
  const ProgramFolder place;
  const Ended drawn = place.run("sample --count 2");
  CAPTURE(drawn.err);
  REQUIRE(drawn.code == 0);
  CHECK(contains(drawn.out,
                 "no run is below runs/: this model comes with Ito, and has seen drawn faces alone"));
  CHECK(contains(drawn.out, "dpm++2m-sde, 20 steps"));
  CHECK(contains(drawn.out, "wrote      samples/grid.png and 2 of 2 images"));
  CHECK(place.files("samples").count("000001.png") == 1);
  CHECK(fs::file_size(ITO_APP_DIR "/data/drawn_model/unet/diffusion_pytorch_model.safetensors") < 3000000);
  CHECK(contains(place.run("inspect checkpoint").out, "faces64"));
}

TEST_CASE("Ctrl-C saves, and the same command goes on") {
  const ProgramFolder place;
  place.faces();
  const std::string train = ITO_APP_DIR "/train_celeba" + kTiny + "--steps 100000 --out run";
  const std::string line =
      "cd '" + place.path().string() + "' && (" + train +
      " >out.txt 2>err.txt & pid=$!; for i in $(seq 200); do sleep 0.1; "
      "grep -q '\"step\"' run/log.jsonl 2>/dev/null && break; done; kill -TERM $pid; wait $pid)";
  CHECK(WEXITSTATUS(std::system(line.c_str())) == 75);
  CHECK(contains(ito::io::read_file(place.path() / "out.txt"), "go on with the same command"));
  CHECK_FALSE(fs::is_empty(place.path() / "run/checkpoints"));
}

TEST_CASE("another crop or size is refused with both names: a run's, and that of samples in a folder") {
  const ProgramFolder place;
  place.faces();
  REQUIRE(place.run("train_celeba" + kTiny + "--steps 1 --out face").code == 0);
  REQUIRE(place.run("train_celeba" + kTiny + "--steps 1 --crop none --out whole").code == 0);
  const auto before = place.files("face/checkpoints");
  const Ended crop = place.run("train_celeba" + kTiny + "--steps 2 --crop none --out face");
  CHECK(crop.code == 1);
  CHECK(contains(crop.err, "crop: \"ddim128\" there, \"none\" now"));
  const Ended size = place.run("train_celeba" + kTiny + "--steps 2 --size 32 --out face");
  CHECK(size.code == 1);
  CHECK(contains(size.err, "sample_size: 16 there, 32 now"));
  CHECK(place.files("face/checkpoints") == before);
  REQUIRE(place.run("sample --run face --steps 2 --count 1 --out samples").code == 0);
  const auto samples = place.files("samples");
  refused(place, "sample --run whole --steps 2 --count 1 --out samples",
          "samples holds samples of crop ddim128 at 16x16, and these are of crop none at 16x16");
  CHECK(place.files("samples") == samples);
  std::ofstream(place.path() / "samples/samples.json") << "{}";
  refused(place, "sample --run face --steps 2 --count 1 --out samples",
          "samples.json is not as ./sample writes it");
}

TEST_CASE("mistakes are named in one line, and nothing is lost") {
  const ProgramFolder place;
  place.faces();
  refused(place, "train_celeba nowhere", "make_faces");
  fs::create_directories(place.path() / "empty");
  refused(place, "train_celeba empty", "mmlab.ie.cuhk.edu.hk");
  refused(place, "train_celeba faces --presett tiny", "did you mean --preset");
  refused(place, "train_celeba faces --preset tinny", "tiny");
  refused(place, "train_celeba faces --sde vee", "\"ve\"");
  refused(place, "train_celeba faces --preset tiny --batch 0", "--batch");
  refused(place, "train_celeba faces --preset tiny --steps 0", "--steps");
  refused(place, "train_celeba faces --preset tiny --steps many", "--steps");
  refused(place, "train_celeba faces --preset tiny --minutes 0", "--minutes must be a number above 0");
  refused(place, "train_celeba faces --preset tiny --sample-steps 0",
          "--sample-steps must be a whole number from 1");
  refused(place, "train_celeba faces --preset tiny --size 17", "multiple of 2");
  refused(place, "train_celeba faces --device cuda", "CUDA cannot be used");
  refused(place, "sample --checkpoint nowhere", "./train_celeba data/celeba");
  refused(place, "sample --run nowhere", "scripts/demo");
  refused(place, "make_faces faces --count 0", "--count");
  refused(place, "inspect forward --checkpoint nowhere --input x --c-noise 0 --output y", "x: cannot open");
  REQUIRE(place.run("train_celeba" + kTiny + "--steps 2 --out run").code == 0);
  const auto before = place.files("run/checkpoints");
  const Ended other = place.run("train_celeba" + kTiny + "--steps 2 --lr 0.01 --out run");
  CHECK(other.code == 1);
  CHECK(contains(other.err, "lr: 0.0002 there, 0.01 now"));
  CHECK(place.files("run/checkpoints") == before);
  refused(place, "sample --run run --conv auto", "--conv must be ours or cudnn");
  fs::resize_file(place.path() / "run/checkpoints/step-00000002/unet/diffusion_pytorch_model.safetensors",
                  3000);
  refused(place, "sample --run run", "diffusion_pytorch_model.safetensors");
}

TEST_CASE(
    "./sample: every sampler, attributes, guidance, grids, strips and arrays; flags that do nothing are "
    "refused") {
  const ProgramFolder place;
  place.faces();
  REQUIRE(place.run("train_celeba" + kTiny + "--steps 4 --save-every 2 --attributes=Smiling,Male --out run")
              .code == 0);
  const std::string draw = "sample --run run --count 2 ", sample = draw + "--steps 3 ";
  const Ended list = place.run("sample --list-samplers");
  CHECK(list.code == 0);
  for (const std::string& name : ito::names_of<ito::model::SamplerKind>()) {
    CAPTURE(name);
    CHECK(contains(list.out, "\n" + name + " "));
    if (name == "consistency") continue;  // of models that are tuned to it (test_consistency_runs)
    const std::string steps = name == "rk45" ? "--tolerance 0.05 " : "--steps 3 ";
    CHECK(place.run(draw + steps + "--sampler " + name + " --out " + name).code == 0);
    CHECK(fs::exists(place / (name + "/000001.png")));
  }
  CHECK(place.files("heun").at("000001.png") != place.files("unipc").at("000001.png"));

  REQUIRE(
      place
          .run(sample + "--attr Smiling=1 --attr Male=-1 --guidance 2 --guidance-interval 0.1,10 --out asked")
          .code == 0);
  const std::string note = place.files("asked").at("samples.json");
  for (const char* part : {"attr Smiling=1,Male=-1", "guidance 2", "guidance_interval 0.1,10"})
    CHECK(contains(note, part));
  CHECK(place.run(sample + "--guide run/checkpoints/step-00000002 --guidance 1.5 --out led").code == 0);
  REQUIRE(place.run("train_celeba" + kTiny + "--steps 1 --patch 2 --out patched").code == 0);
  CHECK(place.run("sample --run patched --count 2 --steps 2 --out drawn").code == 0);
  refused(place, "train_celeba" + kTiny + "--steps 1 --patch 16 --out no",
          "multiple of 32 for 2 levels and patches");
  // A guide computes in what it guides, whatever it was trained in.
  REQUIRE(place.run("train_celeba" + kTiny + "--steps 1 --precision bf16 --out half").code == 0);
  CHECK(place.run(sample + "--guide half --guidance 1.5 --out halved").code == 0);
  CHECK(place.run("sample --run run --steps 3 --attr-grid Smiling,Male --out grid").code == 0);
  CHECK(fs::exists(place / "grid/attr-grid.png"));
  const auto images = nlohmann::json::parse(place.files("grid").at("attr-grid.json")).at("images");
  REQUIRE(images.size() == 16);  // four columns, four seeds
  CHECK(images[1] == nlohmann::json({{"seed", 0},
                                     {"asked", {"Smiling=1", "Male=-1"}},
                                     {"attributes", {{"Smiling", 1}, {"Male", -1}}}}));
  CHECK(images[15].at("seed") == 3);
  CHECK(place.run(sample + "--out grid").code == 0);  // next to it
  REQUIRE(place.run(sample + "--npy x.npy --strip 2 --out strip").code == 0);
  CHECK(fs::exists(place / "strip/strip.png"));
  REQUIRE(place.run("sample --run run --steps 3 --noise x.npy --out noise").code ==
          0);                               // any numbers are noise
  CHECK(place.files("noise").size() == 4);  // with the grid and the note
  CHECK(place.run("evaluate run --count 2 --steps 2 --sampler ddim --eta 0.5 --attr Smiling --guidance 2")
            .code == 0);

  refused(place, sample + "--sampler heun --eta 0.5", "eta does nothing with the sampler heun");
  refused(place, sample + "--guidance-interval 1,2", "--guidance-interval does nothing without --guidance");
  refused(place, sample + "--attr Smilng", "did you mean \"Smiling\"");
  refused(place, sample + "--attr Smiling --attr -Smiling", "Smiling");
  refused(place, sample + "--guide nowhere --guidance 2",
          "--guide nowhere: there is no such run or checkpoint");
  refused(place, sample + "--guide run", "--guide does nothing without --guidance");
  refused(place, "sample --run run --evaluations 0", "--evaluations must be a whole number from 1");
  refused(place, sample + "--evaluations 5", "exclude each other");
  refused(place, sample + "--attr-grid Smiling,Smiling",
          "--attr-grid must be one to three different attributes");

  REQUIRE(place.run("train_celeba" + kTiny + "--steps 1 --size 8 --out small").code == 0);
  refused(place, sample + "--guide small --guidance 2", "draws images of 8x8");
  refused(place, "sample --run small --guidance 2",
          "--guidance does nothing for a model that was trained without attributes");
  refused(place, "sample --run small --attr Smiling", "trained without attributes");
  refused(place, "sample --run small --attr-grid Smiling", "trained without attributes");
  refused(place, sample + "--attr -Male --attr-grid Male", "the attribute Male is to be both 1 and -1");
}

}  // namespace
