#include "apps/inputs/pictures.h"

#include <algorithm>
#include <iostream>

#include "apps/console/live_line.h"
#include "apps/console/number_text.h"
#include "apps/console/stopping.h"
#include "kernels/base/clock.h"
#include "kernels/base/commands.h"
#include "kernels/base/error.h"

namespace ito::apps {

namespace {

std::string count(size_t n) { return thousands(int64_t(n)); }

std::string forecast_text(const data::DecodeForecast& f) {
  return cat("decoding   ", count(f.pictures), f.done ? " more" : "", " pictures, about ",
             duration(f.seconds), ", ", bytes(double(f.bytes)),
             f.done ? cat(" in all; ", count(f.done), " are there already") : "");
}

}  // namespace

data::Dataset open_pictures(const std::string& folder, data::DatasetOptions options) {
  LiveLine line;
  double start = 0;
  size_t already = 0;
  options.starting = [&](const data::DecodeForecast& f) {
    std::cout << forecast_text(f) << std::endl;
    start = now(), already = f.done;
  };
  options.progress = [&](size_t done, size_t total) {
    stop_if_interrupted("the same command goes on with the decoding");
    if (done == already) return;
    const double left = (now() - start) / double(done - already) * double(total - done);
    line.show(cat("decoding   ", count(done), " of ", count(total), "   ", duration(left), " left"));
  };
  options.warn = [](const std::string& text) { std::cout << "note       " << text << std::endl; };
  bool waiting = false;
  options.waiting = [&] {
    stop_if_interrupted("another process decodes these pictures");
    if (!waiting) std::cout << "waiting    for another process that decodes these pictures" << std::endl;
    waiting = true;
  };
  data::Dataset images = data::open_dataset(folder, options);
  line.end();
  for (const std::string& note : images.notes()) std::cout << "note       " << note << "\n";
  const auto& skipped = images.skipped();
  const auto first = std::find_if(skipped.begin(), skipped.end(), data::is_unusable);
  if (first != skipped.end())
    std::cout << "note       " << data::unusable(skipped)
              << " picture(s) cannot be used and are left out, the first is " << first->name << ": "
              << first->reason << "; " << commands::kInspect << " data lists them\n";
  return images;
}

}  // namespace ito::apps
