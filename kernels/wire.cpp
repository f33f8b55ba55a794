#include "kernels/wire.h"

#include <cstring>
#include <thread>

namespace ito::kernels {

namespace {

class NoWire : public Wire {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_to_all(const void* from, void* to, size_t bytes) override { std::memmove(to, from, bytes); }
  void all_gather(const void* from, void* to, size_t bytes) override { std::memmove(to, from, bytes); }
  void broadcast(void*, size_t) override {}
};

}  // namespace

void Wire::wait_for(const std::function<bool()>& done) {
  while (!done()) std::this_thread::yield();
}

Wire& no_wire() {
  static NoWire wire;
  return wire;
}

}  // namespace ito::kernels
