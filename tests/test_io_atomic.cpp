#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "engine/io/atomic_folder.h"
#include "io_helpers.h"

using namespace ito::io;
using namespace ito::tests;
namespace fs = std::filesystem;

namespace {

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

/// Runs `action` in a process of its own, which then stops dead: no destructor runs.
template <class F>
void run_and_die(F&& action) {
  const pid_t child = fork();
  if (child == 0) {
    action();
    raise(SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
}

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("what is not a regular file is not replaced: a device, a pipe") {
  const TempFolder folder;
  const std::filesystem::path pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::filesystem::path& path : {std::filesystem::path("/dev/null"), pipe}) {
    CHECK(contains(error_of([&] { write_file_atomic(path, "x"); }), "is not a regular file"));
    CHECK(!std::filesystem::is_regular_file(path));
  }
}

TEST_CASE("a file appears whole, over an older one, and leaves nothing else") {
  const TempFolder folder;
  write_file_atomic(folder / "a.json", "old");
  {
    AtomicFile file(folder / "a.json");
    file.write("new", 3);
    CHECK(read_file(folder / "a.json") == "old");
    file.write("er", 2);
    file.commit();
  }
  CHECK(read_file(folder / "a.json") == "newer");
  {
    AtomicFile file(folder / "a.json");
    file.write("half", 4);
  }
  CHECK(read_file(folder / "a.json") == "newer");
  CHECK(names_in(folder.path()) == Names{"a.json"});
  CHECK(contains(error_of([&] { write_file_atomic(folder / "absent/a", "x"); }), "absent/a: cannot create"));
  CHECK(contains(error_of([&] { read_file(folder / "a.json", 4); }), "has 5 bytes, expected at most 4"));
}

TEST_CASE("a bare name is written into the working directory") {
  const TempFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_file_atomic("bare", "x");
  {
    AtomicFolder target("folder/");
    put(target.path() / "in", "y");
    target.commit();
  }
  fs::current_path(before);
  CHECK(names_in(folder.path()) == Names{"bare", "folder"});
  CHECK(read_file(folder / "folder/in") == "y");
}

TEST_CASE("a folder appears whole, with its subfolders, over an older one") {
  const TempFolder folder;
  for (const std::string content : {"first", "second"}) {
    AtomicFolder target(folder / "checkpoint");
    fs::create_directory(target.path() / "unet");
    put(target.path() / "unet/weights", content);
    put(target.path() / content, "");
    if (content == "second") CHECK(read_file(folder / "checkpoint/unet/weights") == "first");
    target.commit();
    CHECK(read_file(folder / "checkpoint/unet/weights") == content);
    CHECK(names_in(folder / "checkpoint") == Names{"unet", content});
    CHECK(names_in(folder.path()) == Names{"checkpoint"});
  }
}

TEST_CASE("without commit the older folder stays, and nothing else is left") {
  const TempFolder folder;
  {
    AtomicFolder target(folder / "c");
    put(target.path() / "x", "1");
    target.commit();
  }
  {
    AtomicFolder target(folder / "c");
    put(target.path() / "x", "2");
  }
  CHECK(read_file(folder / "c/x") == "1");
  CHECK(names_in(folder.path()) == Names{"c"});
  put(folder / "file", "");
  CHECK(contains(error_of([&] { AtomicFolder(folder / "file"); }), "file: is a file"));
}

TEST_CASE("two writers of one name do not disturb each other; the last commit stays") {
  const TempFolder folder;
  AtomicFolder one(folder / "c"), two(folder / "c");
  CHECK(one.path() != two.path());
  put(one.path() / "x", "one");
  put(two.path() / "x", "two");
  two.commit();
  one.commit();
  CHECK(read_file(folder / "c/x") == "one");
  CHECK(names_in(folder.path()) == Names{"c"});
}

TEST_CASE("a process that may open nothing more gets an error that says so, and leaves nothing") {
  const TempFolder folder;
  rlimit usual{};
  getrlimit(RLIMIT_NOFILE, &usual);
  const rlimit none{0, usual.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const std::string of_folder = error_of([&] { AtomicFolder(folder / "c"); });
  const std::string of_file = error_of([&] { AtomicFile(folder / "f"); });
  setrlimit(RLIMIT_NOFILE, &usual);
  CHECK(contains(of_folder, "Too many open files"));
  CHECK(contains(of_file, "Too many open files"));
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("leftovers of killed writers are cleaned, those of living ones and others' files are not") {
  const TempFolder folder;
  run_and_die([&] {
    AtomicFolder target(folder / "c");
    put(target.path() / "x", "dead");
    raise(SIGKILL);
  });
  run_and_die([&] {
    AtomicFile file(folder / "c");
    raise(SIGKILL);
  });
  for (const char* other : {".c.txt", ".c.1.0.tmpx", ".c.x.0.tmp", ".cc.1.0.tmp", "c.1.0.tmp"})
    put(folder / other, "");
  CHECK(names_in(folder.path()).size() ==
        6);  // the folder's leftover, already cleaned by the file's writer, is gone
  AtomicFolder alive(folder / "c");
  clean_leftovers(folder / "c");
  CHECK(fs::exists(alive.path()));
  const Names left = names_in(folder.path());
  CHECK(left == Names{".c.txt", ".c.1.0.tmpx", ".c.x.0.tmp", ".cc.1.0.tmp", "c.1.0.tmp",
                      alive.path().filename().string()});
}

TEST_CASE("leftovers that are kept are cleaned later, those of every target at once") {
  const TempFolder folder;
  run_and_die([&] {
    AtomicFile one(folder / "one"), two(folder / "two");
    raise(SIGKILL);
  });
  const Names left = names_in(folder.path());
  CHECK(left.size() == 2);
  {
    AtomicFile file(folder / "one", Leftovers::keep);
    file.write("x", 1);
    file.commit(false);
  }
  CHECK(names_in(folder.path()).size() == 3);
  const AtomicFile alive(folder / "two", Leftovers::keep);
  put(folder / ".tmp", "");
  put(folder / ".1.0.tmp", "");
  clean_all_leftovers(folder.path());
  const Names now = names_in(folder.path());
  CHECK(now.size() == 4);
  for (const char* kept : {"one", ".tmp", ".1.0.tmp"}) CHECK(now.count(kept) == 1);
  for (const std::string& name : left) CHECK(now.count(name) == 0);
}

TEST_CASE("a folder moved away by a writer that died returns, unless a newer one took its place") {
  const TempFolder folder;
  fs::create_directory(folder / ".c.123.0.old.tmp");
  put(folder / ".c.123.0.old.tmp/x", "kept");
  clean_leftovers(folder / "c");
  CHECK(read_file(folder / "c/x") == "kept");
  fs::create_directory(folder / ".c.123.0.old.tmp");
  clean_leftovers(folder / "c");
  CHECK(names_in(folder.path()) == Names{"c"});
  CHECK(read_file(folder / "c/x") == "kept");
}

TEST_CASE("a full disk is reported with the file's name") {
  // A file-size limit fails a write as a full disk does; it is set in a child, which reports by its exit
  // status.
  const TempFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit small{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string text = error_of([&] { write_file_atomic(folder / "big", std::string(5000, 'x')); });
    _exit(contains(text, "big: cannot write: File too large") && names_in(folder.path()).empty() ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
}
