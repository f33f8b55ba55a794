#include <doctest/doctest.h>

#include <vector>

#include "engine/io/sha256.h"
#include "io_helpers.h"

using namespace ito::io;
using namespace ito::tests;

namespace {

std::string hash_of(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

}  // namespace

TEST_CASE("the standard's examples") {
  CHECK(hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(hash_of(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("lengths about a block's, against Python's hashlib: byte i of n is 7 i + n") {
  const std::vector<std::pair<size_t, const char*>> rows{
      {1, "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"},
      {55, "81afe5b788dc2ce138ff83d9b20164db75a94d75d2b2432eea4a0ef605088c72"},
      {56, "2aba54f0ac632420a2b502431408866e40e1d5e430df4cd822642c78ab2eb9c1"},
      {57, "903284efbf9100e8ba1614ec65eacacad125e03f857cae7acbf8b73b23e0fdfe"},
      {63, "733d3d4ee79ee67145bf73da13588f6f235d37414fc64b14a2f00f1762792f5e"},
      {64, "79322907b3e9d013d7dc2c2f256674dbf733045cde01df3539271c6f5605feb8"},
      {65, "d85c007c6eb440f085afa2b84f6f2bce4658b240e9f62cb1364bf0485a57e720"},
      {119, "6c87eedf096b345de205b702e5223b73b447a3207791ded3ea007ba15ed6736e"},
      {120, "42500cf6a1e3936d6b9e0bcfe296d654b63255e525487d3634d0b15fde591c4d"},
      {1000, "6b0df76627243d095b0c4400cb658b7e804dd03461cc03aee8fc8fe0bcada168"}};
  for (const auto& [count, expected] : rows) {
    std::string text(count, '\0');
    for (size_t i = 0; i < count; ++i) text[i] = char((7 * i + count) & 255);
    CHECK_MESSAGE(hash_of(text) == expected, count, " bytes");
  }
}

TEST_CASE("of a file: its bytes'; an empty one, a missing one") {
  const TempFolder folder;
  put(folder / "abc", "abc");
  CHECK(sha256_of_file(folder / "abc") == hash_of("abc"));
  put(folder / "empty", "");
  CHECK(sha256_of_file(folder / "empty") == hash_of(""));
  CHECK(contains(error_of([&] { sha256_of_file(folder / "none"); }), "none: cannot open"));
}
