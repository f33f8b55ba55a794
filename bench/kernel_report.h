#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "bench/kernel_ceilings.h"
#include "bench/machine.h"

namespace ito::bench {

struct Measurement {
  const Case* what;
  Timing ours;
  std::optional<Timing> baseline;
  std::string baseline_name;
};

/// Prepares a case, times it and its baseline, and releases its memory.
Measurement measure(Operands&, Stopwatch&, const Case&);

/// How close a case came to the ceiling that binds it: the one under which its minimum takes longer.
struct Share {
  bool of_memory;     // else of arithmetic
  double per_second;  // bytes or operations
  double share;       // of the ceiling
};
Share share_of(const Measurement&, const Ceilings&);

/// The table, in lines that are printed as they come: what was measured where, a heading for each kind, rows.
class Table {
 public:
  Table(std::ostream& out, const Ceilings& ceilings) : out_(out), ceilings_(ceilings) {}
  void head(const MachineInfo&, const std::string& what);
  void row(const Measurement&);
  /// What the columns mean.
  void foot(double seconds);

 private:
  std::ostream& out_;
  const Ceilings& ceilings_;
  std::string kind_;
};

/// Kinds, names and shapes, without figures.
void list_cases(std::ostream&, const std::vector<Case>&);

/// The whole run as one JSON object.
std::string to_json(const MachineInfo&, const std::string& what, const Ceilings&,
                    const std::vector<Measurement>&);

/// Those whose kind, name, shape or dtype, written in a row, contain the text. Error: none does.
std::vector<Case> filtered(const std::vector<Case>&, const std::string& text);

}  // namespace ito::bench
