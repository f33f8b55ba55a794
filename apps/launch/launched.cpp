#include "apps/launch/launched.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "apps/console/stopping.h"
#include "engine/agreement.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/clock.h"
#include "kernels/base/file.h"
#include "kernels/base/warning.h"

namespace ito::apps {

namespace {

constexpr int kAcknowledgeAfter = 200;  // milliseconds: a launcher's signal may be about another rank's end

/// Cores of this process, shared out evenly among the ranks of this machine that may use the same ones.
int share_of_cores(engine::Ranks& ranks) {
  cpu_set_t own;
  CPU_ZERO(&own);
  if (sched_getaffinity(0, sizeof own, &own) != 0) return 1;
  const std::vector<cpu_set_t> all = engine::gather_values(ranks, own);
  const std::vector<engine::Peer>& peers = ranks.peers();
  int sharing = 0;
  for (size_t r = 0; r < all.size(); ++r)
    sharing += peers[r].host == peers[size_t(ranks.rank())].host && CPU_EQUAL(&all[r], &own);
  return std::max(1, CPU_COUNT(&own) / std::max(1, sharing));
}

void silence_output() {
  const File nowhere = File::try_open("/dev/null", File::Mode::update);
  if (nowhere.is_open()) dup2(nowhere.descriptor(), STDOUT_FILENO);
}

}  // namespace

Launched::Launched(const engine::Place& place, std::string program)
    : place_(place), program_(std::move(program)) {
  if (place.size == 1) return;
  joined_ = engine::Ranks::join(place);
  cores_ = share_of_cores(*joined_);
}

int Launched::threads(int asked) const { return asked > 0 ? asked : cores_; }

int Launched::gpu() const {
  const int there = joined_ ? kernels::gpu_count() : 0;
  return there > 1 ? place_.local_rank % there : 0;
}

engine::DeviceOptions Launched::device(int threads, engine::Backend backend, kernels::Provider conv) const {
  return {this->threads(threads), backend, conv, {}, gpu(), joined_.get()};
}

void Launched::together(const std::function<void()>& work) const {
  std::string stopped;
  try {
    engine::together(ranks(), [&] {
      try {
        work();
      } catch (const Stopped& stop) {
        stopped = stop.what();
        throw engine::Interrupted{};
      }
    });
  } catch (const engine::Interrupted&) {
    for (const std::string& text : engine::gather_texts(ranks(), stopped))
      if (!text.empty()) throw Stopped(text, "");
    throw;
  }
}

void Launched::by_first(const std::function<void()>& work) const {
  together([&] {
    if (writes()) work();
  });
}

void Launched::one_by_machine(const std::function<void()>& work) const {
  for (const bool first : {true, false})
    together([&] {
      if ((place_.local_rank == 0) == first) work();
    });
}

void Launched::check_shared(const std::filesystem::path& folder) const {
  if (size() == 1) return;
  const std::filesystem::path file = folder / ".seen-by-all-ranks";
  const std::string text = engine::broadcast_text(ranks(), cat(getpid(), " at ", now()));
  by_first([&] { io::write_file_atomic(file, text); });
  const auto remove = [&] {
    std::error_code ignored;
    if (writes()) std::filesystem::remove(file, ignored);
  };
  try {
    together([&] {
      if (!std::filesystem::exists(file) || io::read_file(file) != text)
        fail_advising(cat(folder.string(), " is not the folder that rank 0 sees: its disk is not shared"),
                      {"{out} on a disk that all machines share"});
    });
  } catch (const std::exception&) {
    remove();
    throw;
  }
  remove();
}

void Launched::watch(double stuck_after, std::function<std::string()> where) {
  if (!joined_) return;
  acknowledge_later();
  const auto tick = [writes = writes()] {
    if (writes) acknowledge_stop(kAcknowledgeAfter);
  };
  watch_ = std::make_unique<engine::PeerWatch>(
      *joined_, engine::PeerWatch::Actions{program_, kStoppedCode, std::move(where), tick});
  joined_->report_waits(stuck_after, [program = program_](const std::string& text) {
    std::cerr << program << ": " << text << std::endl;
  });
}

void Launched::leave() {
  if (joined_) joined_->leave([this] { watch_.reset(); });
}

void Launched::failed(const std::string& line) {
  if (!joined_) {
    std::cerr << line << std::endl;
    return;
  }
  watch_.reset();
  std::cout.flush();
  const bool begins = line.starts_with(program_ + ": ");
  const std::string own = cat(program_, ": ", engine::text_of(rank(), joined_->peers()), ": ",
                              begins ? line.substr(program_.size() + 2) : line);
  const bool all_failed = joined_->fail_together(line, [&](const std::vector<std::string>& lines) {
    const auto first = std::find(lines.begin(), lines.end(), lines[size_t(rank())]);
    if (first - lines.begin() < rank()) return;  // it has printed the same, or nothing
    // An error of rank 0 and no other is one of the work that it does for all (by_first).
    const bool is_shared = std::all_of(lines.begin(), lines.end(), [&](const std::string& other) {
      return other.empty() || other == lines.front();
    });
    if (!line.empty()) std::cerr << (is_shared && rank() == 0 ? line : own) << std::endl;
  });
  if (all_failed) return;
  if (!line.empty()) std::cerr << own << std::endl;
  _exit(1);
}

std::string ranks_text(const kernels::Wire& ranks) {
  return ranks.size() == 1 ? "" : cat(", each of ", ranks.size(), " ranks");
}

int run_launched(CLI::App& app, int argc, char** argv, const std::function<int(Launched&)>& body) {
  const std::string program = argc > 0 ? argv[0] : "";
  engine::Place place;
  std::string warning, problem;
  try {
    place = engine::place_of(engine::environment(), program, warning);
  } catch (const Error& error) {
    problem = error.what();
  }
  if (place.rank > 0) silence_output(), acknowledge_later();
  std::unique_ptr<Launched> launched;
  bool has_begun = false;  // to join the others
  const auto join = [&] {
    has_begun = true;
    launched = std::make_unique<Launched>(place, app.get_name());
  };
  set_error_filter([&](const std::string& line) -> std::optional<std::string> {
    try {
      if (!has_begun && problem.empty())
        join();                        // so that what is wrong with the flags of all is printed once
    } catch (const std::exception&) {  // the first error is the one to be printed
    }
    if (!launched) return place.rank == 0 ? std::optional(line) : std::nullopt;
    launched->failed(line);
    return {};
  });
  return run_program(app, argc, argv, [&] {
    if (!problem.empty()) fail(problem);
    if (place.rank > 0) set_warning_sink([](const std::string&) {});
    if (!warning.empty()) warn(warning);
    join();
    try {
      const int code = body(*launched);
      std::cout.flush();  // a launcher may end all when the first of them ends
      launched->leave();
      return code;
    } catch (const engine::FailedElsewhere& elsewhere) {
      launched->failed("");
      return interrupted() ? kStoppedCode : 1;
    }
  });
}

}  // namespace ito::apps
