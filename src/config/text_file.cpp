#include "config/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "revproxyd/config/value.h"

namespace revproxyd::config {

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

}  // namespace

TextFile read_text_file(const std::string& path, std::size_t limit) {
  TextFile file;
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
  char chunk[16 * 1024];
  for (;;) {
    const ssize_t got = ::read(fd.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      file.problem = system_text();
      return file;
    }
    if (got == 0) break;
    file.text.append(chunk, static_cast<std::size_t>(got));
    if (file.text.size() <= limit) continue;
    file.problem = "larger than " + size_text(limit);
    return file;
  }
  file.ok = true;
  return file;
}

}  // namespace revproxyd::config
