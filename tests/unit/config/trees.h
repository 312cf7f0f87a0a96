#pragma once
// Trees of texts and files, and what is said of those that are refused.

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "revproxyd/config/load_tree.h"

namespace revproxyd::config::test {

namespace fs = std::filesystem;

/// A directory that goes when the test ends.
class Directory {
 public:
  Directory() {
    std::string name = (fs::temp_directory_path() / "revproxyd-config-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Directory() { fs::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return (path_ / name).string();
  }

 private:
  fs::path path_;
};

/// The messages for a text that is refused; generous in time for sanitizers and loaded machines.
inline std::string refusal(const std::string& text, const ReadLimits& limits = {}) {
  Report report;
  const auto begin = std::chrono::steady_clock::now();
  const Tree tree = parse_tree(text, "proxy.yaml", report, limits);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_FALSE(report.ok());
  return report.text();
}

inline std::string repeat(std::string_view text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

inline bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace revproxyd::config::test
