#pragma once

#include <string>
#include <vector>

namespace ito::kernels::cuda_library {

/// A library that is opened when it is first needed, so that the program starts without it.
class DynamicLibrary {
 public:
  /// The first of `files` that can be opened: in the folders that ITO_CUDA_LIBRARIES names (one, or several with ':'
  /// between them), then where the system looks. Where all are missing, warn() gets `name`, what was missing, and
  /// `instead`.
  DynamicLibrary(const char* name, const std::vector<std::string>& files, const char* instead);
  DynamicLibrary(const DynamicLibrary&) = delete;
  DynamicLibrary& operator=(const DynamicLibrary&) = delete;

  explicit operator bool() const { return handle_ != nullptr; }

  /// The function of that name, as a pointer of F. Where the library lacks it, it counts as missing.
  template <class F>
  void find(F*& function, const char* symbol) {
    function = reinterpret_cast<F*>(address(symbol));
  }

 private:
  void* address(const char* symbol);
  void warn_missing(const std::string& why) const;

  const char *name_, *instead_;
  void* handle_ = nullptr;
};

/// A function of a library, looked up when this is made, and called as the function is.
template <class F>
class LibraryFunction {
 public:
  LibraryFunction(DynamicLibrary& library, const char* symbol) { library.find(function_, symbol); }
  operator F*() const { return function_; }

 private:
  F* function_ = nullptr;
};

/// For a program that was compiled without the library's header: warns of it. Returns false.
bool compiled_without(const char* header, const char* name, const char* instead);

}  // namespace ito::kernels::cuda_library
