#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/io/json_text.h"
#include "fuzz_target.h"
#include "kernels/base/byte_order.h"
#include "kernels/base/hash.h"
#include "model/training/attribute_rows.h"

using namespace ito;

namespace {

int read(std::string_view bytes) {
  const fuzz::MemoryFile file(bytes);
  return fuzz::only_errors([&] {
    const model::AttributeRows rows = model::AttributeRows::load(file.path());
    fuzz::expect(!rows.empty() && !rows.names().empty(), "what was read has rows and names");
    for (int64_t i = 0; i < std::min<int64_t>(rows.count(), 1000); ++i)
      for (const float value : rows.row(i))
        fuzz::expect(value == -1 || value == 0 || value == 1, "an attribute is -1, 0 or 1");
  });
}

/// The text up to the first end of a line as the names, the rest as rows for so many, in a file whose checksum fits.
std::string with_checksum(std::string_view text) {
  const size_t line = std::min(text.find('\n'), text.size());
  const std::string names(text.substr(0, line));
  std::string_view rows = text.substr(std::min(line + 1, text.size()));
  const size_t width = size_t(std::count(names.begin(), names.end(), ',')) / 4 + 1;
  rows = rows.substr(0, rows.size() / width * width);
  const nlohmann::json header = {
      {"__metadata__",
       {{"names", names}, {"checksum", hex(Hash().add(names).add(rows.data(), rows.size()).value())}}},
      {"rows",
       {{"dtype", "U8"}, {"shape", {rows.size() / width, width}}, {"data_offsets", {0, rows.size()}}}}};
  const std::string head = io::json_text(header);
  return little_endian(head.size(), 8) + head + std::string(rows);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view text = fuzz::text_of(bytes, size);
  return read(text) + read(with_checksum(text));
}
