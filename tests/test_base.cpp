#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <vector>

#include "kernels/base/byte_order.h"
#include "kernels/base/clock.h"
#include "kernels/base/file.h"
#include "kernels/base/math.h"
#include "kernels/base/path_text.h"
#include "kernels/base/process_memory.h"
#include "tests/descriptors.h"
#include "tests/helpers.h"

/// The ground floor: files, orders of bytes, rounding, the clock, memory in use.
namespace ito {
namespace {

namespace fs = std::filesystem;
using tests::error_of, tests::open_descriptors, tests::TempFolder;

std::string bytes_of(const fs::path& path) { return read_whole<std::string>(path, 1 << 20); }
void put(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
void write(const File& file, const std::string& bytes) { file.write(bytes.data(), bytes.size()); }

TEST_CASE("an error with a place before its message stays what it was, with its advice") {
  try {
    throw Error("is empty", "here:1", {"a smaller {size}"});
  } catch (const Error& error) {
    CHECK(error_of([&] { error.rethrow_at("a.png"); }) == "a.png: is empty");
    try {
      error.rethrow_at("a.png");
    } catch (const Error& again) {
      CHECK(again.advice() == error.advice());
      CHECK(again.location() == "here:1");
    }
  }
  try {
    fail_memory("ten bytes");
  } catch (const Error& error) {
    CHECK_THROWS_AS(error.rethrow_at("a.png"), OutOfMemory);
  }
}

TEST_CASE("what is no UTF-8 is written as %E9, and nothing else is") {
  for (const std::string text :
       {"", "plain", "caf\xc3\xa9", "\xe2\x82\xac \xf0\x9f\x98\x80", "a%E9b", "\x7f\n"})
    CHECK(as_utf8(text) == text);
  // Alone, cut short, overlong, a surrogate, beyond the last character.
  CHECK(as_utf8("caf\xe9.") == "caf%E9.");
  CHECK(as_utf8("\xc3") == "%C3");
  CHECK(as_utf8("\xe2\x82x") == "%E2%82x");
  CHECK(as_utf8("\xc0\xaf") == "%C0%AF");
  CHECK(as_utf8("\xe0\x80\x80") == "%E0%80%80");
  CHECK(as_utf8("\xed\xa0\x80") == "%ED%A0%80");
  CHECK(as_utf8("\xf4\x90\x80\x80") == "%F4%90%80%80");
  CHECK(as_utf8("\xff") == "%FF");
}

TEST_CASE("a quoted word is the word again in a shell; a plain one is not quoted") {
  for (const std::string word : {"runs/celeba-small", "/a/b_c.d,e", "a=b:c@1%+2", "caf\xc3\xa9"})
    CHECK(shell_quoted(word) == word);
  for (const std::string word : {"", "a b", "it's", "$HOME `x` \"y\"", "~", "a\\b", "#", "two\nlines",
                                 "caf\xe9", "'\x01'", "*?[", "a;b&c|d", "!1",
                                 "\xe9"
                                 "a"}) {
    CAPTURE(word);
    const TempFolder folder;
    put(folder / "line.sh", "printf %s " + shell_quoted(word));
    REQUIRE(std::system(
                ("bash " + (folder / "line.sh").string() + " >" + (folder / "out").string()).c_str()) == 0);
    CHECK(bytes_of(folder / "out") == word);
  }
}

TEST_CASE("each mode opens what it says, and nothing else") {
  const TempFolder folder;
  const fs::path a = folder / "a", none = folder / "none";
  put(a, "12345");
  using Mode = File::Mode;
  const auto opens = [](const fs::path& path, Mode mode) { return File::try_open(path, mode).is_open(); };
  for (const Mode mode : {Mode::read, Mode::existing}) {
    CHECK(opens(a, mode));
    CHECK_FALSE(opens(none, mode));
  }
  for (const Mode mode : {Mode::folder, Mode::names}) {
    CHECK(opens(folder.path(), mode));
    CHECK_FALSE(opens(a, mode));
    CHECK(errno == ENOTDIR);
  }
  CHECK_FALSE(opens(a, Mode::fresh));
  CHECK(errno == EEXIST);
  CHECK_FALSE(fs::exists(none));
  for (const Mode mode : {Mode::fresh, Mode::append, Mode::update, Mode::lock}) {
    CHECK(opens(none, mode));
    CHECK(fs::remove(none));
  }
  CHECK(bytes_of(a) == "12345");  // nothing was cut by being opened
}

TEST_CASE("what is written is where it should be") {
  const TempFolder folder;
  const fs::path path = folder / "a";
  {
    const File fresh(path, File::Mode::fresh);
    write(fresh, "one");
    write(fresh, "two");
    fresh.sync();
    CHECK(fresh.size() == 6);
  }
  {
    const File appended(path, File::Mode::append);
    write(appended, "three");
  }
  CHECK(bytes_of(path) == "onetwothree");
  const File update(path, File::Mode::update);
  update.write_at(3, "TWO", 3);
  update.begin_sync(3, 3);
  CHECK(bytes_of(path) == "oneTWOthree");
  update.truncate(5);
  CHECK(bytes_of(path) == "oneTW");
  update.write_at(7, "x", 1);
  CHECK(bytes_of(path) == std::string("oneTW\0\0x", 8));
  char part[8] = {};
  CHECK(update.read_at(3, part, 2) == 2);
  CHECK(std::string(part) == "TW");
  CHECK(update.read_at(6, part, 8) == 2);  // the end comes first
  CHECK(update.read_at(8, part, 8) == 0);
}

TEST_CASE("a whole file, up to a limit, if it is one") {
  const TempFolder folder;
  const fs::path path = folder / "a", empty = folder / "empty";
  put(path, "12345");
  put(empty, "");
  CHECK(read_whole<std::vector<uint8_t>>(path, 5) == std::vector<uint8_t>{'1', '2', '3', '4', '5'});
  CHECK(read_whole<std::string>(empty, 0).empty());
  CHECK(error_of([&] { read_whole<std::string>(path, 4); }) ==
        path.string() + ": has 5 bytes, expected at most 4");
  for (const fs::path& other : {folder.path(), fs::path("/dev/null")})
    CHECK(error_of([&] { read_whole<std::string>(other, 4); }) == other.string() + ": not a regular file");
}

TEST_CASE("errors say the file, what could not be done, why, and what to do") {
  const TempFolder folder;
  const std::string a = (folder / "a").string(), absent = (folder / "absent/a").string();
  put(a, "12345");
  CHECK(error_of([&] { File(absent, File::Mode::read); }) ==
        absent + ": cannot open: No such file or directory");
  CHECK(error_of([&] { File(absent, File::Mode::append); }) ==
        absent + ": cannot open for writing: No such file or directory");
  CHECK(error_of([&] { File(absent, File::Mode::update, "name another"); }) ==
        absent + ": cannot be made: No such file or directory; name another");
  CHECK(error_of([&] { File(a, File::Mode::fresh); }) == a + ": cannot be made: File exists");
  const File read = File::try_open(a, File::Mode::read, "another");
  CHECK(error_of([&] { write(read, "x"); }) == "another: cannot write: Bad file descriptor");
  CHECK(error_of([&] { read.truncate(1, "see"); }) == "another: cannot be cut: Invalid argument; see");
  const File names(folder.path(), File::Mode::names), closed;
  CHECK(error_of([&] { names.sync(""); }) ==
        folder.path().string() + ": cannot flush to disk: Bad file descriptor");
  char byte;
  CHECK(error_of([&] { names.read_at(0, &byte, 1); }) ==
        folder.path().string() + ": cannot read: Bad file descriptor");
  CHECK(error_of([&] { closed.size(); }) != "");
  try {
    write(read, "x");
    FAIL("written into a file that is open for reading");
  } catch (const FileError& error) {
    CHECK(error.code() == EBADF);
  }
  CHECK(reason_of(ENOSPC) == "No space left on device; make room there");
  CHECK(reason_of(EACCES) == "Permission denied");
}

TEST_CASE("a full disk: the error says so, and the advice given is in its place") {
  const TempFolder folder;
  const auto usual_action = signal(SIGXFSZ, SIG_IGN);
  rlimit usual{};
  getrlimit(RLIMIT_FSIZE, &usual);
  const rlimit small{4, usual.rlim_max};
  const File file(folder / "a", File::Mode::fresh);
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string plain = error_of([&] { write(file, "12345678"); }),
                    advised = error_of([&] { file.write_at(2, "12345678", 8, "choose another disk"); });
  setrlimit(RLIMIT_FSIZE, &usual);
  signal(SIGXFSZ, usual_action);
  const std::string start = (folder / "a").string() + ": cannot write: File too large; ";
  CHECK(plain == start + "make room there");
  CHECK(advised == start + "choose another disk");
  CHECK(bytes_of(folder / "a") == "1212");  // what there was room for
}

TEST_CASE("no descriptor stays open: not when moved, replaced or thrown over") {
  const TempFolder folder;
  put(folder / "a", "12345");
  put(folder / "b", "67");
  const auto before = open_descriptors();
  {
    File a(folder / "a", File::Mode::read), b(folder / "b", File::Mode::read);
    CHECK(open_descriptors() == before + 2);
    File moved = std::move(a);
    CHECK_FALSE(a.is_open());
    CHECK(moved.size() == 5);
    moved = std::move(b);
    CHECK_FALSE(b.is_open());
    CHECK(moved.size() == 2);
    CHECK(open_descriptors() == before + 1);
    moved = File();
    CHECK(open_descriptors() == before);
  }
  for (const auto mode : {File::Mode::read, File::Mode::fresh})
    CHECK(error_of([&] {
            const File file(folder / (mode == File::Mode::read ? "a" : "c"), mode);
            file.read_all<std::string>(1);
            write(file, "x");
            file.truncate(uint64_t(1) << 63);  // no such size
          }) != "");
  CHECK(open_descriptors() == before);
  const File kept(folder / "a", File::Mode::read);
  CHECK((fcntl(kept.descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a lock is one holder's, and is distinguished from a file that cannot be locked") {
  const TempFolder folder;
  const auto open = [&] { return File(folder / "a", File::Mode::lock); };
  File first = open();
  const File second = open();
  CHECK(first.try_lock() == File::Lock::ours);
  CHECK(first.try_lock() == File::Lock::ours);
  CHECK(second.try_lock() == File::Lock::taken);
  const pid_t child = fork();
  if (child == 0) {
    first = File();  // the copy of the parent's that fork made; the lock is the parent's
    const File third(folder / "a", File::Mode::existing);
    alarm(60);
    _exit(third.lock() && third.size() == 4 ? 0 : 1);  // only after the first has written
  }
  usleep(20'000);
  write(first, "done");
  first = File();
  int status = 1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(second.try_lock() == File::Lock::ours);
  const File names(folder.path(), File::Mode::names);
  CHECK(names.try_lock() == File::Lock::impossible);
  CHECK(errno == EBADF);
  CHECK_FALSE(names.lock());
}

TEST_CASE("whether a name still means the file that is open") {
  const TempFolder folder;
  const fs::path a = folder / "a", link = folder / "link";
  put(a, "1");
  fs::create_symlink("a", link);
  const File file(a, File::Mode::read);
  CHECK(file.is_at(a));
  CHECK(file.is_at(link, true));
  CHECK_FALSE(file.is_at(link));
  fs::rename(a, folder / "b");
  CHECK(file.is_at(folder / "b"));
  CHECK_FALSE(file.is_at(a));
  put(a, "1");
  CHECK_FALSE(file.is_at(a));
  REQUIRE(exchange_names(a, folder / "b"));
  CHECK(file.is_at(a));
  CHECK_FALSE(exchange_names(a, folder / "none"));
  CHECK(errno == ENOENT);
}

TEST_CASE("what is in a folder, and under a path without one") {
  const TempFolder folder;
  put(folder / "a", "123");
  fs::create_symlink("a", folder / "link");
  const File names(folder.path(), File::Mode::names), none;
  for (const auto& status :
       {names.status_of("a"), names.status_of("link"), none.status_of((folder / "a").string())}) {
    REQUIRE(status);
    CHECK(status->bytes == 3);
    CHECK(status->seconds == names.status_of("a")->seconds);
  }
  CHECK_FALSE(names.status_of("none"));
  fs::rename(folder / "a", folder / "b");
  CHECK_FALSE(names.status_of("link"));  // it leads nowhere
}

TEST_CASE("numbers of every size, in both orders, at odd addresses") {
  const unsigned char bytes[] = {0xff, 0x01, 0x82, 0x03, 0x84, 0x05, 0x86, 0x07, 0x88, 0xff};
  const unsigned char* const odd = bytes + 1;
  CHECK(load_little<uint16_t>(odd) == 0x8201);
  CHECK(load_little<uint32_t>(odd) == 0x84038201u);
  CHECK(load_little<uint64_t>(odd) == 0x8807860584038201u);
  CHECK(load_big<uint16_t>(odd) == 0x0182);
  CHECK(load_big<uint32_t>(odd) == 0x01820384u);
  CHECK(load_big<uint64_t>(odd) == 0x0182038405860788u);
  const uint64_t whole = 0x8807860584038201u;
  for (size_t n = 0; n <= 8; ++n) {
    CAPTURE(n);
    const uint64_t part = n == 8 ? whole : whole & ((uint64_t(1) << 8 * n) - 1);
    CHECK(load_little(odd, n) == part);
    unsigned char to[10] = {}, reversed[10] = {}, expected[10] = {};
    std::memcpy(expected + 1, odd, n);
    store_little(to + 1, whole, n);
    CHECK(std::memcmp(to, expected, sizeof to) == 0);  // and nothing around it
    store_big(reversed + 1, whole, n);
    for (size_t i = 0; i < n; ++i) CHECK(reversed[n - i] == expected[1 + i]);
    CHECK((reversed[0] == 0 && reversed[n + 1] == 0));
    CHECK(little_endian(whole, n) == std::string(odd, odd + n));
  }
}

TEST_CASE("rounding up, to the ends of the types") {
  static_assert(div_up(0, 7) == 0 && div_up(1, 7) == 1 && div_up(7, 7) == 1 && div_up(8, 7) == 2);
  static_assert(align_up(0, 16) == 0 && align_up(1, 16) == 16 && align_up(16, 16) == 16);
  static_assert(std::is_same_v<decltype(div_up(1, int64_t(2))), int64_t>);
  static_assert(std::is_same_v<decltype(align_up(size_t(1), 2u)), size_t>);
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  CHECK(div_up(most - 1, 1) == most - 1);
  CHECK(div_up(most - 64, 64) == most / 64);
  constexpr size_t last_line = std::numeric_limits<size_t>::max() / 64 * 64;
  CHECK(align_up(last_line - 64, size_t(64)) == last_line - 64);
  CHECK(align_up(last_line - 65, size_t(64)) == last_line - 64);
  for (int a = 0; a < 100; ++a)
    for (int b = 1; b < 20; ++b) {
      REQUIRE(div_up(a, b) * b >= a);
      REQUIRE((a == 0 || (div_up(a, b) - 1) * b < a));
      REQUIRE(align_up(a, b) % b == 0);
    }
}

TEST_CASE("the clock runs forward, in seconds") {
  const double start = now();
  usleep(20'000);
  const double passed = now() - start;
  CHECK(passed >= 0.02);
  CHECK(passed < 20);
}

TEST_CASE("memory in use: what is touched is resident, and its peak stays") {
  constexpr size_t kBytes = size_t(64) << 20;
  const double before = double(resident_bytes());
  CHECK(before > 0);
  {
    std::vector<char> touched(kBytes, 'x');
    CHECK(double(resident_bytes()) - before > 0.9 * kBytes);
    CHECK(touched.back() == 'x');
  }
  CHECK(double(peak_resident_bytes()) - before > 0.9 * kBytes);
  CHECK(peak_resident_bytes() < physical_memory_bytes());
}

}  // namespace
}  // namespace ito
