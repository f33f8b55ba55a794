#pragma once

#include <cstddef>
#include <string>

namespace ito {

/// Bytes of physical memory of this machine.
size_t physical_memory_bytes();
/// Bytes that a process here may still use without swapping: what Linux calls available, less where a control
/// group (a container, a batch job) allows less. `root` is put before /proc and /sys.
size_t available_memory_bytes(const std::string& root = "");

/// Bytes of this process that are in memory now, and the most that have been so far.
size_t resident_bytes();
size_t peak_resident_bytes();

}  // namespace ito
