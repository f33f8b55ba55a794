#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "engine/device.h"

namespace ito::engine {

/// What the host tells a step before it runs and what it hears afterwards, without waiting for the device: a
/// letter to each step and a letter back, in page-locked memory, for two steps at a time. On the CPU both
/// parties read and write the same memory.
///
///   std::byte* letter = mailbox.open();   // waits for the step before the last at most
///   ... write *letter; mailbox.send(); step(); mailbox.reply(result_on_device);
class Mailbox {
 public:
  Mailbox(Device&, size_t letter_bytes, size_t answer_bytes);
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// How many steps ago a step must have been launched for its answer to be here after open(); on the CPU 0,
  /// where it is here after reply().
  int delay() const;
  /// The letter to the next step, to be filled in.
  std::byte* open();
  /// Puts the letter at device_letter(), for the step that is launched next.
  void send();
  /// Takes answer_bytes from the device's memory as the answer of the step launched last.
  void reply(const void* on_device);
  /// The answer of the step that replied `ago` replies ago, 1 being the last; kept for max(1, delay()) of
  /// them, until send().
  const std::byte* answer(int64_t ago) const;

  /// Where the step reads its letter; at a fixed address.
  const std::shared_ptr<Storage>& device_letter() const { return device_letter_; }

 private:
  struct Slot;
  Device& device_;
  size_t letter_bytes_, answer_bytes_;
  std::shared_ptr<Storage> device_letter_;
  std::array<std::unique_ptr<Slot>, 2> slots_;  // empty on the CPU
  std::unique_ptr<std::byte[]> cpu_answer_;
  size_t steps_ = 0;
};

}  // namespace ito::engine
