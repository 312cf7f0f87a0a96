#include "revproxyd/base/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace revproxyd {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

std::string system_text() { return std::generic_category().message(errno); }

// Empty when all was read.
std::string read_all(int fd, std::size_t limit, RegularFile& file) {
  char chunk[16 * 1024];
  for (;;) {
    const ssize_t got = ::read(fd, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_text();
    if (got == 0) return {};
    file.text.append(chunk, static_cast<std::size_t>(got));
    file.too_large = file.text.size() > limit;
    if (file.too_large) return "too large";
  }
}

}  // namespace

RegularFile read_regular_file(const std::string& path, std::size_t limit) {
  RegularFile file;
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (fd.get() < 0 || ::fstat(fd.get(), &status) != 0) {
    file.problem = system_text();
    return file;
  }
  if (!S_ISREG(status.st_mode)) {
    file.problem = "not a regular file";
    return file;
  }
  file.world_readable = (status.st_mode & S_IROTH) != 0;
  file.problem = read_all(fd.get(), limit, file);
  file.ok = file.problem.empty();
  return file;
}

}  // namespace revproxyd
