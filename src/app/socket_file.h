#pragma once
// The file by which clients find a UNIX socket, and whether they still do.

#include <sys/types.h>

#include <string>

namespace revproxyd::app {

/// Nobody listens at the path: connecting to it is refused.
bool nobody_listens_at(const std::string& path) noexcept;

/// Remembers the file of a socket that listens.
class SocketFile {
 public:
  /// No file at all, which nobody loses.
  SocketFile() = default;
  /// That at `path` now. Where there is none to be seen, as when the socket was made by another
  /// process with a view of its own, it is taken for one that stays.
  explicit SocketFile(std::string path);

  /// It was removed, or another was put in its place at which nobody listens.
  bool is_lost() const noexcept;
  /// The same, once: for the log.
  bool is_newly_lost() noexcept;

 private:
  std::string path_;  // empty: there is nothing to be lost
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool told_ = false;
};

}  // namespace revproxyd::app
