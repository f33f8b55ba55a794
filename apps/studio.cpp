#include "apps/studio/studio.h"

#include <iostream>
#include <thread>

#include "apps/console/number_text.h"
#include "apps/console/program.h"
#include "apps/console/stopping.h"
#include "apps/serving/server.h"

namespace ito::apps {
namespace {

struct StudioRequest {
  std::string run = {}, checkpoint = {};
  std::string host = "127.0.0.1";
  int port = 8080;
  DeviceRequest device = {};
};

template <FieldsOf<StudioRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.run, Field("run", "a training run's folder; its newest checkpoint is used")
                   .otherwise("the newest run below runs/; without any the model that comes with Ito"));
  visit(o.checkpoint, Field("checkpoint", "one checkpoint's folder"));
  visit(o.host,
        Field("host", "the address to answer at; another than a loopback one lets other machines ask"));
  visit(o.port, Field("port", "of the address; 0: any that is free, which is printed", from(0).to(65535)));
  fields(o.device, visit);
}

bool is_loopback(const std::string& host) {
  const bool digits = host.find_first_not_of("0123456789.") == std::string::npos;
  return host == "localhost" || host == "::1" || (digits && host.rfind("127.", 0) == 0);
}

std::string url_of(const std::string& host, int port) {
  const bool six = host.find(':') != std::string::npos;
  return cat("http://", six ? "[" : "", host, six ? "]" : "", ":", port, "/");
}

void describe(const StudioRequest& f, Painter& painter, int port) {
  const model::TrainingOptions& o = painter.loaded().options;
  std::cout << "model      " << painter.checkpoint().string() << " (" << o.preset << ", " << o.network.width
            << "x" << o.network.height << ", step " << thousands(painter.loaded().step) << ")\n"
            << "device     " << where(painter.device()) << "\n"
            << "page       " << url_of(f.host, port) << "\n";
  if (!is_loopback(f.host))
    std::cout << "note       other machines may reach this address: there is no password, and each of their "
                 "users can draw here\n";
  std::cout << "Ctrl-C ends it" << std::endl;
}

int studio(const StudioRequest& f) {
  if (!f.checkpoint.empty() && !f.run.empty())
    fail("--run and --checkpoint exclude each other; give one of them");
  Server server(f.host, f.port);  // before the model is loaded: a port that is taken is known at once
  Painter painter(f.device, find_checkpoint(f.checkpoint, f.run));
  Easel easel;
  Studio answers(painter, easel, f.host);
  describe(f, painter, server.port());
  std::exception_ptr problem;
  // The engine is this thread's, which has loaded the model.
  std::thread serving([&] {
    try {
      server.run([&](const std::shared_ptr<Exchange>& exchange) { answers.handle(exchange); }, interrupted);
    } catch (...) {
      problem = std::current_exception();
    }
    easel.stop();
  });
  easel.run();
  serving.join();
  if (problem) std::rethrow_exception(problem);
  std::cout << "ended" << std::endl;
  return 0;
}

}  // namespace
}  // namespace ito::apps

int main(int argc, char** argv) {
  ito::apps::catch_interrupts("closing what is open");
  return ito::apps::run_program<ito::apps::StudioRequest>(
      "Serves a page on which a trained model's faces answer to sliders, and pictures for programs.", argc,
      argv, ito::apps::studio);
}
