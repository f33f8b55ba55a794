#include "tests/simt/emulator/memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/base/error.h"
#include "tests/simt/emulator/machine.h"

namespace simt {

using ito::cat;

namespace {

constexpr size_t kReserved = size_t(64) << 30;  // of addresses
constexpr size_t kPage = 4096;
constexpr size_t kGuardBytes = 256;      // on either side of an allocation, before more than behind
constexpr unsigned char kUnused = 0xff;  // NaN, for code that reads it

size_t rounded(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

/// Bytes of the range that an allocation takes, guards included.
size_t footprint(size_t bytes) { return rounded(bytes, kGuardBytes) + 2 * kGuardBytes; }

unsigned char* reserve() {
  void* const range = mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) ito::fail("the emulated device finds no range of addresses for its memory");
  return static_cast<unsigned char*>(range);
}

/// The first byte that is not the guard's; null: all are.
const unsigned char* broken(const GuardPattern& guard, const unsigned char* first,
                            const unsigned char* last) {
  for (; first < last; ++first)
    if (*first != guard.at(first)) return first;
  return nullptr;
}

}  // namespace

DeviceMemory::DeviceMemory() : base_(reserve()), limit_(kDefaultLimit) {}

DeviceMemory& device_memory() {
  static DeviceMemory one;
  return one;
}

void* DeviceMemory::allocate(size_t bytes) {
  const size_t need = footprint(bytes);
  if (bytes > limit_ || used_ + rounded(bytes, kGuardBytes) > limit_) return nullptr;
  unsigned char* start = base_;  // the first gap that is wide enough
  for (const auto& [data, block] : live_) {
    if (size_t(data - kGuardBytes - start) >= need) break;
    start = data - kGuardBytes + footprint(block.bytes);
  }
  if (size_t(start - base_) + need > kReserved) return nullptr;
  const DeviceAccess access;
  high_ = std::max(high_, rounded(size_t(start - base_) + need, kPage));
  protect(true);
  unsigned char* const data = start + kGuardBytes;
  const GuardPattern guard(allocated_++);
  guard.fill(start, data);
  std::memset(data, kUnused, bytes);
  guard.fill(data + bytes, start + need);
  used_ += rounded(bytes, kGuardBytes);
  live_.insert({data, {bytes, guard, data, data + bytes}});
  return data;
}

bool DeviceMemory::release(void* memory) {
  const auto found = live_.find(static_cast<unsigned char*>(memory));
  if (found == live_.end()) return false;
  const DeviceAccess access;
  std::memset(found->first, kUnused, found->second.bytes);
  used_ -= rounded(found->second.bytes, kGuardBytes);
  live_.erase(found);
  found_ = {};
  return true;
}

void DeviceMemory::release_all() {
  while (!live_.empty()) release(live_.begin()->first);
}

bool DeviceMemory::owns(const void* p) const {
  const auto* const at = static_cast<const unsigned char*>(p);
  return at >= base_ && at < base_ + kReserved;
}

/// The allocation that has all of it, or null.
const DeviceMemory::Block* DeviceMemory::find(const unsigned char* at, size_t bytes) const {
  for (const Found& one : found_)
    if (one.block && at >= one.data && at + bytes <= one.data + one.block->bytes) return one.block;
  auto found = live_.upper_bound(const_cast<unsigned char*>(at));
  if (found == live_.begin()) return nullptr;
  --found;
  if (at + bytes > found->first + found->second.bytes) return nullptr;
  found_[next_found_++ % found_.size()] = {found->first, &found->second};
  return &found->second;
}

bool DeviceMemory::contains(const void* p, size_t bytes) const {
  return find(static_cast<const unsigned char*>(p), bytes) != nullptr;
}

void DeviceMemory::show_only(void* allocation, const void* first, size_t bytes) {
  Block& block = live_.at(static_cast<unsigned char*>(allocation));
  block.shown = static_cast<const unsigned char*>(first), block.shown_end = block.shown + bytes;
}

bool DeviceMemory::is_shown(const void* p, size_t bytes) const {
  const auto* const at = static_cast<const unsigned char*>(p);
  const Block* const block = find(at, bytes);
  return block && at >= block->shown && at + bytes <= block->shown_end;
}

void DeviceMemory::check_guards(const std::string& kernel) {
  for (const auto& [data, block] : live_) {
    unsigned char *const start = data - kGuardBytes, *const end = data + block.bytes;
    unsigned char* const guard_end = start + footprint(block.bytes);
    const unsigned char* const before = broken(block.guard, start, data);
    const unsigned char* const past = broken(block.guard, end, guard_end);
    if (!before && !past) continue;
    block.guard.fill(start, data), block.guard.fill(end, guard_end);  // reported once
    throw Violation(cat(kernel, ": wrote ", before ? data - before : past - end,
                        before ? " bytes before" : " bytes past", " an allocation of ", block.bytes));
  }
}

void DeviceMemory::protect(bool open) {
  if (high_ > 0) mprotect(base_, high_, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

DeviceAccess::DeviceAccess() {
  if (device_memory().open_++ == 0) device_memory().protect(true);
}
DeviceAccess::~DeviceAccess() {
  if (--device_memory().open_ == 0) device_memory().protect(false);
}

namespace {

/// Only what may be called in a signal handler; formatting a fixed buffer by snprintf does in practice.
void on_fault(int signal_number, siginfo_t* info, void*) {
  char text[256];
  const char* const kernel = machine().kernel().c_str();
  const bool device = device_memory().owns(info->si_addr);
  const char* const what = *kernel ? (device ? "touched device memory that was never allocated"
                                             : "touched memory that is not the device's")
                                   : (device ? "host code touched device memory" : "invalid access");
  const int length =
      snprintf(text, sizeof text, "%s%s%s, at %p\n", kernel, *kernel ? ": " : "", what, info->si_addr);
  if (write(2, text, size_t(length)) < 0) _exit(128 + signal_number);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

}  // namespace

void install_fault_handler() {
  static unsigned char own_stack[64 * 1024];  // the one in use may be what overflowed
  stack_t stack{};
  stack.ss_sp = own_stack;
  stack.ss_size = sizeof own_stack;
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace simt
