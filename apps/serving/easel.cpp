#include "apps/serving/easel.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace ito::apps {

void Easel::add(const std::string& client, const std::string& slot, std::shared_ptr<Painting> painting) {
  std::shared_ptr<Painting> older;
  {
    const std::lock_guard lock(mutex_);
    auto found =
        std::find_if(clients_.begin(), clients_.end(), [&](const Client& c) { return c.name == client; });
    // A new one comes before the client whose turn it is, which has been put last.
    const auto last = painted_ && !clients_.empty() ? std::prev(clients_.end()) : clients_.end();
    if (found == clients_.end()) found = clients_.insert(last, {client, {}});
    std::list<Place>& places = found->places;
    const auto same = std::find_if(places.begin(), places.end(),
                                   [&](const Place& p) { return !slot.empty() && p.slot == slot; });
    if (same == places.end()) {
      places.push_back({slot, std::move(painting)});
    } else {  // it keeps the older one's turn
      older = std::exchange(same->painting, std::move(painting));
      older->cancel();
    }
  }
  changed_.notify_all();
  if (older) older->replaced();
}

void Easel::wake() {
  { const std::lock_guard lock(mutex_); }  // not between another thread's look and its wait
  changed_.notify_all();
}

void Easel::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    if (painted_) painted_->cancel();
  }
  changed_.notify_all();
}

size_t Easel::waiting() const {
  const std::lock_guard lock(mutex_);
  size_t count = 0;
  for (const Client& client : clients_) count += client.places.size();
  return count;
}

/// Whose turn it is, put behind all others; null where none may go on. Cancelled ones are dropped.
std::shared_ptr<Painting> Easel::next() {
  for (Client& client : clients_)
    client.places.remove_if([](const Place& p) { return p.painting->is_cancelled(); });
  clients_.remove_if([](const Client& c) { return c.places.empty(); });
  for (auto client = clients_.begin(); client != clients_.end(); ++client) {
    std::list<Place>& places = client->places;
    const auto place =
        std::find_if(places.begin(), places.end(), [](const Place& p) { return p.painting->may_go_on(); });
    if (place == places.end()) continue;
    std::shared_ptr<Painting> chosen = place->painting;
    places.splice(places.end(), places, place);
    clients_.splice(clients_.end(), clients_, client);
    return chosen;
  }
  return nullptr;
}

void Easel::remove(const Painting* done) {
  for (Client& client : clients_)
    client.places.remove_if([&](const Place& p) { return p.painting.get() == done; });
}

void Easel::run() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    painted_ = next();
    if (!painted_) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    const bool more = painted_->paint();
    lock.lock();
    if (!more) remove(painted_.get());
    painted_.reset();
  }
}

}  // namespace ito::apps
