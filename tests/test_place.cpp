#include <doctest/doctest.h>

#include "engine/ranks/place.h"
#include "tests/helpers.h"

/// What a launcher's variables say about a process: a table of environments, the places and the refusals.
namespace ito::engine {
namespace {

using namespace tests;
using Variables = std::map<std::string, std::string>;

std::string warning_in(const Variables& variables) {
  std::string warning;
  place_of(variables, "./train", warning);
  return warning;
}

/// "rank 3 of 8, on its machine 1 of 2", or the error.
std::string place_in(const Variables& variables) {
  Place p;
  std::string warning;
  const std::string error = error_of([&] { p = place_of(variables, "./train", warning); });
  if (!error.empty()) return error;
  return cat("rank ", p.rank, " of ", p.size, ", on its machine ", p.local_rank, " of ", p.local_size);
}

const std::string kAlone = "rank 0 of 1, on its machine 0 of 1";

Variables with(Variables variables, const Variables& others) {
  for (const auto& [name, value] : others) variables[name] = value;
  return variables;
}
Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

const Variables kMpirun{{"OMPI_COMM_WORLD_RANK", "5"},
                        {"OMPI_COMM_WORLD_SIZE", "8"},
                        {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                        {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};
const Variables kStep{{"SLURM_JOB_ID", "77"},       {"SLURM_NTASKS", "7"},
                      {"SLURM_STEP_ID", "0"},       {"SLURM_STEP_NUM_TASKS", "7"},
                      {"SLURM_PROCID", "3"},        {"SLURM_LOCALID", "1"},
                      {"SLURM_NODEID", "1"},        {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"},
                      {"SLURM_TASKS_PER_NODE", "9"}};

TEST_CASE("a process alone") {
  CHECK(place_in({}) == kAlone);
  CHECK(place_in({{"PATH", "/bin"}, {"RANK", "3"}, {"WORLD_SIZE", "8"}}) == kAlone);
  CHECK(place_in({{"OMPI_COMM_WORLD_RANK", ""}, {"SLURM_STEP_ID", ""}}) == kAlone);
  CHECK(warning_in({{"SLURM_NTASKS", "1"}, {"SLURM_PROCID", "0"}}).empty());
}

TEST_CASE("mpirun of Open MPI, versions 4 and 5") {
  CHECK(place_in(kMpirun) == "rank 5 of 8, on its machine 1 of 4");
  CHECK(place_in(with(kMpirun, {{"PMIX_RANK", "5"}, {"PRTE_LAUNCHED", "1"}})) ==
        "rank 5 of 8, on its machine 1 of 4");
  CHECK(place_in(without(without(kMpirun, "OMPI_COMM_WORLD_LOCAL_RANK"), "OMPI_COMM_WORLD_LOCAL_SIZE")) ==
        "rank 5 of 8, on its machine 5 of 8");
  CHECK(place_in({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}}) == kAlone);
  // In a job of SLURM mpirun's own variables count, and a launcher of others' has no say.
  CHECK(place_in(with(kStep, kMpirun)) == "rank 5 of 8, on its machine 1 of 4");
  CHECK(place_in(with(kMpirun, {{"LOCAL_RANK", "0"}, {"WORLD_SIZE", "2"}})) ==
        "rank 5 of 8, on its machine 1 of 4");
  CHECK(warning_in(with(kMpirun, {{"SLURM_NTASKS", "8"}})).empty());
}

TEST_CASE("variables of mpirun that contradict each other, or are no numbers") {
  const std::string contradict = "mpirun's variables contradict each other: ";
  CHECK(place_in(with(kMpirun, {{"OMPI_COMM_WORLD_RANK", "8"}})) ==
        contradict + "rank 8 of 8, on this machine 1 of 4");
  CHECK(place_in(with(kMpirun, {{"OMPI_COMM_WORLD_RANK", "-1"}})) ==
        contradict + "rank -1 of 8, on this machine 1 of 4");
  CHECK(place_in(with(kMpirun, {{"OMPI_COMM_WORLD_SIZE", "0"}})) ==
        contradict + "rank 5 of 0, on this machine 1 of 4");
  CHECK(place_in(with(kMpirun, {{"OMPI_COMM_WORLD_LOCAL_RANK", "4"}})) ==
        contradict + "rank 5 of 8, on this machine 4 of 4");
  CHECK(place_in(with(kMpirun, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "9"}})) ==
        contradict + "rank 5 of 8, on this machine 1 of 9");
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"})
    CHECK(place_in(without(kMpirun, name)) ==
          "of mpirun's variables OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE only one is set");
  for (const char* value : {"x", "1x", " 1", "1.5", "99999999999", "+1", "0x1"})
    CHECK(place_in(with(kMpirun, {{"OMPI_COMM_WORLD_RANK", value}})) ==
          cat("the launcher's variable OMPI_COMM_WORLD_RANK=", value, " is not a number"));
}

TEST_CASE("a step of srun: its tasks on each machine") {
  CHECK(place_in(kStep) == "rank 3 of 7, on its machine 1 of 2");
  CHECK(place_in(with(kStep, {{"SLURM_PROCID", "6"}, {"SLURM_LOCALID", "0"}, {"SLURM_NODEID", "3"}})) ==
        "rank 6 of 7, on its machine 0 of 1");
  CHECK(place_in(with(kStep, {{"SLURM_STEP_TASKS_PER_NODE", "1,4(x2)"}})) ==
        "rank 3 of 7, on its machine 1 of 4");
  CHECK(place_in(with(kStep, {{"SLURM_STEP_TASKS_PER_NODE", "7"}, {"SLURM_NODEID", "0"}})) ==
        "rank 3 of 7, on its machine 1 of 7");
  CHECK(place_in(without(kStep, "SLURM_STEP_TASKS_PER_NODE")) == "rank 3 of 7, on its machine 1 of 2");
  CHECK(place_in({{"SLURM_STEP_ID", "4"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}}) == kAlone);
  CHECK(warning_in(kStep).empty());
}

TEST_CASE("a step of srun whose variables make no sense") {
  CHECK(place_in(with(kStep, {{"SLURM_PROCID", "7"}})) ==
        "srun's variables contradict each other: rank 7 of 7, on this machine 1 of 2");
  CHECK(place_in(with(kStep, {{"SLURM_LOCALID", "2"}})) ==
        "srun's variables contradict each other: rank 3 of 7, on this machine 2 of 2");
  CHECK(place_in(with(kStep, {{"SLURM_NODEID", "4"}})) == "SLURM_STEP_TASKS_PER_NODE=2(x3),1 has no node 4");
  CHECK(place_in(with(kStep, {{"SLURM_STEP_ID", "batch"}})) ==
        "the launcher's variable SLURM_STEP_ID=batch is not a number");
  for (const char* list : {"2(x3)1", "2(x", "2(x)", "2(x3", "2(y3)", "(x3)", ",2", "-2(x3)", "2(x-3)"}) {
    CAPTURE(list);
    CHECK(place_in(with(kStep, {{"SLURM_STEP_TASKS_PER_NODE", list}})) ==
          cat("the launcher's variable SLURM_STEP_TASKS_PER_NODE=", list,
              " is not a list of tasks, such as 2(x3),1"));
  }
}

TEST_CASE("a batch script, an interactive shell and an allocation of several tasks: alone, with a warning") {
  const std::string warning =
      "SLURM has reserved 7 tasks, of which this uses one; for all: SLURM_MPI_TYPE=pmix srun ./train";
  // The steps that SLURM numbers itself: batch script, external, interactive.
  for (const char* step : {"4294967291", "4294967292", "4294967290"}) {
    const Variables variables = with(kStep, {{"SLURM_STEP_ID", step}, {"SLURM_PROCID", "0"}});
    CHECK(place_in(variables) == kAlone);
    CHECK(warning_in(variables) == warning);
  }
  CHECK(place_in(without(kStep, "SLURM_STEP_ID")) == kAlone);
  CHECK(warning_in(without(kStep, "SLURM_STEP_ID")) == warning);
  CHECK(warning_in({{"SLURM_NTASKS", "7"}, {"SLURM_JOB_ID", "77"}}) == warning);
}

TEST_CASE("launchers of others are refused, with the right command") {
  const std::string torchrun =
      "torchrun started this as one of 2 processes, which are PyTorch's; start them by mpirun -n 2 ./train";
  CHECK(place_in({{"RANK", "1"}, {"LOCAL_RANK", "1"}, {"WORLD_SIZE", "2"}}) == torchrun);
  CHECK(place_in({{"TORCHELASTIC_RUN_ID", "none"}, {"WORLD_SIZE", "2"}}) == torchrun);
  CHECK(place_in({{"LOCAL_RANK", "0"}, {"WORLD_SIZE", "1"}}) == kAlone);
  CHECK(place_in({{"LOCAL_RANK", "0"}, {"WORLD_SIZE", "two"}}) ==
        "the launcher's variable WORLD_SIZE=two is not a number");
  CHECK(place_in({{"PMI_RANK", "1"}, {"PMI_SIZE", "4"}}) ==
        "MPICH's or Intel MPI's launcher started this as one of 4 processes, and this program uses Open MPI; "
        "start them by Open MPI's mpirun -n 4 ./train");
  CHECK(place_in({{"PMI_RANK", "0"}, {"PMI_SIZE", "1"}}) == kAlone);
}

TEST_CASE("the environment is read as it is") {
  setenv("ITO_TEST_OF_PLACES", "a=b", 1);
  CHECK(environment().at("ITO_TEST_OF_PLACES") == "a=b");
  unsetenv("ITO_TEST_OF_PLACES");
}

}  // namespace
}  // namespace ito::engine
