#include "bench/kernel_report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <ostream>

#include "apps/console/program.h"
#include "engine/io/json_text.h"

namespace ito::bench {

namespace {

using nlohmann::json;

constexpr double kGiga = 1e9, kTera = 1e12;

template <class... Args>
std::string print(const char* format, Args... args) {
  char text[256];
  std::snprintf(text, sizeof text, format, args...);
  return text;
}

/// "512 GB/s", "9.66 GFLOP"
std::string with_unit(double number, const std::string& unit) {
  if (number >= kTera) return print("%.3g T", number / kTera) + unit;
  if (number >= 1e3 * 1e6) return print("%.3g G", number / kGiga) + unit;
  return print("%.3g M", number / 1e6) + unit;
}

/// Three digits of milliseconds.
std::string milliseconds(double seconds) {
  const double ms = seconds * 1e3;
  return print(ms < 1 ? "%.4f" : ms < 100 ? "%.3f" : "%.1f", ms);
}

json timing_json(const Timing& t) {
  return {{"ms", t.seconds * 1e3}, {"spread", t.spread}, {"repeats", t.repeats}};
}

json case_json(const Measurement& m, const Ceilings& ceilings) {
  const Case& c = *m.what;
  const Share share = share_of(m, ceilings);
  json row = timing_json(m.ours);
  row.update({{"kind", c.kind},
              {"name", c.name},
              {"shape", c.shape},
              {"dtype", c.dtype},
              {"uses", c.uses},
              {"bytes", c.bytes},
              {"flops", c.flops},
              {share.of_memory ? "gbps" : "tflops", share.per_second / (share.of_memory ? kGiga : kTera)},
              {"ceiling", share.of_memory ? "memory" : "arithmetic"},
              {"percent_of_ceiling", 100 * share.share}});
  if (m.baseline) {
    row["baseline"] = timing_json(*m.baseline);
    row["baseline"]["name"] = m.baseline_name;
  }
  return row;
}

/// Of a few runs after one that does not count.
double quick_seconds(Stopwatch& watch, const Runnable& run) {
  constexpr int kRuns = 3;
  run();
  std::vector<double> seconds;
  for (int i = 0; i < kRuns; ++i) seconds.push_back(watch.once(run));
  return quantile(seconds, 0.5);
}

Runnable fastest(Stopwatch& watch, const Baseline& baseline) {
  if (baseline.alternatives.empty()) return baseline.run;
  Runnable best = baseline.run;
  double least = quick_seconds(watch, best);
  for (const Runnable& other : baseline.alternatives) {
    try {
      const double seconds = quick_seconds(watch, other);
      if (seconds < least) least = seconds, best = other;
    } catch (const Error&) {  // it refuses
    }
  }
  return best;
}

std::string label_of(const Case& c) { return cat(c.kind, " ", c.name, " ", c.shape, " ", c.dtype); }

}  // namespace

Measurement measure(Operands& operands, Stopwatch& watch, const Case& c) {
  const PreparedCase prepared = c.prepare(operands);
  Measurement m{&c, watch.time(prepared.run), {}, ""};
  if (prepared.baseline.run)
    m.baseline = watch.time(fastest(watch, prepared.baseline)), m.baseline_name = prepared.baseline.name;
  return m;
}

Share share_of(const Measurement& m, const Ceilings& ceilings) {
  const double memory = m.what->bytes / ceilings.bytes_per_second();
  const double arithmetic = m.what->flops / ceilings.flops_per_second();
  const bool of_memory = memory > arithmetic;
  return {of_memory, (of_memory ? m.what->bytes : m.what->flops) / m.ours.seconds,
          std::max(memory, arithmetic) / m.ours.seconds};
}

void Table::head(const MachineInfo& machine, const std::string& what) {
  out_ << what << "\n"
       << machine.text() << "; commit " << apps::build_commit() << ", " << now_text() << "\n"
       << "Ceilings: " << with_unit(ceilings_.copy.per_second, "B/s") << " of memory (a copy, read + written"
       << print(", spread %.0f%%)", 100 * ceilings_.copy.timing.spread);
  for (const Rate& rate : ceilings_.arithmetic)
    out_ << "; " << with_unit(rate.per_second, "FLOP/s") << " (" << rate.name
         << print(", spread %.0f%%)", 100 * rate.timing.spread);
  out_ << "\n";
}

void Table::row(const Measurement& m) {
  const Case& c = *m.what;
  if (c.kind != kind_) {
    kind_ = c.kind;
    out_ << print("\n%-24s %-33s %4s %10s %6s %11s %13s %11s  %s\n", kind_.c_str(), "shape", "uses", "ms",
                  "spread", "minimum", "rate", "of ceiling", "baseline");
  }
  const Share share = share_of(m, ceilings_);
  const std::string work = share.of_memory ? with_unit(c.bytes, "B") : with_unit(c.flops, "FLOP");
  const std::string rate = with_unit(share.per_second, share.of_memory ? "B/s" : "FLOP/s");
  out_ << print("%-24s %-33s %4s %10s %5.0f%% %11s %13s %6.1f%% %s", c.name.c_str(), c.shape.c_str(),
                c.uses ? std::to_string(c.uses).c_str() : "", milliseconds(m.ours.seconds).c_str(),
                100 * m.ours.spread, work.c_str(), rate.c_str(), 100 * share.share,
                share.of_memory ? "mem" : "fma");
  if (m.baseline)
    out_ << print("  %10s  %4.2fx  %s", milliseconds(m.baseline->seconds).c_str(),
                  m.baseline->seconds / m.ours.seconds, m.baseline_name.c_str());
  out_ << std::endl;
}

void Table::foot(double seconds) {
  out_
      << "\nMedians, with caches emptied before each run; spread: (90th - 10th percentile) / median. minimum:"
         " the definition's\noperations (fma) or bytes (mem), whichever takes longer at the ceilings' rates."
         " Bytes are counted as the copy's are: what\nis read once, what is written once, an operand that is"
         " overwritten twice. A CPU fetches what it writes before it does,\nuncounted; but not an operand "
         "that"
         " it has read to overwrite it (AdamW), nor a result that stays in a cache: such a kernel\ncan pass"
         " 100 % of the copy. So can an algorithm that multiplies less than the definition (Winograd).\n"
         "baseline: milliseconds, and how many times ours; of a library's algorithms the fastest. "
      << print("%.0f s in all.\n", seconds);
}

void list_cases(std::ostream& out, const std::vector<Case>& cases) {
  for (const Case& c : cases)
    out << print("%-25s  %-24s  %-33s  %s\n", c.kind.c_str(), c.name.c_str(), c.shape.c_str(),
                 c.dtype.c_str());
}

std::string to_json(const MachineInfo& machine, const std::string& what, const Ceilings& ceilings,
                    const std::vector<Measurement>& measurements) {
  json where;
  if (machine.gpu.empty())
    where = {{"cpu", machine.processor}, {"threads", machine.threads}};
  else
    where = {{"gpu", machine.gpu},
             {"driver", machine.observed.driver},
             {"driver_cuda", machine.driver},
             {"runtime", machine.runtime},
             {"clock_mhz", machine.observed.clock_mhz},
             {"memory_clock_mhz", machine.observed.memory_clock_mhz},
             {"highest_clock_mhz", machine.clock_mhz},
             {"highest_memory_clock_mhz", machine.memory_clock_mhz}};
  json arithmetic = json::array(), rows = json::array();
  for (const Rate& rate : ceilings.arithmetic)
    arithmetic.push_back(
        {{"name", rate.name}, {"tflops", rate.per_second / kTera}, {"spread", rate.timing.spread}});
  for (const Measurement& m : measurements) rows.push_back(case_json(m, ceilings));
  return io::json_text({{"what", what},
                        {"date", now_text()},
                        {"commit", apps::build_commit()},
                        {"machine", where},
                        {"ceilings",
                         {{"copy_gbps", ceilings.copy.per_second / kGiga},
                          {"copy_spread", ceilings.copy.timing.spread},
                          {"arithmetic", arithmetic}}},
                        {"cases", rows}},
                       1);
}

std::vector<Case> filtered(const std::vector<Case>& cases, const std::string& text) {
  std::vector<Case> result;
  for (const Case& c : cases)
    if (label_of(c).find(text) != std::string::npos) result.push_back(c);
  if (result.empty()) fail(cat("no case contains \"", text, "\": --list shows them all"));
  return result;
}

}  // namespace ito::bench
