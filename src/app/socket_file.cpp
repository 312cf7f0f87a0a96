#include "app/socket_file.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "revproxyd/net/address.h"
#include "revproxyd/net/descriptor.h"

namespace revproxyd::app {

namespace {

// Connecting to it is refused.
bool nobody_listens_at(const std::string& path) noexcept {
  const auto address = net::Address::unix_path(path);
  const net::Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return address && ::connect(probe.get(), address->data(), address->size()) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

void remove_idle_socket(const std::string& path) noexcept {
  if (!path.empty() && nobody_listens_at(path)) ::unlink(path.c_str());
}

FreshSocketFile::~FreshSocketFile() { remove_idle_socket(path_); }

SocketFile::SocketFile(std::string path, bool inherited) : path_(std::move(path)) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) != 0) {
    if (errno != ENOENT) path_.clear();
    return;
  }
  if (inherited && nobody_listens_at(path_)) return;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

bool SocketFile::is_there() const noexcept {
  struct stat status {};
  return ::lstat(path_.c_str(), &status) == 0 && is_that(status);
}

bool SocketFile::is_lost() const noexcept {
  if (path_.empty()) return false;
  struct stat status {};
  if (::lstat(path_.c_str(), &status) != 0) return errno == ENOENT;
  return !is_that(status) && nobody_listens_at(path_);
}

// An open socket keeps its inode, so no other file has that number.
void SocketFile::remove() const noexcept {
  if (is_there()) ::unlink(path_.c_str());
}

bool SocketFile::is_that(const struct stat& status) const noexcept {
  return inode_ != 0 && status.st_dev == device_ && status.st_ino == inode_;
}

bool SocketFile::is_newly_lost() noexcept { return !told_ && (told_ = is_lost()); }

std::string_view SocketFile::loss(std::string_view removed) const noexcept {
  return was_never_seen() ? "no file leads to the inherited socket, as far as can be seen"
                          : removed;
}

}  // namespace revproxyd::app
