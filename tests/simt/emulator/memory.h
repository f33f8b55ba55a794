#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace simt {

/// The memory of the emulated device: one range of addresses, which the host cannot touch except where it
/// says so. An allocation starts as NaN (all ones) and lies between guards.
class DeviceMemory {
 public:
  static constexpr size_t kDefaultLimit = size_t(4) << 30;

  DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /// Aligned to 256 bytes; null: there is no room.
  void* allocate(size_t bytes);
  /// False: not the start of an allocation.
  bool release(void*);
  void release_all();
  /// Whether the address is the device's, allocated or not.
  bool owns(const void*) const;
  /// Whether all of it lies in one allocation.
  bool contains(const void*, size_t bytes) const;
  /// Throws a Violation that names the kernel where a guard was written.
  void check_guards(const std::string& kernel);

  void set_limit(size_t bytes) { limit_ = bytes; }
  size_t limit() const { return limit_; }
  size_t used() const { return used_; }
  bool is_open() const { return open_ > 0; }

 private:
  friend class DeviceAccess;
  void protect(bool open);

  unsigned char* const base_;
  size_t limit_, used_ = 0, high_ = 0;     // high_: bytes of the range that have been in use
  int open_ = 0;                           // accesses under way
  std::map<unsigned char*, size_t> live_;  // start and bytes
  mutable unsigned char* last_ = nullptr;  // the allocation that was looked up last
  mutable size_t last_bytes_ = 0;
};

DeviceMemory& device_memory();

/// While one lives, this process may touch device memory: kernels and copies run.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

/// Ends the process with a message where anyone touches device memory, or a thread's stack overflows.
void install_fault_handler();

}  // namespace simt
