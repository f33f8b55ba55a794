#include <iostream>

#include "apps/console/number_text.h"
#include "apps/console/program.h"
#include "apps/console/stopping.h"
#include "kernels/base/commands.h"
#include "kernels/base/path_text.h"
#include "model/import/foreign_model.h"

/// ./import diffusers FOLDER | ddim FILE | adm FILE: what others trained becomes a checkpoint folder.
namespace ito::apps {
namespace {

namespace fs = std::filesystem;

/// Of models with classes.
template <class Options, class Visit>
void visit_null_class(Options& o, Visit&& visit) {
  visit(o.null_class,
        Field("null_class", "the class that means none, in a model that was trained for guidance",
              from(0).to(1e6))
            .otherwise("none; then it draws without guidance"));
}

struct DiffusersRequest {
  std::string folder, out;
  std::optional<int> null_class;
};

template <FieldsOf<DiffusersRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.folder, Field("folder", "unet/, scheduler/: what a pipeline's save_pretrained() writes")
                      .as("folder")
                      .required());
  visit_null_class(o, visit);
  visit(o.out, Field("out", "the new checkpoint's folder").required());
}

struct DdimRequest {
  std::string file, out;
  std::optional<int> size;
  bool raw = false;
};

template <FieldsOf<DdimRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.file,
        Field("file", "ckpt.pth of ddim, or model-N.ckpt of pytorch_diffusion").as("file").required());
  visit(o.out, Field("out", "the new checkpoint's folder").required());
  visit(o.size, Field("size", "pixels a side, where the file does not tell", from(1).to(4096)));
  visit(o.raw, Field("raw", "the weights of the last step in place of their average"));
}

struct AdmRequest {
  std::string file, out, flags;
  std::optional<model::AdmCode> code;
  std::optional<int> null_class;
};

template <FieldsOf<AdmRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.file, Field("file", "a .pt file: the weights of a UNetModel").as("file").required());
  visit(o.flags,
        Field("flags",
              "in quotes, what the program is given for this model, as its README has it: \"--image_size 64 "
              "--num_channels 192 ...\""));
  visit(o.code, Field("code", "the program").otherwise("the one that the flags are of"));
  visit_null_class(o, visit);
  visit(o.out, Field("out", "the new checkpoint's folder").required());
}

int write(const model::ForeignModel& model, const std::string& out) {
  const model::Imported imported =
      write_imported(out, model, [] { stop_if_interrupted("nothing was imported"); });
  const model::TrainingOptions& o = model.options;
  std::cout << "read       " << model.file.string() << ": " << imported.tensors << " tensors, "
            << thousands(imported.parameters) << " parameters, " << o.network.width << "x" << o.network.height
            << " pixels\n";
  for (const std::string& note : model.notes) std::cout << "note       " << note << "\n";
  std::cout << "licence    " << model.licence << "\n";
  std::cout << "draws by   " << model::text_of(model::settle({}, o)) << "\n"
            << "wrote      " << out << "; " << commands::kSample << " --checkpoint " << shell_quoted(out)
            << " draws from it\n";
  return 0;
}

void check_new(const std::string& out) {
  if (fs::exists(out)) fail(cat("--out ", out, " exists already: choose a new folder"));
}

int import_diffusers(const DiffusersRequest& f) {
  check_new(f.out);
  return write(model::diffusers_model(f.folder, f.null_class), f.out);
}

int import_ddim(const DdimRequest& f) {
  check_new(f.out);
  return write(model::ddim_model(f.file, {f.size, f.raw}), f.out);
}

int import_adm(const AdmRequest& f) {
  check_new(f.out);
  return write(model::adm_model(f.file, {f.flags, f.code, f.null_class}), f.out);
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  using namespace ito::apps;
  catch_interrupts();
  CLI::App app{"Turns what others trained into checkpoints. Nothing in their files is executed."};
  app.require_subcommand(1);
  CLI::App* diffusers =
      app.add_subcommand("diffusers", "a folder of a diffusers pipeline with a UNet2DModel");
  CLI::App* ddim = app.add_subcommand("ddim", "a file of ermongroup/ddim or pesser/pytorch_diffusion");
  CLI::App* adm = app.add_subcommand(
      "adm", "a file of improved-diffusion, guided-diffusion, DDPM-IP or consistency_models");
  Flags of_diffusers(*diffusers), of_ddim(*ddim), of_adm(*adm);
  of_diffusers.add(DiffusersRequest{}), of_ddim.add(DdimRequest{}), of_adm.add(AdmRequest{});
  return run_program(app, argc, argv, [&] {
    if (*diffusers) return import_diffusers(of_diffusers.read<DiffusersRequest>());
    if (*ddim) return import_ddim(of_ddim.read<DdimRequest>());
    return import_adm(of_adm.read<AdmRequest>());
  });
}
