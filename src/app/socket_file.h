#pragma once
// The file by which clients find a UNIX socket, and whether they still do.

#include <sys/stat.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

namespace revproxyd::app {

/// Takes away the file at `path`, which may be empty, if nobody listens there: another process may
/// have put its own in that place.
void remove_idle_socket(const std::string& path) noexcept;

/// The file of a UNIX socket that was bound and is not in use yet, or not any more. Destroyed once
/// that socket is closed, it takes the file away, so that nobody finds what is not there.
class FreshSocketFile {
 public:
  /// No file.
  FreshSocketFile() = default;
  explicit FreshSocketFile(std::string path) : path_(std::move(path)) {}
  FreshSocketFile(FreshSocketFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  FreshSocketFile& operator=(FreshSocketFile&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~FreshSocketFile();

  /// The socket is in use: the file stays.
  void keep() noexcept { path_.clear(); }

 private:
  std::string path_;
};

/// Remembers the file of a socket that listens.
class SocketFile {
 public:
  /// No file at all, which nobody loses.
  SocketFile() = default;
  /// That at `path` now. `inherited`: the socket was made by somebody else, and the file may be of
  /// another one.
  explicit SocketFile(std::string path, bool inherited = false);

  /// It was removed, or another was put in its place at which nobody listens, or it was never seen.
  bool is_lost() const noexcept;
  /// The same, once: for the log.
  bool is_newly_lost() noexcept;
  /// No file led to the socket from the beginning. It may have been removed before, or be one that
  /// others see: who made the socket may have another view of the file system.
  bool was_never_seen() const noexcept { return !path_.empty() && inode_ == 0; }
  /// It is lost, and nobody else can see it either.
  bool is_out_of_reach() const noexcept { return is_lost() && !was_never_seen(); }
  /// It leads to the socket.
  bool is_there() const noexcept;
  /// Takes it away if it is still that of the socket, which must be open.
  void remove() const noexcept;
  /// How it was lost, for the log; `removed` where it was there.
  std::string_view loss(std::string_view removed) const noexcept;

 private:
  bool is_that(const struct stat& status) const noexcept;

  std::string path_;  // empty: there is nothing to be lost
  dev_t device_ = 0;
  ino_t inode_ = 0;  // 0: it was never seen
  bool told_ = false;
};

}  // namespace revproxyd::app
