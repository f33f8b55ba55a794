#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <set>
#include <thread>

#include "data/cache/partial_cache.h"
#include "dataset_helpers.h"
#include "kernels/base/hash.h"

/// What survives: killed builds, full disks, damage, other versions, folders that cannot be written to.
using namespace ito::data;
using namespace ito::tests;
namespace fs = std::filesystem;

namespace {

/// What one opening made known.
struct Opening {
  std::vector<size_t> progress;  // pictures done, as reported
  std::vector<DecodeForecast> forecasts;
  std::vector<std::string> notes;
  std::string error;
};

Opening open_and_watch(const fs::path& folder, DatasetOptions options) {
  Opening result;
  options.progress = [&](size_t done, size_t) { result.progress.push_back(done); };
  options.starting = [&](const DecodeForecast& forecast) { result.forecasts.push_back(forecast); };
  result.error = error_of([&] { result.notes = open_dataset(folder, options).notes(); });
  return result;
}

/// Runs body in a process of its own, to its end or to its death by a signal; its exit code, or -1.
template <class Body>
int in_child(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Leaves a build that was killed when at least `least` pictures were written.
void interrupt_build(const fs::path& folder, DatasetOptions options, size_t least) {
  options.progress = [&](size_t done, size_t) {
    if (done >= least) kill(getpid(), SIGKILL);
  };
  REQUIRE(in_child([&] { open_dataset(folder, options); }) == -1);
}

fs::path only(const fs::path& folder, const std::string& ending) {
  fs::path found;
  for (const fs::path& file : files_in(folder)) {
    if (file.extension() != ending) continue;
    CHECK(found.empty());
    found = file;
  }
  REQUIRE_FALSE(found.empty());
  return found;
}

/// The bytes of the one cache file there.
std::vector<uint8_t> cache_bytes(const fs::path& folder) { return read_bytes(only(folder, ".images")); }

void rewrite(const fs::path& file, std::vector<uint8_t> bytes,
             const std::function<void(std::vector<uint8_t>&)>& how) {
  how(bytes);
  fs::remove(file);
  put(file, text_of(bytes));
}

/// After which a file that was written is no longer too young to be noted as checked.
void let_settle() { std::this_thread::sleep_for(std::chrono::milliseconds(60)); }

/// A set of 150 pictures, three of which cannot be read.
void make_set(const fs::path& folder) {
  fs::create_directories(folder);
  for (int i = 0; i < 150; ++i) {
    const fs::path file = folder / ito::cat(1000 + i, ".png");
    if (i % 60 == 7)
      put(file, "no picture");
    else
      write_png(file, picture(40, 40, uint32_t(i)));
  }
}

}  // namespace

TEST_CASE("a build that is killed at random moments ends as one that was not, byte for byte") {
  const TempFolder folder(memory_folder());
  make_set(folder / "set");
  DatasetOptions options = options_for(folder, 32, 32);
  open_dataset(folder / "set", options);
  const std::vector<uint8_t> straight = cache_bytes(folder / "cache");
  options.cache_dir = folder / "killed";
  options.threads = 1;  // as many chunks, so as many moments, as can be
  int kills = 0, resumed = 0;
  for (uint32_t round = 0; kills < 40; ++round) {
    REQUIRE(round < 400);
    const uint32_t random = ito::random_block({round, ito::Purpose::test}, 0).v[0];
    const pid_t child = fork();
    if (child == 0) {
      int went_on = 0;
      options.progress = [&](size_t done, size_t) { went_on |= done > 0 ? 2 : 1; };
      open_dataset(folder / "set", options);
      _exit(went_on == 2 ? 1 : 0);  // its first report was not of 0 pictures
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random % 60000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
      ++kills;
      continue;
    }
    resumed += WEXITSTATUS(status) == 1;
    CHECK(cache_bytes(options.cache_dir) == straight);
    fs::remove_all(options.cache_dir);
  }
  open_dataset(folder / "set", options);
  CHECK(cache_bytes(options.cache_dir) == straight);
  CHECK(resumed > 0);
}

TEST_CASE("an interrupted build goes on where it ended, with any number of threads") {
  const TempFolder folder(memory_folder());
  make_set(folder / "set");
  DatasetOptions options = options_for(folder, 32, 32);
  options.threads = 1;  // chunks of 32 pictures
  interrupt_build(folder / "set", options, 64);
  CHECK(files_in(folder / "cache").size() == 2);
  options.threads = 2;
  const Opening opening = open_and_watch(folder / "set", options);
  CHECK(opening.error.empty());
  CHECK(opening.progress.front() == 64);
  CHECK(opening.progress.back() == 150);
  REQUIRE(opening.forecasts.size() == 1);
  CHECK(opening.forecasts[0].done == 64);
  CHECK(opening.forecasts[0].pictures == 86);
  CHECK(opening.forecasts[0].bytes == 150 * 32 * 32 * 3);
  CHECK(opening.forecasts[0].seconds > 0);
  CHECK(files_in(folder / "cache").size() == 1);
  const std::vector<uint8_t> resumed = cache_bytes(folder / "cache");
  options.cache_dir = folder / "straight";
  const Dataset straight = open_dataset(folder / "set", options);
  CHECK(straight.count() == 147);
  CHECK(straight.skipped().size() == 3);
  CHECK(cache_bytes(folder / "straight") == resumed);
}

TEST_CASE("what an interrupted build left is checked, and used up to the first damage") {
  const TempFolder folder(memory_folder());
  make_set(folder / "set");
  DatasetOptions options = options_for(folder, 32, 32);
  options.threads = 1;
  open_dataset(folder / "set", options);
  const std::vector<uint8_t> straight = cache_bytes(folder / "cache");
  const auto resumes_at = [&](const char* ending, const std::function<void(std::vector<uint8_t>&)>& damage) {
    fs::remove_all(folder / "cache");
    interrupt_build(folder / "set", options, 96);
    const fs::path file = only(folder / "cache", ending);
    rewrite(file, read_bytes(file), damage);
    const Opening opening = open_and_watch(folder / "set", options);
    CHECK(opening.error.empty());
    CHECK(cache_bytes(folder / "cache") == straight);
    return opening.progress.front();
  };
  const size_t image = 32 * 32 * 3;
  CHECK(resumes_at(".partial", [](auto&) {}) == 96);
  CHECK(resumes_at(".partial", [](auto& bytes) { bytes[5] ^= 1; }) == 0);
  CHECK(resumes_at(".partial", [&](auto& bytes) { bytes[40 * image] ^= 1; }) == 32);
  CHECK(resumes_at(".partial", [&](auto& bytes) { bytes.resize(70 * image); }) == 64);
  CHECK(resumes_at(".partial", [](auto& bytes) { bytes.clear(); }) == 0);
  CHECK(resumes_at(".journal", [](auto& bytes) { bytes[0] ^= 1; }) == 0);  // another key
  CHECK(resumes_at(".journal", [](auto& bytes) { bytes[30] ^= 1; }) == 0);
  CHECK(resumes_at(".journal", [](auto& bytes) { bytes.pop_back(); }) == 64);
  CHECK(resumes_at(".journal", [](auto& bytes) { bytes.resize(11); }) == 0);
}

TEST_CASE("what a build of other pictures left is thrown away") {
  const TempFolder folder(memory_folder());
  make_set(folder / "set");
  DatasetOptions options = options_for(folder, 32, 32);
  options.threads = 1;
  interrupt_build(folder / "set", options, 32);
  write_png(folder / "set/1149.png", picture(44, 44, 7));
  const Opening opening = open_and_watch(folder / "set", options);
  CHECK(opening.progress.front() == 0);
  CHECK(files_in(folder / "cache").size() == 1);
  options.crop = "none", options.height = 16;  // another set: the first stays
  interrupt_build(folder / "set", options, 32);
  CHECK(files_in(folder / "cache").size() == 3);
}

TEST_CASE("a full disk ends a build, and what was decoded is kept") {
  const TempFolder folder(memory_folder());
  make_set(folder / "set");
  DatasetOptions options = options_for(folder, 32, 32);
  options.threads = 1;
  const fs::path output = folder / "output";
  CHECK(in_child([&] {
          signal(SIGXFSZ, SIG_IGN);
          const rlimit limit{70 * 32 * 32 * 3, 70 * 32 * 32 * 3};
          setrlimit(RLIMIT_FSIZE, &limit);
          put(output, error_of([&] { open_dataset(folder / "set", options); }));
        }) == 0);
  const std::string error = text_of(read_bytes(output));
  CHECK(contains(error, "cannot write: File too large; make room and start again"));
  CHECK(only(folder / "cache", ".partial").filename().string()[0] == '.');
  const Opening opening = open_and_watch(folder / "set", options);
  CHECK(opening.error.empty());
  CHECK(opening.progress.front() == 64);
}

TEST_CASE("an interruption from progress keeps what was decoded") {
  const TempFolder folder(memory_folder());
  make_set(folder / "set");
  DatasetOptions options = options_for(folder, 32, 32);
  options.threads = 1;
  options.progress = [](size_t done, size_t) {
    if (done >= 32) ito::fail("interrupted");
  };
  CHECK(error_of([&] { open_dataset(folder / "set", options); }) == "interrupted");
  CHECK(open_and_watch(folder / "set", options).progress.front() == 32);
}

/// Writes a number into the trailer of a cache file, and its checksum.
template <class Number>
void set_in_trailer(std::vector<uint8_t>& bytes, size_t at, Number number) {
  uint8_t* trailer = bytes.data() + bytes.size() - 64;
  std::memcpy(trailer + at, &number, sizeof number);
  const uint64_t hash = ito::Hash().add(trailer, 56).value();
  std::memcpy(trailer + 56, &hash, sizeof hash);
}

TEST_CASE("a cache of another version is not used, reported once and made again in its place") {
  const TempFolder folder(memory_folder());
  make_pngs(folder / "set", 3, 20, 20);
  const DatasetOptions options = options_for(folder, 16, 16);
  open_dataset(folder / "set", options);
  const fs::path file = only(folder / "cache", ".images");
  const std::vector<uint8_t> good = read_bytes(file);
  rewrite(file, good, [](auto& bytes) {
    set_in_trailer(bytes, 8, uint32_t(1));
    bytes.back() ^= 1;  // another version may have another checksum
  });
  const Opening opening = open_and_watch(folder / "set", options);
  REQUIRE(opening.notes.size() == 1);
  CHECK(contains(opening.notes[0], "it is of version 1, and this program's is 4; it is made again"));
  CHECK(read_bytes(file) == good);
  CHECK(open_and_watch(folder / "set", options).notes.empty());
}

TEST_CASE("a cache whose name is of another version's hashes is reported as the reason for decoding again") {
  const TempFolder folder(memory_folder());
  make_pngs(folder / "set", 3, 20, 20);
  const DatasetOptions options = options_for(folder, 16, 16);
  open_dataset(folder / "set", options);
  const fs::path file = only(folder / "cache", ".images");
  std::vector<uint8_t> bytes = read_bytes(file);
  std::string name = file.filename().string();
  name[name.size() - 40] = name[name.size() - 40] == '0' ? '1' : '0';  // of the hash of the folder
  fs::rename(file, folder / "cache" / name);
  CHECK(open_and_watch(folder / "set", options).notes.empty());  // another folder's, of this version
  fs::remove(file);
  set_in_trailer(bytes, 8, uint32_t(2));
  put(folder / "cache" / name, text_of(bytes));
  const Opening opening = open_and_watch(folder / "set", options);
  REQUIRE(opening.notes.size() == 1);
  CHECK(opening.notes[0] == (folder / "cache" / name).string() +
                                ": a cache of decoded pictures of version 2, and this program's is 4: they "
                                "are decoded again, and this file can be deleted");
  CHECK(opening.progress.back() == 3);
  CHECK(read_bytes(folder / "cache" / name) == bytes);
  CHECK(open_and_watch(folder / "set", options).notes.empty());
}

TEST_CASE("the hash is XXH3's, and where its pieces end counts") {
  using ito::Hash;
  CHECK(Hash().add("").value() == 0x2D06800538D394C2u);  // xxHash's own, of nothing
  CHECK(ito::hex(0x0123456789abcdefu) == "0123456789abcdef");
  CHECK(Hash().add("ab").add("c").value() != Hash().add("a").add("bc").value());
  CHECK(Hash().add("abc").add("").value() != Hash().add("abc").value());
  const std::vector<uint8_t> zeros(1000);  // XXH3 has five ways, by length
  std::set<uint64_t> values;
  for (size_t size = 0; size <= zeros.size(); ++size) values.insert(Hash().add(zeros.data(), size).value());
  CHECK(values.size() == zeros.size() + 1);
}

TEST_CASE("a cache that claims sizes or counts that cannot be is made again") {
  const TempFolder folder(memory_folder());
  make_pngs(folder / "set", 3, 20, 20);
  const DatasetOptions options = options_for(folder, 16, 16);
  open_dataset(folder / "set", options);
  const fs::path file = only(folder / "cache", ".images");
  const std::vector<uint8_t> good = read_bytes(file);
  const auto note = [&](uint32_t height, uint32_t width, uint64_t count) {
    rewrite(file, good, [&](auto& bytes) {
      bytes.erase(bytes.begin(), bytes.begin() + 3 * 16 * 16 * 3);  // as of images without pixels
      set_in_trailer(bytes, 12, height), set_in_trailer(bytes, 16, width), set_in_trailer(bytes, 24, count);
    });
    const Opening opening = open_and_watch(folder / "set", options);
    REQUIRE(opening.notes.size() == 1);
    CHECK(read_bytes(file) == good);
    return opening.notes[0];
  };
  CHECK(contains(note(0, 0, uint64_t(1) << 40), "its header gives its images as 0x0; it is made again"));
  CHECK(contains(note(0x80000000, 0x80000000, 4), "its header gives its images as 2147483648x2147483648"));
  CHECK(contains(note(16, 16, uint64_t(1) << 56), "its length is wrong"));
  // Lengths that make up the file's only because their sum wraps: pixels beyond its end, and a description.
  rewrite(file, good, [&](auto& bytes) {
    bytes.erase(bytes.begin(), bytes.end() - 66);
    set_in_trailer(bytes, 12, uint32_t(1)), set_in_trailer(bytes, 16, uint32_t(1));
    set_in_trailer(bytes, 24, uint64_t(22)), set_in_trailer(bytes, 32, ~uint64_t(63));
  });
  CHECK(contains(open_and_watch(folder / "set", options).notes.at(0), "its length is wrong"));
}

TEST_CASE("waiting for another build can be given up") {
  const TempFolder folder(memory_folder());
  const fs::path target = folder / "a.images";
  const PartialCache first(target);
  int asked = 0;
  CHECK(error_of([&] {
          PartialCache second(target, [&] {
            if (++asked == 2) ito::fail("enough");
          });
        }) == "enough");
}

TEST_CASE("a cache under another's name is refused with both crops and sizes") {
  const TempFolder folder(memory_folder());
  make_celeba(folder / "celeba", 6);
  DatasetOptions options = options_for(folder, 32, 32);
  open_dataset(folder / "celeba", options);
  const std::vector<uint8_t> faces = cache_bytes(folder / "cache");
  options.crop = "none", options.height = 24, options.cache_dir = folder / "other";
  open_dataset(folder / "celeba", options);
  const fs::path file = only(folder / "other", ".images");
  const std::vector<uint8_t> whole = read_bytes(file);
  rewrite(file, faces, [](auto&) {});
  const Opening opening = open_and_watch(folder / "celeba", options);
  REQUIRE(opening.notes.size() == 1);
  CHECK(
      contains(opening.notes[0], "it holds crop ddim128 at 32x32, but its name promises crop none at 24x32"));
  CHECK(read_bytes(file) == whole);
}

TEST_CASE("pixels are checked once a file: copies and changes are noticed, the rest is not read again") {
  const TempFolder folder(memory_folder());
  make_pngs(folder / "set", 3, 20, 20);
  DatasetOptions options = options_for(folder, 16, 16);
  open_dataset(folder / "set", options);
  const fs::path file = only(folder / "cache", ".images");
  const fs::path note = hidden_sibling(file, "checked");
  const std::vector<uint8_t> good = read_bytes(file);
  let_settle();
  open_dataset(folder / "set", options);
  REQUIRE(fs::exists(note));
  rewrite(file, good, [](auto& bytes) { bytes[100] ^= 1; });  // a damaged copy
  CHECK(open_and_watch(folder / "set", options).notes.size() == 1);
  let_settle();
  open_dataset(folder / "set", options);
  rewrite(file, good, [](auto& bytes) { bytes[100] ^= 1; });
  struct stat s {};
  REQUIRE(stat(file.c_str(), &s) == 0);
  put(note,
      ito::cat(s.st_dev, " ", s.st_ino, " ", s.st_size, " ", s.st_mtim.tv_sec, ".", s.st_mtim.tv_nsec, " ",
               s.st_ctim.tv_sec, ".", s.st_ctim.tv_nsec, "\n"));  // as if this damaged file had been checked
  CHECK(open_and_watch(folder / "set", options).notes.empty());
  options.check_all = true;
  CHECK(open_and_watch(folder / "set", options).notes.size() == 1);
  CHECK(read_bytes(file) == good);
}

TEST_CASE("neither pictures nor a whole cache need a folder that can be written to") {
  const TempFolder folder(memory_folder());
  make_pngs(folder / "set", 3, 20, 20);
  DatasetOptions options = options_for(folder, 16, 16);
  fs::create_directories(folder / "cache");
  const auto as_guest = [&](const std::function<void()>& body) {  // root may write anywhere
    return in_child([&] {
      if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(9);
      if (access((folder / "set").c_str(), X_OK) != 0) _exit(8);
      body();
    });
  };
  fs::permissions(folder.path(), fs::perms(0755));
  fs::permissions(folder / "cache", fs::perms(0555));
  fs::permissions(folder / "set", fs::perms(0555));
  const int refused = as_guest([&] {
    const std::string error = error_of([&] { open_dataset(folder / "set", options); });
    _exit(contains(error, "cannot be made: Permission denied; choose another cache folder") ? 0 : 1);
  });
  fs::permissions(folder / "cache", fs::perms(0755));
  open_dataset(folder / "set", options);
  fs::permissions(folder / "cache", fs::perms(0555));
  const int works =
      as_guest([&] { _exit(open_and_watch(folder / "set", options).progress.empty() ? 0 : 1); });
  fs::permissions(folder / "cache", fs::perms(0755));
  fs::permissions(folder / "set", fs::perms(0755));
  if (refused == 8 || refused == 9) {
    MESSAGE("skipped: no other user, or none that may enter ", folder.path().string());
    return;
  }
  CHECK(refused == 0);
  CHECK(works == 0);
}
