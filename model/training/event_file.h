#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/io/append_file.h"

namespace ito::model {

/// What TensorBoard reads: an event file, of TFRecords that hold Event messages of protocol buffers
/// (tensorflow/core/util/event.proto). A folder has one file for each session, read in the order of their names; a
/// session that goes on from a step records that (SessionLog START), and readers drop what older files have from
/// there on. The same calls give the same bytes, apart from the clock's.
class EventFile {
 public:
  using Clock = std::function<double()>;                        // seconds since 1970
  using Scalars = std::vector<std::pair<const char*, double>>;  // tag, value; stored as f32

  /// Begins the folder's next file, whose events will be of steps after `step`. Error (here and below):
  /// cannot write; what could not be written is left out, and the file remains valid.
  EventFile(const std::filesystem::path& folder, int64_t step, Clock clock);

  void scalars(int64_t step, const Scalars& scalars);
  /// An RGB image as PNG. Error: not a PNG.
  void image(int64_t step, const char* tag, std::string_view png);

 private:
  std::string record(int64_t step, int field, std::string_view message) const;
  void append(const std::string& record);

  Clock clock_;
  std::string beginning_;  // written before the first record
  io::AppendFile file_;
};

/// Appends `value` in groups of 7 bits, lowest first; the top bit of a byte says that more follow.
void append_varint(std::string& bytes, uint64_t value);
/// CRC of iSCSI (RFC 3720, appendix B.4): reflected, polynomial 0x1EDC6F41.
uint32_t crc32c(std::string_view bytes);

}  // namespace ito::model
