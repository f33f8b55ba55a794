#pragma once

#include <string>

#include "kernels/base/error.h"

namespace ito::tests {

/// The sentence with which f() fails; empty where it does not.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace ito::tests
