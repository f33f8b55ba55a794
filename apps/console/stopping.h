#pragma once

#include <string>

#include "kernels/base/error.h"

/// Being stopped: by Ctrl-C, by kill, by a terminal that closes, by a batch system (SIGUSR1).
namespace ito::apps {

/// The exit code of a program that a signal stopped, after it has saved what was done; the same command goes on. It is
/// EX_TEMPFAIL of sysexits.h, and not 0: a script must not take the work for finished.
inline constexpr int kStoppedCode = 75;
/// For --help.
inline constexpr const char* kExitCodes =
    "Ends with 0 when all is done, 1 after an error, 75 when Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP stopped it "
    "and "
    "what was done is kept.";

/// Thrown to stop a program in an orderly way; run_program then returns kStoppedCode.
class Stopped : public Error {
 public:
  using Error::Error;
};

/// From here on the first Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP is acknowledged at once on standard error and raises a
/// flag, so that work can be saved; a second Ctrl-C or SIGTERM, a moment later, ends at once with 130. A signal that is
/// ignored already (nohup; SIGINT of what a script has put into the background) stays so. Writing to a pipe whose
/// reader has left (SIGPIPE) ends nothing. `meanwhile`: what is done until then.
void catch_interrupts(const char* meanwhile = "saving what is done");
/// Signals are no longer acknowledged as they come: the program calls acknowledge_stop.
void acknowledge_later();
/// Writes the acknowledgement, once, if a signal came at least so long ago.
void acknowledge_stop(int milliseconds_ago);
bool interrupted();
/// Throws Stopped if a signal asked to stop; `outcome` says what became of the work.
void stop_if_interrupted(const std::string& outcome);

}  // namespace ito::apps
