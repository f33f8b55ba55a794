#include <dlfcn.h>

#include <cstdlib>
#include <sstream>

#include "kernels/base/error.h"
#include "kernels/base/warning.h"
#include "kernels/cuda_library/dynamic_library.h"

namespace ito::kernels::cuda_library {

DynamicLibrary::DynamicLibrary(const char* name, const std::vector<std::string>& files, const char* instead)
    : name_(name), instead_(instead) {
  const char* const folders = std::getenv("ITO_CUDA_LIBRARIES");
  std::istringstream list(folders ? folders : "");
  // The library is never closed: what it has registered with the driver would outlive its code.
  for (std::string folder; std::getline(list, folder, ':');)
    for (const std::string& file : files)
      if (!handle_ && !folder.empty())
        handle_ = dlopen(cat(folder, "/", file).c_str(), RTLD_NOW | RTLD_LOCAL);
  for (const std::string& file : files)
    if (!handle_) handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle_) warn_missing(cat("no ", files.front(), " found"));
}

void* DynamicLibrary::address(const char* symbol) {
  if (!handle_) return nullptr;
  void* const found = dlsym(handle_, symbol);
  if (!found) {
    warn_missing(cat("the one found has no ", symbol));
    handle_ = nullptr;
  }
  return found;
}

void DynamicLibrary::warn_missing(const std::string& why) const {
  warn(cat(name_, ": ", why, "; ", instead_, ". ITO_CUDA_LIBRARIES may name the folder that holds it."));
}

bool compiled_without(const char* header, const char* name, const char* instead) {
  warn(cat(name, ": this program was compiled without ", header, "; ", instead, "."));
  return false;
}

}  // namespace ito::kernels::cuda_library
