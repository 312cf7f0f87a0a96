#pragma once
// Standard error as the descriptor that a test wants it to be.

#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace revproxyd {

/// Standard error is another descriptor while this lives.
class StderrReplaced {
 public:
  explicit StderrReplaced(int fd) : saved_(::dup(STDERR_FILENO)) { ::dup2(fd, STDERR_FILENO); }
  ~StderrReplaced() {
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
  }
  StderrReplaced(const StderrReplaced&) = delete;
  StderrReplaced& operator=(const StderrReplaced&) = delete;

 private:
  int saved_;
};

/// In its place a socket of messages that takes none that is long.
class NarrowStderr {
 public:
  NarrowStderr() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends_), 0);
    const int least = 1;
    EXPECT_EQ(::setsockopt(ends_[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
    replaced_.emplace(ends_[1]);
  }
  ~NarrowStderr() {
    replaced_.reset();
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  NarrowStderr(const NarrowStderr&) = delete;
  NarrowStderr& operator=(const NarrowStderr&) = delete;

  static std::string too_long() { return std::string(64 * 1024, 'x'); }
  /// Takes what has come.
  std::string empty() const {
    std::string all;
    char block[4096];
    for (ssize_t size; (size = ::recv(ends_[0], block, sizeof block, MSG_DONTWAIT)) > 0;)
      all.append(block, static_cast<std::size_t>(size));
    return all;
  }

 private:
  int ends_[2] = {-1, -1};
  std::optional<StderrReplaced> replaced_;
};

}  // namespace revproxyd
