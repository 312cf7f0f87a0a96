#pragma once
// Files and directories of one test.

#include <string>
#include <string_view>

namespace revproxyd::testing {

/// A fresh directory, removed with all it holds when this object goes.
class TempDir {
 public:
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  const std::string& path() const noexcept { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

/// Replaces the file at once, by a rename. Throws when that is not possible.
void write_file(const std::string& path, std::string_view content);

/// Empty when there is no such file.
std::string read_file(const std::string& path);

}  // namespace revproxyd::testing
