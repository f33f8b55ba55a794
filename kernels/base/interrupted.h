#pragma once

namespace ito {

/// Thrown out of work that the user interrupts; not a std::exception, which is a failure.
struct Interrupted {};

}  // namespace ito
