#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/helpers.h"
#include "tests/program.h"

/// How programs end where their output or a path of theirs is refused.
namespace ito::tests {
namespace {

/// Runs a shell's line with the programs on its path: what it printed, and its exit code.
Ended shell(const TempFolder& folder, const std::string& line) {
  put(folder / "line.sh", "PATH=" ITO_APP_DIR ":$PATH\n" + line + "\n");
  const std::string command =
      "cd '" + folder.path().string() + "' && bash line.sh >shell_out.txt 2>shell_err.txt";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, io::read_file(folder / "shell_out.txt"),
          io::read_file(folder / "shell_err.txt")};
}

/// One line on standard error that has all of these parts, and exit code 1.
void refused(const Ended& ended, const std::vector<std::string>& parts) {
  CAPTURE(ended.err);
  CHECK(ended.code == 1);
  CHECK(ended.err.find('\n') == ended.err.size() - 1);
  CHECK_FALSE(contains(ended.err, "filesystem error"));
  for (const std::string& part : parts) {
    CAPTURE(part);
    CHECK(contains(ended.err, part));
  }
}

}  // namespace

TEST_CASE("output that cannot be written is an error, whatever is printed") {
  const TempFolder folder;
  for (const char* command : {"sample --help", "inspect --version", "evaluate --help-markdown"}) {
    CAPTURE(command);
    refused(shell(folder, cat(command, " >/dev/full")),
            {"standard output: not all of it could be written: No space left on device; make room there"});
    refused(shell(folder, cat(command, " >&-")), {"standard output: not all of it could be written"});
  }
  // Where the program has flushed before its end, and where it fails anyway.
  put(folder / "x.png", "no picture");
  refused(shell(folder, "inspect image x.png >/dev/full"), {"x.png"});
}

TEST_CASE("a pipe that is not read any more ends a program quietly, with SIGPIPE or without") {
  const TempFolder folder;
  for (const char* trap : {"", "trap '' PIPE; "}) {
    const Ended ended = shell(
        folder, cat(trap, "sleep 0.2 | true; { sleep 0.1; inspect --help; echo $? >code.txt; } | true"));
    CHECK(ended.err.empty());
    const std::string code = io::read_file(folder / "code.txt");
    CHECK(code == (*trap ? "0\n" : "141\n"));  // 128 + SIGPIPE
  }
}

TEST_CASE("a path that the file system refuses is reported with its flag") {
  const TempFolder folder;
  put(folder / "file", "");
  const std::string longest(300, 'x');
  const auto run = [&](const std::string& command) { return run_program(folder.path(), command); };
  refused(run(cat("train_celeba . --preset tiny --out ", longest)),
          {"--out x", ": File name too long; name"});
  refused(run(cat("sample --checkpoint ", longest)),
          {"--checkpoint x", ": File name too long; name another"});
  refused(run(cat("evaluate . --json ", longest)), {"--json x", "File name too long; name another"});
  refused(run("evaluate . --json file/r.json"), {"--json file/r.json: there is no folder"});
  refused(run(cat("evaluate ", longest)), {"generated x", ": File name too long; name another place"});
  refused(run(cat("inspect data . --sheet file/", longest)), {"--sheet file/x", "there is no folder"});
  refused(run(cat("inspect forward --input x --c-noise 0 --output ", longest)),
          {"--output x", ": File name too long; name another place"});
  refused(run(cat("inspect checkpoint ", longest)), {"folder x", ": File name too long; name another place"});
  refused(run("evaluate . --inception file/x"), {"--inception file/x: cannot open: Not a directory"});
}

}  // namespace ito::tests
