#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "apps/console/program.h"
#include "engine/device.h"
#include "engine/ranks/peer_watch.h"
#include "engine/ranks/ranks.h"

/// Programs that a launcher (mpirun, srun) may start several times, for one work that the processes ("ranks") share.
namespace ito::apps {

/// This process as one of them; alone, where no launcher started it, it costs nothing.
class Launched {
 public:
  /// Joins the others.
  Launched(const engine::Place& place, std::string program);

  kernels::Wire& ranks() const { return joined_ ? *joined_ : kernels::no_wire(); }
  int rank() const { return ranks().rank(); }
  int size() const { return ranks().size(); }
  /// Whether this one writes what the run writes.
  bool writes() const { return rank() == 0; }

  /// A device of this rank's own: its share of the processor's cores, or the GPU of its number on this machine.
  engine::DeviceOptions device(int threads, engine::Backend backend, kernels::Provider conv) const;
  /// Threads that were asked for; 0: this rank's share of the cores.
  int threads(int asked) const;
  int gpu() const;

  /// engine::together, of work that may also throw Stopped, which all ranks then do.
  void together(const std::function<void()>& work) const;
  /// Work of rank 0 alone, while the others wait. Its error ends all of them.
  void by_first(const std::function<void()>& work) const;
  /// Work that the first rank of a machine does alone, before the others: what it leaves on the disk serves them. An
  /// error of one is an error of all.
  void one_by_machine(const std::function<void()>& work) const;
  /// Error: a folder that rank 0 sees is not there for another rank, or is another one of that name.
  void check_shared(const std::filesystem::path& folder) const;

  /// From here on the end of another rank ends this one, with a line that `where` completes ("at step 5; ..."; it is
  /// called by another thread), and a wait of so many seconds is reported.
  void watch(double stuck_after, std::function<std::string()> where);

  /// The orderly end, when all ranks have done their work.
  void leave();
  /// Prints the line of an error, which ends the program, unless another rank prints it; "": there is none of this
  /// rank. A rank that fails alone does not return.
  void failed(const std::string& line);

 private:
  engine::Place place_;
  std::string program_;
  std::unique_ptr<engine::Ranks> joined_;
  int cores_ = 0;  // this rank's share
  std::unique_ptr<engine::PeerWatch> watch_;
};

/// "", or ", each of 3 ranks": after what one of them is.
std::string ranks_text(const kernels::Wire&);

/// run_program for them. What is printed on standard output is rank 0's; an error that all ranks have is printed once,
/// one of a single rank with its number.
int run_launched(CLI::App& app, int argc, char** argv, const std::function<int(Launched&)>& body);

/// main() of such a program whose flags are the fields of Request.
template <class Request, class Body>
int run_launched(const char* purpose, int argc, char** argv, const Body& body, const char* footer = "") {
  CLI::App app{purpose};
  app.footer(footer);
  Flags flags(app);
  flags.add(Request{});
  return run_launched(app, argc, argv,
                      [&](Launched& launched) { return body(flags.read<Request>(), launched); });
}

}  // namespace ito::apps
