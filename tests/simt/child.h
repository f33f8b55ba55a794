#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

namespace simt {

/// How a process ended that called a function.
struct Ended {
  std::string said;  // on stderr
  bool by_fault;     // by a signal, or with an exit code other than 0
};

template <class Body>
Ended in_child(Body body) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  std::cout.flush();
  fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    body();
    _exit(0);
  }
  close(ends[1]);
  Ended ended{};
  char text[256];
  for (ssize_t count; (count = read(ends[0], text, sizeof text)) > 0;) ended.said.append(text, size_t(count));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  ended.by_fault = WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
  return ended;
}

}  // namespace simt
