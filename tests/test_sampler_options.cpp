#include <doctest/doctest.h>

#include <set>

#include "helpers.h"
#include "model/diffusion/sampler_options.h"

/// What a user asks of a sampler, and what becomes of it.
namespace ito::tests {
namespace {

using namespace model;

SamplerSettings settled(const SamplerOptions& o, Prediction prediction = Prediction::edm) {
  return settle(o, prediction);
}

SamplerOptions of(SamplerKind kind) { return {.sampler = kind}; }

TEST_CASE(
    "every sampler has a row, its own number of steps and grid, and makes a plan for the SDEs it is defined "
    "for") {
  for (const Named<SamplerKind>& row : Names<SamplerKind>::kTable) {
    CAPTURE(std::string(row.name));
    const SamplerSettings s = settled(of(row.value));
    const SamplerInfo& info = info_of(row.value);
    CHECK(s.steps == info.steps);
    CHECK(s.grid == info.grid);
    CHECK(contains(sampler_table(), "\n" + std::string(row.name) + " "));
    for (const Sde& sde : {Sde(), Sde(Vp{}), Sde(SubVp{}), Sde(Simple{267})}) {
      if (row.value == SamplerKind::reverse_diffusion && sde.equations().index() == 2) continue;
      const SamplerPlan plan = make_sampler_plan(s, sde);
      CHECK(plan.flow.has_value() == (info.steps == 0));
      CHECK(plan.evaluations() == evaluations_of(s));
      if (!plan.flow) CHECK(plan.evaluations() == s.steps * info.evaluations - (info.evaluations - 1));
      bool noise = false;
      for (const Stage& stage : plan.stages) noise |= stage.update.c != 0 || stage.noise_before != 0;
      CHECK(noise == info.stochastic);
    }
  }
  CHECK_THROWS_WITH_AS(
      parse_name<SamplerKind>("huen"),
      doctest::Contains("unknown sampler \"huen\"; did you mean \"heun\"? Known: euler-maruyama,"), Error);
}

TEST_CASE("a sampler and clipping that suit the model, unless they are chosen") {
  CHECK(settled({}).clip.kind == Clip::Kind::none);
  CHECK(settled({}, Prediction::noise).clip.kind == Clip::Kind::fixed);
  CHECK(settled({}, Prediction::v).sampler == SamplerKind::euler_maruyama);
  CHECK(settled({}, Prediction::score_scaled).sampler == SamplerKind::euler_maruyama);
  CHECK(settled({.clip = "none"}, Prediction::noise).clip.kind == Clip::Kind::none);
  const Clip dynamic = settled({.clip = "0.99"}).clip;
  CHECK((dynamic.kind == Clip::Kind::dynamic && dynamic.quantile == 0.99 && dynamic.text() == "0.99"));
  for (const char* bad : {"", "0", "1.5", "-1", "nan", "0.9x", "Static"})
    CHECK(contains(error_of([&] { Clip::parse(bad); }),
                   "clip must be none, static, image or a quantile above 0 and at most 1, is"));
}

TEST_CASE("a model's own sampler gives way, option by option, to what is asked for") {
  const std::optional<SamplerOptions> own = SamplerOptions{.sampler = SamplerKind::ddim,
                                                           .steps = 50,
                                                           .grid = Grid::leading,
                                                           .offset = 1,
                                                           .final_step = FinalStep::first_level,
                                                           .clip = "image"};
  const auto text = [&](const SamplerOptions& asked) { return text_of(settled(with_own(asked, own))); };
  CHECK(text({}) == "ddim, 50 steps, grid leading, offset 1, eta 0, final first-level, clip image");
  CHECK(text({.steps = 10, .eta = 1}) ==
        "ddim, 10 steps, grid leading, offset 1, eta 1, final first-level, clip image");
  CHECK(text({.evaluations = 7, .grid = Grid::uniform, .final_step = FinalStep::denoise, .clip = "none"}) ==
        "ddim, 7 steps, grid uniform, eta 0, clip none");
  CHECK(text({.sampler = SamplerKind::heun}) == "heun, 18 steps, grid karras, rho 7, clip static");
  CHECK(text_of(settled(with_own({.fast = true}, own))) ==
        text({.sampler = SamplerKind::dpmpp_2m_sde, .steps = 20}));
  CHECK(text_of(settled(with_own({}, {}))) == text_of(settled({})));
  const auto refused = [](const SamplerOptions& o) { return error_of([&] { settled(o); }); };
  CHECK(contains(refused({.sampler = SamplerKind::ddim, .final_step = FinalStep::mean}),
                 "has no last step mean"));
  CHECK(contains(refused({.final_step = FinalStep::first_level}),
                 "euler-maruyama has no last step first-level"));
  CHECK(contains(refused({.offset = 1}), "offset does nothing without the grid leading"));
  CHECK(contains(refused({.sampler = SamplerKind::heun, .clip = "image"}), "clip image is ddim's"));
  for (const SamplerOptions& o : {SamplerOptions{.sampler = SamplerKind::ddim, .grid = Grid::linspace},
                                  {.sampler = SamplerKind::ddim, .final_step = FinalStep::first_level}})
    CHECK(contains(error_of([&] { make_sampler_plan(settled(o), Sde()); }), "this model's SDE has none"));
}

TEST_CASE("indices of a table: as many as are asked for, and within it") {
  CHECK(table_indices(Grid::leading, 4, 10, 1) == std::vector<int>{7, 5, 3, 1});
  CHECK(table_indices(Grid::linspace, 4, 11) == std::vector<int>{10, 7, 3, 0});
  CHECK(table_indices(Grid::trailing, 4, 10) ==
        std::vector<int>{9, 7, 4, 1});  // of 10, 7.5, 5, 2.5, halves to even
  for (Grid grid : {Grid::leading, Grid::linspace, Grid::trailing})
    for (int n : {1, 3, 7, 1000}) {
      const std::vector<int> indices = table_indices(grid, n, 1000);
      CHECK(int(indices.size()) == n);
      CHECK((indices.front() < 1000 && indices.back() >= 0));
      CHECK(std::set<int>(indices.begin(), indices.end()).size() == size_t(n));
    }
  CHECK_THROWS_AS(table_indices(Grid::leading, 11, 10), Error);
  CHECK_THROWS_AS(table_indices(Grid::leading, 5, 10, 2), Error);
  CHECK_THROWS_AS(table_indices(Grid::karras, 5, 10), Error);
}

TEST_CASE("shortcuts are a sampler and its evaluations, with the rest of what is asked for") {
  for (const auto& row : Names<Prediction>::kTable) {
    const SamplerSettings fast = settled({.fast = true}, row.value),
                          best = settled({.best = true}, row.value);
    CHECK(evaluations_of(fast) == 20);
    CHECK(evaluations_of(best) == 20);
    CHECK((fast.sampler == SamplerKind::dpmpp_2m_sde && best.sampler == SamplerKind::dpmpp_2m_sde));
    CHECK(settled({.fast = true, .clip = "0.99"}, row.value).clip.quantile == 0.99);
  }
}

TEST_CASE("a budget of evaluations becomes steps") {
  const auto steps = [](SamplerOptions o, int evaluations) {
    o.evaluations = evaluations;
    return settled(o).steps;
  };
  CHECK(steps(of(SamplerKind::heun), 35) == 18);
  CHECK(steps(of(SamplerKind::heun), 36) == 18);
  CHECK(steps(of(SamplerKind::heun), 1) == 1);
  CHECK(steps(of(SamplerKind::dpmpp_2m), 20) == 20);
  SamplerOptions corrected = of(SamplerKind::reverse_diffusion);
  corrected.corrector = 2;
  CHECK(steps(corrected, 100) == 33);
  CHECK(contains(error_of([&] { steps(corrected, 2); }),
                 "a step and its 2 corrections take 3 evaluations, 2 are allowed"));
  CHECK(contains(error_of([&] { settled({.steps = 3, .evaluations = 3}); }), "exclude each other"));
}

TEST_CASE("an option that does nothing with the sampler is refused") {
  struct Row {
    SamplerOptions options;
    std::string text;
  };
  const Row rows[] = {
      {{.sampler = SamplerKind::heun, .eta = 0.5}, "eta does nothing with the sampler heun"},
      {{.sampler = SamplerKind::ddim, .order = 2}, "order does nothing with the sampler ddim"},
      {{.sampler = SamplerKind::heun, .variance = Variance::large},
       "variance does nothing with the sampler heun"},
      {{.sampler = SamplerKind::ddim, .churn = 1}, "churn does nothing with the sampler ddim"},
      {{.sampler = SamplerKind::heun, .churn_min = 1}, "does nothing without churn"},
      {{.sampler = SamplerKind::heun, .churn = 0, .churn_noise = 2}, "does nothing without churn"},
      {{.sampler = SamplerKind::dpmpp_2m, .lower_order_final = true}, "lower_order_final does nothing with"},
      {{.sampler = SamplerKind::ancestral, .final_step = FinalStep::mean},
       "final does nothing with the sampler ancestral"},
      {{.sampler = SamplerKind::ddim, .rho = 5}, "rho does nothing without the grid karras"},
      {{.sampler = SamplerKind::ancestral, .snr = 0.1}, "snr does nothing without a corrector"},
      {{.sampler = SamplerKind::ancestral, .snr_norm = SnrNorm::batch},
       "snr_norm does nothing without a corrector"},
      {{.sampler = SamplerKind::heun, .tolerance = 1e-3}, "tolerance does nothing with the sampler heun"},
      {{.sampler = SamplerKind::rk45, .steps = 5},
       "the sampler rk45 chooses its steps itself: steps does nothing"},
      {{.sampler = SamplerKind::rk45, .evaluations = 5}, "itself: evaluations does nothing"},
      {{.sampler = SamplerKind::rk45, .grid = Grid::karras}, "itself: grid does nothing"},
      {{.sampler = SamplerKind::rk45, .clip = "0.99"}, "dynamic thresholding has no smooth flow"},
      {{.fast = true, .best = true}, "fast and best exclude each other"},
      {{.fast = true, .sampler = SamplerKind::heun}, "sampler does nothing with it"},
      {{.best = true, .steps = 5},
       "best is a sampler and its number of evaluations: steps does nothing with it"},
      {{.sampler = SamplerKind::heun, .corrector = 1},
       "a corrector adds noise, and the sampler heun adds none"},
      {{.sampler = SamplerKind::ddim, .corrector = 1},
       "a corrector adds noise, and the sampler ddim adds none"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(contains(error_of([&] { settled(row.options); }), row.text));
  }
  CHECK(settled({.sampler = SamplerKind::ddim, .eta = 1, .corrector = 1}).corrector == 1);
  CHECK(settled({.sampler = SamplerKind::ddim, .grid = Grid::karras, .rho = 5}).rho == 5);
}

TEST_CASE("facts tell samplings apart, and name only what matters") {
  using Facts = std::vector<std::pair<std::string, std::string>>;
  CHECK(facts_of(settled(of(SamplerKind::heun))) ==
        Facts{{"sampler", "heun"}, {"steps", "18"}, {"grid", "karras"}, {"rho", "7"}, {"clip", "none"}});
  CHECK(facts_of(settled({.sampler = SamplerKind::ancestral, .steps = 7, .corrector = 1},
                         Prediction::noise)) == Facts{{"sampler", "ancestral"},
                                                      {"steps", "7"},
                                                      {"grid", "uniform"},
                                                      {"variance", "small"},
                                                      {"corrector", "1"},
                                                      {"snr", "0.16"},
                                                      {"snr_norm", "sample"},
                                                      {"clip", "static"}});
  std::set<Facts> all;
  const SamplerOptions each[] = {{},
                                 {.steps = 5},
                                 {.grid = Grid::uniform},
                                 {.rho = 5},
                                 {.churn = 1},
                                 {.churn = 1, .churn_min = 1},
                                 {.churn = 1, .churn_max = 1},
                                 {.churn = 1, .churn_noise = 2},
                                 {.clip = "static"},
                                 {.clip = "0.9"}};
  for (SamplerOptions o : each) o.sampler = SamplerKind::heun, all.insert(facts_of(settled(o)));
  CHECK(all.size() == std::size(each));
}

}  // namespace
}  // namespace ito::tests
