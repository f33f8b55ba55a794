#include <sys/resource.h>

#include <algorithm>
#include <vector>

#include "engine/io/atomic_file.h"
#include "fuzz_target.h"

/// Without libFuzzer: gives a target each file of the folder named, in the memory that fuzzing allows. Under
/// AddressSanitizer, which reserves terabytes, memory is not limited.
int main(int count, char** arguments) {
  namespace fs = std::filesystem;
  if (count != 2) return std::fputs("usage: fuzz_TARGET CORPUS_FOLDER\n", stderr), 2;
#ifndef __SANITIZE_ADDRESS__
  const rlimit limit{512 << 20, 512 << 20};
  setrlimit(RLIMIT_DATA, &limit);
#endif
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(arguments[1])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    std::printf("%s\n", path.filename().c_str());
    std::fflush(stdout);  // the last line names the input that ends the program
    const std::string bytes = ito::io::read_file(path);
    const std::vector<uint8_t> exact(bytes.begin(), bytes.end());  // a byte too far is outside of it
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
  }
  std::printf("%zu inputs\n", files.size());
  return files.empty();
}
