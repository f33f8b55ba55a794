#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <set>

#include "engine/agreement.h"
#include "engine/ranks/ranks.h"
#include "kernels/base/clock.h"
#include "kernels/base/error.h"

namespace ito::engine {

namespace {

constexpr double kBusyWait = 2e-3;  // seconds in which a wait does not sleep: what is almost there
constexpr double kToAnswer = 1;     // seconds
constexpr double kToFailTogether = 1;
constexpr size_t kErrorText = 2048;

void check_mpi(int code, const char* doing) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail(cat("MPI could not ", doing, ": ", std::string(text, size_t(length))));
}

void nap() {
  const timespec time{0, 50'000};
  nanosleep(&time, nullptr);
}

/// The type and the number of them that are so many bytes: counts of MPI are ints.
struct Extent {
  MPI_Datatype type = MPI_BYTE;
  int count = 0;
};

class MpiRanks final : public Ranks {
 public:
  explicit MpiRanks(const Place& place);
  ~MpiRanks() override = default;  // leave() has finalized; a process that fails must not, since that waits

  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }
  const Place& place() const override { return place_; }
  const std::vector<Peer>& peers() const override { return peers_; }
  void all_to_all(const void* from, void* to, size_t bytes) override;
  void all_gather(const void* from, void* to, size_t bytes) override;
  void broadcast(void* data, size_t bytes) override;
  void wait_for(const std::function<bool()>& done) override;
  void report_waits(double seconds, std::function<void(const std::string&)> report) override {
    stuck_after_ = seconds, report_ = std::move(report);
  }
  bool fail_together(const std::string& error,
                     const std::function<void(const std::vector<std::string>&)>& report) override;
  void leave(const std::function<void()>& all_here) override;

 private:
  /// A question between ranks, and its answer: how many calls the asked rank has begun.
  struct Question {
    int64_t number = 0, calls = 0;
  };
  static constexpr int kAsk = 1, kAnswer = 2;  // tags

  Extent extent_of(size_t bytes) const;
  void wait(MPI_Request request);
  void answer_questions();
  void report_missing(const std::function<bool()>& done);
  std::set<int> ask_for_missing(const std::function<bool()>& done);

  Place place_;
  std::vector<Peer> peers_;
  MPI_Comm data_ = MPI_COMM_NULL, questions_ = MPI_COMM_NULL, failures_ = MPI_COMM_NULL;
  MPI_Datatype block_ = MPI_DATATYPE_NULL;
  int64_t calls_ = 0;  // of this rank that wait for others
  int64_t questions_asked_ = 0;
  double stuck_after_ = 0;  // 0: nothing is reported
  std::function<void(const std::string&)> report_;
};

constexpr int kBlock = 64;  // bytes

MpiRanks::MpiRanks(const Place& place) : place_(place) {
  int given = 0, size = 0, rank = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &given), "start");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (size != place.size || rank != place.rank)
    fail(cat(
        "the launcher started this as rank ", place.rank, " of ", place.size, ", and MPI finds rank ", rank,
        " of ", size,
        ": is the launcher of another MPI than the program's Open MPI (srun needs SLURM_MPI_TYPE=pmix)?"));
  for (MPI_Comm* const communicator : {&data_, &questions_, &failures_})
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, communicator), "make a communicator");
  MPI_Type_contiguous(kBlock, MPI_BYTE, &block_);
  MPI_Type_commit(&block_);
  struct Facts {
    char host[256] = {}, space[64] = {};
    int process = getpid();
  } own;
  gethostname(own.host, sizeof own.host - 1);
  std::error_code ignored;
  const std::string space = std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
  std::strncpy(own.space, space.c_str(), sizeof own.space - 1);
  for (const Facts& facts : gather_values(*this, own))
    peers_.push_back({facts.host, facts.process, facts.space});
}

Extent MpiRanks::extent_of(size_t bytes) const {
  const bool blocks = bytes % kBlock == 0;
  const size_t count = blocks ? bytes / kBlock : bytes;
  if (count > INT_MAX) fail(cat(bytes, " bytes are too many for a call of MPI"));
  return {blocks ? block_ : MPI_BYTE, int(count)};
}

void MpiRanks::all_to_all(const void* from, void* to, size_t bytes) {
  const Extent e = extent_of(bytes);
  MPI_Request request;
  check_mpi(MPI_Ialltoall(from, e.count, e.type, to, e.count, e.type, data_, &request), "send shards");
  wait(request);
}

void MpiRanks::all_gather(const void* from, void* to, size_t bytes) {
  const Extent e = extent_of(bytes);
  const bool in_place = from == static_cast<const char*>(to) + size_t(rank()) * bytes;
  MPI_Request request;
  check_mpi(
      MPI_Iallgather(in_place ? MPI_IN_PLACE : from, e.count, e.type, to, e.count, e.type, data_, &request),
      "gather");
  wait(request);
}

void MpiRanks::broadcast(void* data, size_t bytes) {
  const Extent e = extent_of(bytes);
  MPI_Request request;
  check_mpi(MPI_Ibcast(data, e.count, e.type, 0, data_, &request), "broadcast");
  wait(request);
}

void MpiRanks::wait(MPI_Request request) {
  ++calls_;
  wait_for([&] {
    int done = 0;
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "exchange bytes with the other ranks");
    return done != 0;
  });
}

void MpiRanks::wait_for(const std::function<bool()>& done) {
  const double began = now();
  double next_report = began + stuck_after_;
  while (!done()) {
    const double time = now();
    if (time - began < kBusyWait) continue;
    answer_questions();
    if (stuck_after_ > 0 && time >= next_report) {
      report_missing(done);
      next_report = now() + stuck_after_;
    }
    nap();
  }
}

void MpiRanks::answer_questions() {
  for (;;) {
    int there = 0;
    MPI_Status status;
    check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kAsk, questions_, &there, &status), "look for questions");
    if (!there) return;
    Question question;
    MPI_Recv(&question, sizeof question, MPI_BYTE, status.MPI_SOURCE, kAsk, questions_, MPI_STATUS_IGNORE);
    question.calls = calls_;
    MPI_Send(&question, sizeof question, MPI_BYTE, status.MPI_SOURCE, kAnswer, questions_);
  }
}

/// The ranks that have not come to this call; empty where a lower rank waits in it, which will report the same.
std::set<int> MpiRanks::ask_for_missing(const std::function<bool()>& done) {
  const Question question{++questions_asked_, calls_};
  std::set<int> missing;
  for (int r = 0; r < size(); ++r) {
    if (r == rank()) continue;
    missing.insert(r);
    MPI_Send(&question, sizeof question, MPI_BYTE, r, kAsk, questions_);  // so short that it does not wait
  }
  bool lower_waits = false;
  for (const double end = now() + kToAnswer; now() < end && !done(); nap()) {
    answer_questions();
    int there = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, kAnswer, questions_, &there, &status);
    if (!there) continue;
    Question answer;
    MPI_Recv(&answer, sizeof answer, MPI_BYTE, status.MPI_SOURCE, kAnswer, questions_, MPI_STATUS_IGNORE);
    if (answer.number != question.number || answer.calls < calls_) continue;
    missing.erase(status.MPI_SOURCE);
    lower_waits |= status.MPI_SOURCE < rank();
  }
  return lower_waits || done() ? std::set<int>{} : missing;
}

void MpiRanks::report_missing(const std::function<bool()>& done) {
  const std::set<int> missing = ask_for_missing(done);
  std::string names;
  for (const int r : missing) names += (names.empty() ? "" : ", ") + text_of(r, peers_);
  if (missing.empty()) return;
  report_(cat(
      "waiting ", stuck_after_, " s for ", names,
      missing.size() == 1 ? ", which has not delivered its part" : ", which have not delivered their parts",
      "; waiting on"));
}

bool MpiRanks::fail_together(const std::string& error,
                             const std::function<void(const std::vector<std::string>&)>& report) {
  std::string own = error.substr(0, kErrorText), all(kErrorText * size_t(size()), '\0');
  own.resize(kErrorText);
  MPI_Request request;
  if (MPI_Iallgather(own.data(), int(kErrorText), MPI_BYTE, all.data(), int(kErrorText), MPI_BYTE, failures_,
                     &request) != MPI_SUCCESS)
    return false;
  int done = 0;
  for (const double end = now() + kToFailTogether; !done && now() < end; nap())
    if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
  if (!done) return false;
  std::vector<std::string> errors;
  for (int r = 0; r < size(); ++r) errors.emplace_back(all.c_str() + kErrorText * size_t(r));
  report(errors);
  MPI_Finalize();  // which waits for all
  return true;
}

void MpiRanks::leave(const std::function<void()>& all_here) {
  barrier(*this);
  all_here();
  barrier(*this);
  MPI_Finalize();
}

}  // namespace

std::unique_ptr<Ranks> Ranks::join(const Place& place) { return std::make_unique<MpiRanks>(place); }

}  // namespace ito::engine
