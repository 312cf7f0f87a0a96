#pragma once
// What tests of the log writer begin with: a directory of their own, and a reader that may be slow.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "revproxyd/base/log_writer.h"

namespace revproxyd {

inline constexpr Duration kPatience{20000};

class LogWriterTest : public testing::Test {
 protected:
  LogWriterTest() {
    std::string name = (std::filesystem::temp_directory_path() / "revproxyd-log-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~LogWriterTest() override { std::filesystem::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  static std::string text(const std::string& file) {
    std::ostringstream out;
    out << std::ifstream(file).rdbuf();
    return out.str();
  }
  static std::unique_ptr<LogWriter> open(LogWriterOptions options) {
    auto writer = LogWriter::open(std::move(options));
    EXPECT_TRUE(writer.has_value());
    return std::move(*writer);
  }
  static std::unique_ptr<LogWriter> open(
      const std::string& file, std::size_t pending_bytes = LogWriterOptions().pending_bytes) {
    LogWriterOptions options;
    options.path = file;
    options.pending_bytes = pending_bytes;
    return open(std::move(options));
  }

 private:
  std::filesystem::path directory_;
};

/// A FIFO with a reader that reads when told to, so that a writer can be brought to a halt.
class Fifo {
 public:
  explicit Fifo(const std::string& path) {
    EXPECT_TRUE(::mkfifo(path.c_str(), 0600) == 0 || errno == EEXIST);
    fd_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    EXPECT_GE(fd_, 0);
    ::fcntl(fd_, F_SETPIPE_SZ, 4096);
  }
  ~Fifo() { close(); }
  Fifo(const Fifo&) = delete;
  Fifo& operator=(const Fifo&) = delete;

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  /// Reads until `writer` has nothing left.
  std::string drain(LogWriter& writer) {
    std::string all;
    const TimePoint give_up = Clock::now() + kPatience;
    bool more = true;
    while (more && Clock::now() < give_up) {
      more = writer.pending_bytes() != 0;  // asked first: what is no longer pending is in the pipe
      char block[4096];
      for (ssize_t size; (size = ::read(fd_, block, sizeof block)) > 0;)
        all.append(block, static_cast<std::size_t>(size));
      if (more) writer.flush(Duration{1});
    }
    return all;
  }

 private:
  int fd_ = -1;
};

}  // namespace revproxyd
