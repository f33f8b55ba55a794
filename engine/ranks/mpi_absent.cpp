#include "engine/ranks/ranks.h"
#include "kernels/base/error.h"

/// In place of mpi_ranks.cpp where there is no MPI.
namespace ito::engine {

std::unique_ptr<Ranks> Ranks::join(const Place& place) {
  fail(cat("this is one of ", place.size,
           " processes of a launcher, and was built without MPI: install libopenmpi-dev and openmpi-bin, and "
           "build it "
           "again"));
}

}  // namespace ito::engine
