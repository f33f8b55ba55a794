#include "kernels/base/process_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>

namespace ito {

namespace {

/// The number behind `name` in a file of lines "name number ..."; with an empty name the file's first word.
/// Nothing where it is missing or no number ("max").
std::optional<size_t> number_in(const std::string& file, const std::string& name) {
  std::ifstream stream(file);
  std::string word;
  if (!name.empty())
    while (stream >> word && word != name) {
    }
  size_t number = 0;
  if (stream >> number) return number;
  return {};
}

/// What a control group may still use. The kernel counts its files' cached pages, too, and gives them back
/// first.
std::optional<size_t> room_in(const std::string& folder, const char* limit_file, const char* usage_file,
                              const char* prefix) {
  const auto limit = number_in(folder + "/" + limit_file, ""),
             used = number_in(folder + "/" + usage_file, "");
  if (!limit || !used) return {};
  size_t cached = 0;
  for (const char* kind : {"inactive_file", "active_file"})
    cached += number_in(folder + "/memory.stat", std::string(prefix) + kind).value_or(0);
  const size_t needed = *used - std::min(*used, cached);
  return *limit - std::min(*limit, needed);
}

}  // namespace

size_t physical_memory_bytes() { return size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE)); }

size_t available_memory_bytes(const std::string& root) {
  const auto kibibytes = number_in(root + "/proc/meminfo", "MemAvailable:");
  size_t available = kibibytes ? *kibibytes * 1024 : physical_memory_bytes();
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "0::/a/b", or "4:memory:/a/b" of the first version
    const size_t second = line.find(':', line.find(':') + 1);
    if (second == std::string::npos) continue;
    const bool unified = line.rfind("0::", 0) == 0;
    if (!unified && line.find("memory") > second) continue;
    const std::string mount = root + (unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory");
    // A container sees its own group as the mount's root, whatever the path says.
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      const auto room =
          unified ? room_in(mount + path, "memory.max", "memory.current", "")
                  : room_in(mount + path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_");
      if (room) available = std::min(available, *room);
      if (path.find('/') == std::string::npos) break;
    }
  }
  return available;
}

size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * size_t(sysconf(_SC_PAGESIZE));
}

size_t peak_resident_bytes() {
  // rusage also counts what this process was before exec, a copy of its parent.
  if (const auto kibibytes = number_in("/proc/self/status", "VmHWM:")) return *kibibytes * 1024;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return size_t(usage.ru_maxrss) * 1024;
}

}  // namespace ito
