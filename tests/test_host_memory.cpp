#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "kernels/base/process_memory.h"
#include "tests/helpers.h"

/// What a process may still use, from the files that Linux has about it.
namespace ito::kernels {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMiB = size_t(1) << 20;

/// A machine of 1000 MiB free, whose process is in the group that `cgroup` says.
struct FakeMachine {
  tests::TempFolder root;
  explicit FakeMachine(const std::string& cgroup) {
    put("proc/meminfo", "MemTotal: 9999999 kB\nMemFree: 1 kB\nMemAvailable: 1024000 kB\n");
    put("proc/self/cgroup", cgroup);
  }
  void put(const std::string& name, const std::string& text) const {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text;
  }
  size_t available() const { return available_memory_bytes(root.path().string()); }
};

std::string mebibytes(size_t n) { return std::to_string(n * kMiB) + "\n"; }

TEST_CASE("available is what Linux says it is, or what a group of processes has left, whichever is less") {
  const FakeMachine m("0::/job/step\n");
  CHECK(m.available() == 1000 * kMiB);
  m.put("sys/fs/cgroup/job/step/memory.max", "max\n");
  m.put("sys/fs/cgroup/job/step/memory.current", mebibytes(400));
  CHECK(m.available() == 1000 * kMiB);
  m.put("sys/fs/cgroup/job/memory.max", mebibytes(500));
  m.put("sys/fs/cgroup/job/memory.current", mebibytes(450));
  CHECK(m.available() == 50 * kMiB);
  // Cached pages of files are given back when they are needed.
  m.put("sys/fs/cgroup/job/memory.stat",
        "anon 1\ninactive_file " + mebibytes(30) + "active_file " + mebibytes(20));
  CHECK(m.available() == 100 * kMiB);
  m.put("sys/fs/cgroup/memory.max", mebibytes(100));
  m.put("sys/fs/cgroup/memory.current", mebibytes(120));
  CHECK(m.available() == 0);
}

TEST_CASE("a container sees its own group at the mount's root; the first version of groups has other files") {
  const FakeMachine container("0::/docker/0123\n");
  container.put("sys/fs/cgroup/memory.max", mebibytes(300));
  container.put("sys/fs/cgroup/memory.current", mebibytes(100));
  CHECK(container.available() == 200 * kMiB);
  const FakeMachine old("5:cpu:/a\n4:memory:/a\n");
  old.put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", mebibytes(300));
  old.put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", mebibytes(200));
  old.put("sys/fs/cgroup/memory/a/memory.stat", "inactive_file 7\ntotal_inactive_file " + mebibytes(50));
  CHECK(old.available() == 150 * kMiB);
}

TEST_CASE("here, something is available, and no more than there is") {
  CHECK(available_memory_bytes() > 0);
  CHECK(available_memory_bytes() <= physical_memory_bytes());
  CHECK(available_memory_bytes("/nowhere") == physical_memory_bytes());
}

}  // namespace
}  // namespace ito::kernels
