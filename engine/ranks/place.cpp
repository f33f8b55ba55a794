#include "engine/ranks/place.h"

#include <unistd.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "kernels/base/error.h"

namespace ito::engine {

namespace {

using Variables = std::map<std::string, std::string>;

/// Step numbers from here on are SLURM's own: of the batch script, of an interactive shell.
constexpr uint32_t kSlurmsOwnSteps = 0xfffffff0;

const std::string* find(const Variables& variables, const char* name) {
  const auto found = variables.find(name);
  return found == variables.end() || found->second.empty() ? nullptr : &found->second;
}

template <class T>
T number_of(const char* name, const std::string& text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail(cat("the launcher's variable ", name, "=", text, " is not a number"));
  return value;
}

int number_or(const Variables& variables, const char* name, int otherwise) {
  const std::string* const text = find(variables, name);
  return text ? number_of<int>(name, *text) : otherwise;
}

Place checked(const Place& place, const char* launcher) {
  const auto in = [](int i, int n) { return n >= 1 && i >= 0 && i < n; };
  if (!in(place.rank, place.size) || !in(place.local_rank, place.local_size) || place.local_size > place.size)
    fail(cat(launcher, "'s variables contradict each other: rank ", place.rank, " of ", place.size,
             ", on this machine ", place.local_rank, " of ", place.local_size));
  return place;
}

std::optional<Place> place_by_mpirun(const Variables& v) {
  const std::string *const rank = find(v, "OMPI_COMM_WORLD_RANK"), *const size =
                                                                       find(v, "OMPI_COMM_WORLD_SIZE");
  if (!rank && !size) return {};
  if (!rank || !size)
    fail("of mpirun's variables OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE only one is set");
  Place place{number_of<int>("OMPI_COMM_WORLD_RANK", *rank), number_of<int>("OMPI_COMM_WORLD_SIZE", *size)};
  place.local_rank = number_or(v, "OMPI_COMM_WORLD_LOCAL_RANK", place.rank);
  place.local_size = number_or(v, "OMPI_COMM_WORLD_LOCAL_SIZE", place.size);
  return checked(place, "mpirun");
}

/// Tasks of this node, of "2(x3),1": what SLURM_STEP_TASKS_PER_NODE has for node number `node`.
int tasks_of_node(const std::string& list, int node) {
  const char *at = list.data(), *const end = at + list.size();
  const auto skip = [&](const std::string& part) {
    const bool there = std::string_view(at, end).starts_with(part);
    if (there) at += part.size();
    return there;
  };
  const auto number = [&](int& value) {
    const auto [behind, error] = std::from_chars(at, end, value);
    at = behind;
    return error == std::errc() && value > 0;
  };
  int64_t nodes = 0;
  do {
    int tasks = 0, times = 1;
    if (!number(tasks) || (skip("(x") && !(number(times) && skip(")"))) || (at != end && *at != ','))
      fail(cat("the launcher's variable SLURM_STEP_TASKS_PER_NODE=", list,
               " is not a list of tasks, such as 2(x3),1"));
    nodes += times;
    if (node < nodes) return tasks;
  } while (skip(","));
  fail(cat("SLURM_STEP_TASKS_PER_NODE=", list, " has no node ", node));
}

std::optional<Place> place_by_srun(const Variables& v) {
  const std::string *const step = find(v, "SLURM_STEP_ID"), *const size = find(v, "SLURM_STEP_NUM_TASKS"),
                           *const rank = find(v, "SLURM_PROCID");
  if (!step || !size || !rank || number_of<uint32_t>("SLURM_STEP_ID", *step) >= kSlurmsOwnSteps) return {};
  Place place{number_of<int>("SLURM_PROCID", *rank), number_of<int>("SLURM_STEP_NUM_TASKS", *size)};
  place.local_rank = number_or(v, "SLURM_LOCALID", place.rank);
  const std::string* const tasks = find(v, "SLURM_STEP_TASKS_PER_NODE");
  place.local_size = tasks ? tasks_of_node(*tasks, number_or(v, "SLURM_NODEID", 0)) : place.local_rank + 1;
  return checked(place, "srun");
}

}  // namespace

Place place_of(const Variables& v, const std::string& program, std::string& warning) {
  if (const auto place = place_by_mpirun(v)) return *place;
  if (const auto place = place_by_srun(v)) return *place;
  const int of_torchrun =
      find(v, "LOCAL_RANK") || find(v, "TORCHELASTIC_RUN_ID") ? number_or(v, "WORLD_SIZE", 1) : 1;
  if (of_torchrun > 1)
    fail(cat("torchrun started this as one of ", of_torchrun,
             " processes, which are PyTorch's; start them by mpirun -n ", of_torchrun, " ", program));
  if (const int others = number_or(v, "PMI_SIZE", 1); others > 1)
    fail(cat("MPICH's or Intel MPI's launcher started this as one of ", others,
             " processes, and this program uses Open MPI; start them by Open MPI's mpirun -n ", others, " ",
             program));
  if (const int tasks = number_or(v, "SLURM_NTASKS", 1); tasks > 1)
    warning = cat("SLURM has reserved ", tasks,
                  " tasks, of which this uses one; for all: SLURM_MPI_TYPE=pmix srun ", program);
  return {};
}

Variables environment() {
  Variables variables;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

}  // namespace ito::engine
