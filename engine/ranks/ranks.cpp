#include "engine/ranks/ranks.h"

#include "kernels/base/error.h"

namespace ito::engine {

std::string text_of(int rank, const std::vector<Peer>& peers) {
  const Peer& peer = peers[size_t(rank)];
  return cat("rank ", rank, " of ", peers.size(), " (", peer.host, ", process ", peer.process, ")");
}

}  // namespace ito::engine
