#include "engine/mailbox.h"

#include <cstring>

namespace ito::engine {

#if defined(HAVE_CUDA)

/// Page-locked memory of one step's letters, and the mark behind its answer.
struct Mailbox::Slot {
  Slot(kernels::CudaStream& stream, size_t letter_bytes, size_t answer_bytes)
      : stream(stream),
        letter(static_cast<std::byte*>(stream.allocate_host(letter_bytes + answer_bytes))),
        answer(letter + letter_bytes) {}
  ~Slot() { stream.release_host(letter); }

  static std::unique_ptr<Slot> make(Device& device, size_t letter_bytes, size_t answer_bytes) {
    if (device.backend() == Backend::cpu) return nullptr;
    return std::make_unique<Slot>(*device.cuda_stream(), letter_bytes, answer_bytes);
  }
  void mark() { done.record(stream); }
  void wait() { done.wait(); }

  kernels::CudaStream& stream;
  kernels::CudaEvent done;  // first: where it cannot be made, nothing else is there yet
  std::byte *letter, *answer;
};

#else

struct Mailbox::Slot {  // there are none
  static std::unique_ptr<Slot> make(Device&, size_t, size_t) { return nullptr; }
  void mark() {}
  void wait() {}
  std::byte *letter = nullptr, *answer = nullptr;
};

#endif

Mailbox::Mailbox(Device& device, size_t letter_bytes, size_t answer_bytes)
    : device_(device),
      letter_bytes_(letter_bytes),
      answer_bytes_(answer_bytes),
      device_letter_(Storage::persistent(device, letter_bytes)) {
  for (auto& slot : slots_) slot = Slot::make(device, letter_bytes, answer_bytes);
  if (!slots_[0]) cpu_answer_ = std::make_unique<std::byte[]>(answer_bytes);
}

// The device may still be reading.
Mailbox::~Mailbox() {
  try {
    device_.synchronize();
  } catch (...) {  // reported before: destructors never throw
  }
}

int Mailbox::delay() const { return cpu_answer_ ? 0 : int(slots_.size()); }

std::byte* Mailbox::open() {
  if (cpu_answer_) return device_letter_->data();
  Slot& slot = *slots_[steps_ % slots_.size()];
  slot.wait();
  return slot.letter;
}

void Mailbox::send() {
  if (!cpu_answer_)
    device_.copy(device_letter_->data(), slots_[steps_ % slots_.size()]->letter, letter_bytes_);
}

void Mailbox::reply(const void* on_device) {
  if (cpu_answer_) {
    std::memcpy(cpu_answer_.get(), on_device, answer_bytes_);
  } else {
    Slot& slot = *slots_[steps_ % slots_.size()];
    device_.copy(slot.answer, on_device, answer_bytes_);
    slot.mark();
  }
  ++steps_;
}

const std::byte* Mailbox::answer(int64_t ago) const {
  return cpu_answer_ ? cpu_answer_.get() : slots_[(steps_ - size_t(ago)) % slots_.size()]->answer;
}

}  // namespace ito::engine
