#include "data/celeba_files/celeba.h"

#include <algorithm>
#include <charconv>

#include "data/celeba_files/list_table.h"
#include "data/pictures/folder.h"
#include "kernels/base/error.h"
#include "kernels/base/names.h"

namespace ito::data {
namespace {

constexpr int kAll = 3;  // after CelebA's own 0, 1, 2
constexpr Named<int> kSplits[] = {{"train", 0}, {"valid", 1}, {"test", 2}, {"all", kAll}};

/// The split by the official partition, which is contiguous in the pictures' numbers; -1 for a name without a number.
int split_by_number(const std::string& name) {
  const std::string_view stem = picture_stem(name);
  int64_t number = -1;
  const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
  if (error != std::errc() || end != stem.data() + stem.size() || number < 0) return -1;
  return number <= 162770 ? 0 : number <= 182637 ? 1 : 2;
}

std::vector<int> splits_of(const Celeba& celeba, std::vector<std::string>& notes) {
  if (celeba.partition.empty()) {
    notes.emplace_back("there is no list_eval_partition.txt or .csv: splits are by CelebA's numbers");
    std::vector<int> splits;
    for (const std::string& name : celeba.names) splits.push_back(split_by_number(name));
    return splits;
  }
  Partition partition = read_partition(celeba.partition, celeba.names);
  if (partition.unused > 0)
    notes.push_back(
        cat(partition.unused, " line(s) of ", celeba.partition.name, " name pictures that are not there"));
  return std::move(partition.splits);
}

/// The names of split `wanted`; the notes say by which list, and what was left out.
std::vector<std::string> names_in_split(const Celeba& celeba, int wanted, std::vector<std::string>& notes) {
  if (wanted == kAll) return celeba.names;
  const std::vector<int> splits = splits_of(celeba, notes);
  std::vector<std::string> kept;
  for (size_t i = 0; i < splits.size(); ++i)
    if (splits[i] == wanted) kept.push_back(celeba.names[i]);
  const auto unknown = std::count(splits.begin(), splits.end(), -1);
  if (unknown > 0) {
    notes.push_back(cat(unknown, " picture(s) without a ",
                        celeba.partition.empty() ? "number" : "line in " + celeba.partition.name,
                        " are left out"));
  }
  return kept;
}

}  // namespace

void Celeba::take(FoundFiles& found) {
  names = std::move(found.names);
  std::sort(names.begin(), names.end());
  notes = found.notes();
}

std::vector<std::string> split_names() {
  std::vector<std::string> names;
  for (const Named<int>& split : kSplits) names.emplace_back(split.name);
  return names;
}

void check_split(const std::string& split) { value_of_name("split", split, kSplits); }

ImageList list_celeba(const Celeba& celeba, const std::string& split) {
  const int wanted = value_of_name("split", split, kSplits);
  ImageList list;
  list.kind = "celeba";
  list.split = split;
  list.title = celeba.title;
  list.root = celeba.root;
  list.source = celeba.source;
  list.notes = celeba.notes;
  list.names = names_in_split(celeba, wanted, list.notes);
  if (list.names.empty()) {
    throw EmptySplit(
        cat(list.root.string(), ": none of its ", celeba.names.size(), " pictures is in split '", split, "'"),
        cat(__FILE__, ":", __LINE__), {"{split} all"});
  }
  list.attribute_list = celeba.attributes;
  list.identity_list = celeba.identities;
  list.landmark_list = celeba.landmarks;
  if (wanted != kAll && !celeba.partition.empty()) list.lists.push_back(celeba.partition);
  for (const ListFile& known : {list.attribute_list, list.identity_list, list.landmark_list})
    if (!known.empty()) list.lists.push_back(known);
  if (list.attribute_list.empty())
    list.notes.emplace_back("there is no list_attr_celeba.txt or .csv: the pictures have no attributes");
  return list;
}

}  // namespace ito::data
