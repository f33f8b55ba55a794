#include "tests/simt/emulator/shared.h"

#include "kernels/base/error.h"

namespace simt {

using ito::cat;

void report_outside(int element, int count, const SourceLocation& taken) {
  machine().report(cat("shared memory out of bounds: element ", element, " of the ", count, " taken here"),
                   taken);
}

void* SharedMemory::take_bytes(size_t bytes, const SourceLocation& place) {
  unsigned char* const piece = machine().shared() + used_;
  used_ += (bytes + 15) / 16 * 16;
  if (used_ > machine().shared_bytes())
    machine().report(cat("shared memory out of bounds: ", used_, " bytes taken of the ",
                         machine().shared_bytes(), " of the launch"),
                     place);
  machine().note_array(piece, bytes);
  return piece;
}

}  // namespace simt
