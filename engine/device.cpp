#include "engine/device.h"

namespace ito::engine {

Device::Device(const DeviceOptions& options) : stream_(options.threads) {}

}  // namespace ito::engine
