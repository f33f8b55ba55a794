#include <doctest/doctest.h>

#include "apps/studio/face_query.h"
#include "apps/studio/painter.h"
#include "helpers.h"

/// What ./studio understands of a query, and the command that it gives back.
namespace ito::apps {
namespace {

using namespace tests;

FaceQuery grid(const std::string& query) { return parse_face_query(query, false); }
std::string refusal(const std::string& query, bool one = false) {
  return error_of([&] { parse_face_query(query, one); });
}

TEST_CASE("a query is options of ./sample, and what is wanted of its pictures") {
  const FaceQuery q = grid(
      "seed=5&count=3&sampler=dpm++2m&steps=4&attr=Smiling%3D1&attr=-Male&guidance=2.5&client=a-1&slot=grid&"
      "states=7");
  CHECK(q.request.seeds == "5-7");
  CHECK(q.request.sampler.sampler == model::SamplerKind::dpmpp_2m);
  CHECK(q.request.sampler.steps == 4);
  CHECK(q.request.guidance.attributes == "Smiling=1,-Male");
  CHECK(q.request.guidance.guidance == 2.5);
  CHECK(q.client == "a-1");
  CHECK(q.slot == "grid");
  CHECK(q.states == 7);
  CHECK(q.pictures == 3);
  CHECK(grid("").request.seeds == "0");
  CHECK(grid("sampler=dpm%2B%2B2m").request.sampler.sampler == model::SamplerKind::dpmpp_2m);
  CHECK(grid("seed=18446744073709551615").request.seeds == "18446744073709551615");
  CHECK(grid("fast=1").request.sampler.fast);
  CHECK_FALSE(grid("fast=0").request.sampler.fast);
}

TEST_CASE("pictures near a face and between two") {
  const FaceQuery near = grid("variations=5&spread=0.2&count=4");
  CHECK(near.request.variations == 5);
  CHECK(near.request.spread == 0.2);
  CHECK(near.request.count == 4);
  CHECK(near.request.seeds.empty());
  CHECK(near.pictures == 4);
  const FaceQuery one = parse_face_query("interpolate=3,9&count=4&number=2", true);
  CHECK(one.request.interpolate == "3,9");
  CHECK(one.first == 2);
  CHECK(one.pictures == 1);
  CHECK(contains(refusal("variations=5&seed=3"), "seed excludes variations"));
  CHECK(contains(refusal("interpolate=3,9&count=4&number=4", true),
                 "number must be a whole number from 0 to 3"));
  CHECK(contains(refusal("number=2", true), "number is for variations"));
  CHECK(contains(refusal("variations=5&number=2"), "number is for /image.png"));
  CHECK(contains(refusal("states=2", true), "states are for /grid"));
}

TEST_CASE("whatever else a query has is refused with a sentence") {
  const std::pair<const char*, const char*> wrong[] = {
      {"sede=5", "unknown parameter \"sede\"; did you mean \"seed\"?"},
      {"seed=5&seed=6", "has seed twice"},
      {"seed", "has no ="},
      {"seed=", "seed has no value; leave it out"},
      {"seed=-1", "seed must be a whole number"},
      {"seed=18446744073709551616", "seed must be a whole number"},
      {"seed=18446744073709551615&count=2", "there are no 2 seeds"},
      {"count=65", "count must be a whole number from 1 to 64"},
      {"steps=0", "steps must be a whole number from 1 to 1000"},
      {"steps=1001", "steps must be a whole number from 1 to 1000"},
      {"steps=1e2", "steps must be a whole number"},
      {"sampler=huen", "did you mean \"heun\"?"},
      {"chunk=65", "chunk must be a whole number from 1 to 64"},
      {"guidance=nan", "guidance must be a number"},
      {"states=65", "states must be a whole number from 0 to 64"},
      {"spread=1.1", "spread must be a number"},
      {"client=a%20b", "client must be 1 to 32 letters"},
      {"slot=", "slot has no value; leave it out"},
      {"seed=%", "a % without two hexadecimal digits"},
      {"seed=%4", "a % without two hexadecimal digits"},
      {"seed=%zz", "a % without two hexadecimal digits"},
      {"attr=%ff", "not UTF-8"},
      {"attr=a%00b", "a control character"},
      {"attr=a%0ab", "a control character"},
      {"fast=yes", "fast must be a whole number from 0 to 1"}};
  for (const auto& [query, sentence] : wrong) {
    CAPTURE(query);
    CAPTURE(refusal(query));
    CHECK(contains(refusal(query), sentence));
  }
}

TEST_CASE("no parameter is a path of this machine, or what decides where the program runs") {
  for (const char* name : {"run", "checkpoint", "guide", "noise", "npy", "out", "strip", "seeds", "attr_grid",
                           "device", "threads", "conv", "list_samplers", "host", "port"}) {
    CAPTURE(name);
    CHECK(contains(refusal(std::string(name) + "=1"), "unknown parameter"));
  }
}

TEST_CASE("the command of a request has all that differs from the usual, quoted for a shell") {
  SampleRequest request;
  CHECK(command_of(request) == "./sample");
  request.sampler.sampler = model::SamplerKind::dpmpp_2m, request.sampler.steps = 4,
  request.sampler.lower_order_final = true;
  request.checkpoint = "runs/it's mine";
  request.seeds = "5", request.guidance.attributes = "-Male", request.guidance.guidance = 1.5,
  request.chunk = 8;
  request.device.device = engine::DeviceChoice::cpu;
  CHECK(
      command_of(request) ==
      "./sample --sampler dpm++2m --steps 4 --lower-order-final --checkpoint 'runs/it'\\''s mine' --seeds 5 "
      "--attr=-Male --guidance 1.5 --chunk 8 --device cpu");
  SampleRequest near;
  near.variations = 0, near.spread = 0.25, near.count = 8;
  CHECK(command_of(near) == "./sample --count 8 --variations 0 --spread 0.25");
}

}  // namespace
}  // namespace ito::apps
