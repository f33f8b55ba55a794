#pragma once

#include <doctest/doctest.h>

#include "tests/helpers.h"
#include "tests/program.h"

namespace ito::tests {

/// Checks that one of our programs refuses, run in this folder: exit code 1, and one line on standard error, which has
/// `part`.
inline void check_refused(const std::filesystem::path& folder, const std::string& command,
                          const std::string& part) {
  CAPTURE(command);
  const Ended o = run_program(folder, command);
  CAPTURE(o.err);
  CHECK(o.code == 1);
  CHECK(contains(o.err, part));
  CHECK(o.err.find('\n') == o.err.size() - 1);
}

}  // namespace ito::tests
