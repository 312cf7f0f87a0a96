#include "base/log_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <utility>

namespace revproxyd {

namespace {
// Readable for the group that log collectors run in, and for nobody else: lines name clients.
constexpr mode_t kFileMode = 0640;

// A new file gets its mode whatever the umask, which is for files that nobody else should read.
int open_file(const char* path) noexcept {
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  int fd = ::open(path, kFlags | O_CREAT | O_EXCL, kFileMode);
  if (fd >= 0) {
    ignore(::fchmod(fd, kFileMode), "it stays as the umask made it");
  } else if (errno == EEXIST) {
    fd = ::open(path, kFlags | O_CREAT, kFileMode);
  }
  return fd;
}

}  // namespace

Result<LogOutput> LogOutput::open(const std::string& path) {
  if (path == "-") return open_inherited(STDOUT_FILENO);
  if (path == "stderr") return open_inherited(STDERR_FILENO);
  // Not blocking: a FIFO or a terminal under this name must not stop the start or, later, the
  // writer.
  const int fd = open_file(path.c_str());
  if (fd < 0) return Error(Code::system, "cannot open the log file", errno);
  struct stat status {};
  if (::fstat(fd, &status) != 0) {
    const int error = errno;
    ::close(fd);
    return Error(Code::system, "cannot read the state of the log file", error);
  }
  return LogOutput(fd, S_ISREG(status.st_mode) ? Kind::file : Kind::stream);
}

// O_NONBLOCK belongs to the open file that we share with our parent and its other children, so it
// is never set on what was inherited. A pipe or terminal is opened once more by its name in /proc,
// which gives an open file of our own.
Result<LogOutput> LogOutput::open_inherited(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error(Code::system, "the standard stream is closed", errno);
  if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
    const std::string name = "/proc/self/fd/" + std::to_string(fd);
    const int own = ::open(name.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (own >= 0) return LogOutput(own, Kind::stream);
  }
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (copy < 0) return Error(Code::system, "cannot duplicate the standard stream", errno);
  if (S_ISSOCK(status.st_mode)) return LogOutput(copy, Kind::socket);
  return LogOutput(copy, S_ISREG(status.st_mode) ? Kind::file : Kind::blocking_stream);
}

LogOutput::LogOutput(LogOutput&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), kind_(other.kind_) {}

LogOutput& LogOutput::operator=(LogOutput&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::exchange(other.fd_, -1);
  kind_ = other.kind_;
  return *this;
}

void LogOutput::close() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

ssize_t LogOutput::write(Bytes bytes) noexcept {
  if (kind_ == Kind::blocking_stream) {
    pollfd entry{fd_, POLLOUT, 0};
    if (::poll(&entry, 1, 0) == 0) return -EAGAIN;
  }
  for (;;) {
    const ssize_t size = kind_ == Kind::socket
                             ? ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                             : ::write(fd_, bytes.data(), bytes.size());
    if (size >= 0) return size;
    if (errno != EINTR) return -errno;
  }
}

Bytes LogOutput::piece(Bytes lines) const noexcept {
  if (kind_ == Kind::file || lines.size() <= PIPE_BUF) return lines;
  std::size_t end = lines.rfind('\n', PIPE_BUF - 1);
  if (end == Bytes::npos) end = lines.find('\n');
  return end == Bytes::npos ? lines : lines.substr(0, end + 1);
}

}  // namespace revproxyd
