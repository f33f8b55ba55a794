#pragma once

#include <map>
#include <string>

namespace ito::engine {

/// Which of the processes that a launcher started this one is.
struct Place {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  // on this machine
};

/// The place that a launcher's variables give: of Open MPI's mpirun (OMPI_COMM_WORLD_*), or of a step of SLURM's srun;
/// without them the process is alone. `warning` is set in a batch script of several tasks, where srun was probably
/// forgotten. Error, with the right command for `program`: another launcher (torchrun, MPICH's mpiexec); variables that
/// contradict each other.
Place place_of(const std::map<std::string, std::string>& variables, const std::string& program,
               std::string& warning);

/// This process's environment.
std::map<std::string, std::string> environment();

}  // namespace ito::engine
