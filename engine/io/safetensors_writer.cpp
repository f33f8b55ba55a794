#include <nlohmann/json.hpp>
#include <unordered_set>

#include "engine/io/safetensors.h"
#include "kernels/base/byte_order.h"
#include "kernels/base/error.h"
#include "kernels/base/math.h"

namespace ito::io {
namespace {

using nlohmann::ordered_json;

/// The length and the header, as they are stored in the file. Sets `data_bytes` to the size of what follows.
std::string header_of(const std::vector<TensorSpec>& tensors, const Metadata& metadata,
                      uint64_t& data_bytes) {
  ordered_json header = ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::unordered_set<std::string> names{"__metadata__"};
  uint64_t position = 0;
  for (const TensorSpec& tensor : tensors) {
    if (!names.insert(tensor.name).second) fail(cat("the tensor name '", tensor.name, "' is taken"));
    const auto bytes = bytes_of(tensor.type, tensor.shape);
    if (!bytes) fail(cat("'", tensor.name, "' has the impossible shape ", shape_text(tensor.shape)));
    if (position % size_of(tensor.type) != 0) {
      fail(cat("'", tensor.name, "' (", name_of(tensor.type), ") would begin at byte ", position,
               ", which readers cannot map; put wider types first"));
    }
    // push_back, not operator[]: an ordered object looks its keys up one by one.
    header.get_ref<ordered_json::object_t&>().push_back({tensor.name,
                                                         {{"dtype", name_of(tensor.type)},
                                                          {"shape", tensor.shape},
                                                          {"data_offsets", {position, position + *bytes}}}});
    position += *bytes;
  }
  data_bytes = position;
  std::string text = header.dump();
  text.resize(align_up(text.size(), size_t(8)), ' ');
  return little_endian(text.size(), 8) + text;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path,
                                     const std::vector<TensorSpec>& tensors, const Metadata& metadata)
    : path_(path), file_(path) {
  try {
    const std::string header = header_of(tensors, metadata, expected_);
    file_.write(header.data(), header.size());
  } catch (const ordered_json::exception& error) {
    fail(cat(path.string(), ": a name or a metadata text is not UTF-8: ", error.what()));
  } catch (const Error& error) {
    error.rethrow_at(path.string());
  }
}

void SafetensorsWriter::write(const void* data, uint64_t bytes) {
  if (bytes > expected_ - written_) {
    fail(cat(path_.string(), ": the tensors have ", expected_, " bytes, ", written_, " are written and ",
             bytes, " more were given"));
  }
  file_.write(data, bytes);
  written_ += bytes;
}

void SafetensorsWriter::finish() {
  if (written_ != expected_) {
    fail(cat(path_.string(), ": the tensors have ", expected_, " bytes, only ", written_, " were given"));
  }
  file_.commit();
}

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorEntry>& tensors,
                       const Metadata& metadata) {
  std::vector<TensorSpec> specs;
  for (const TensorEntry& tensor : tensors) specs.push_back(tensor.spec);
  SafetensorsWriter writer(path, specs, metadata);
  for (const TensorEntry& tensor : tensors)
    writer.write(tensor.data, *bytes_of(tensor.spec.type, tensor.spec.shape));
  writer.finish();
}

}  // namespace ito::io
