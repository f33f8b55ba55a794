#pragma once

/// How users call the programs, for advice: as files of the repository, or as what a package installs.
namespace ito::commands {

#ifdef ITO_PACKAGE
inline constexpr const char *kTrain = "ito-train", *kSample = "ito-sample", *kInspect = "ito-inspect",
                            *kMakeFaces = "ito-make-faces", *kHowToTrain = "ito-train FOLDER";
#else
inline constexpr const char
    *kTrain = "./train_celeba",
    *kSample = "./sample", *kInspect = "./inspect", *kMakeFaces = "./make_faces",
    *kHowToTrain =
        "./train_celeba data/celeba   (or scripts/demo, which draws faces and learns them in minutes)";
#endif

}  // namespace ito::commands
