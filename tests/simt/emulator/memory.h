#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace simt {

/// A NaN as f32 and as bf16, by bytes: another one for each number, so that one guard's is not taken for another's.
class GuardPattern {
 public:
  explicit GuardPattern(uint64_t number) : low_(static_cast<unsigned char>(0x81 + number % 0x7f)) {}
  /// What is at this address.
  unsigned char at(const unsigned char* p) const { return reinterpret_cast<uintptr_t>(p) % 2 ? 0xff : low_; }
  void fill(unsigned char* first, const unsigned char* last) const {
    for (; first < last; ++first) *first = at(first);
  }

 private:
  unsigned char low_;
};

/// The memory of the emulated device: one range of addresses, which the host cannot touch except where it
/// says so. An allocation starts as NaN (all ones) and lies between guards, NaNs that are not another one's.
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
  /// Kernels may read and write this part of an allocation alone.
  void show_only(void* allocation, const void* first, size_t bytes);
  /// Whether all of it is of one allocation, and a kernel may read and write it.
  bool is_shown(const void*, size_t bytes) const;
  /// Throws a Violation that names the kernel where a guard was written.
  void check_guards(const std::string& kernel);

  void set_limit(size_t bytes) { limit_ = bytes; }
  size_t limit() const { return limit_; }
  size_t used() const { return used_; }
  bool is_open() const { return open_ > 0; }

 private:
  friend class DeviceAccess;
  struct Block {
    size_t bytes;
    GuardPattern guard;
    const unsigned char *shown, *shown_end;
  };
  void protect(bool open);
  const Block* find(const unsigned char*, size_t bytes) const;

  unsigned char* const base_;
  size_t limit_, used_ = 0, high_ = 0;    // high_: bytes of the range that have been in use
  int open_ = 0;                          // accesses under way
  uint64_t allocated_ = 0;                // so far
  std::map<unsigned char*, Block> live_;  // by their start
  struct Found {
    unsigned char* data = nullptr;
    const Block* block = nullptr;
  };
  mutable std::array<Found, 8> found_;  // what was looked up last
  mutable unsigned next_found_ = 0;
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
