#include <doctest/doctest.h>

#include "kernels/base/names.h"

using namespace ito;

namespace {

enum class Fruit { apple, pear };
constexpr Named<Fruit> kFruits[] = {{"apple", Fruit::apple}, {"pear", Fruit::pear}};

}  // namespace

TEST_CASE("edit distance: the textbook's values, and its symmetry") {
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("sunday", "saturday") == 3);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("same", "same") == 0);
  CHECK(edit_distance("sub_vp", "sub-vp") == 1);
  CHECK(edit_distance("saturday", "sunday") == edit_distance("sunday", "saturday"));
}

TEST_CASE("the nearest name is the one with the least distance, the first of equals") {
  CHECK(nearest_name("smal", {"tiny", "small", "celeba64"}) == "small");
  CHECK(nearest_name("xx", {"ve", "vp"}) == "ve");
  CHECK(nearest_name("anything", {}).empty());
}

TEST_CASE("a table of names goes both ways; for an unknown name the error suggests the one that was meant") {
  CHECK(value_of_name("fruit", "pear", kFruits) == Fruit::pear);
  CHECK(name_of_value(Fruit::apple, kFruits) == "apple");
  CHECK_THROWS_WITH_AS(value_of_name("fruit", "aple", kFruits),
                       "unknown fruit \"aple\"; did you mean \"apple\"? Known: apple, pear", Error);
  CHECK_THROWS_AS(name_of_value(Fruit(7), kFruits), Error);
}
