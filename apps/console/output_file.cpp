#include "apps/console/output_file.h"

#include <filesystem>

#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"

namespace ito::apps {

void check_output(const std::string& flag, const std::string& file) {
  namespace fs = std::filesystem;
  if (file.empty()) return;
  std::error_code none;
  const fs::path folder = fs::absolute(file, none).parent_path();
  if (!fs::is_directory(folder, none))
    fail(cat(flag, " ", file, ": there is no folder ", folder.string(), "; make it or name another"));
  if (fs::exists(file, none) && !fs::is_regular_file(file, none))
    fail(cat(flag, " ", file, ": not a regular file; name another"));
  try {
    const io::AtomicFile trial(file);  // its destructor removes it
  } catch (const Error& error) {
    fail(cat(flag, " ", error.what(), "; name another place"));
  }
}

}  // namespace ito::apps
