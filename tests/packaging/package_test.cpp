// The Debian package: what is in it, and that it says so.

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/support/command.h"
#include "tests/support/files.h"

namespace revproxyd::testing {

namespace {

namespace fs = std::filesystem;

std::string in_tree(const std::string& path) {
  return read_file(std::string(REVPROXYD_SOURCE_DIR) + "/" + path);
}

// The only package in a directory that the build wrote into.
std::string package_in(const std::string& directory) {
  std::string found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() != ".deb") continue;
    EXPECT_TRUE(found.empty()) << found << " and " << entry.path();
    found = entry.path();
  }
  return found;
}
std::string package() { return package_in(REVPROXYD_PACKAGE_DIR); }

std::string run(const std::vector<std::string>& argv) {
  const CommandResult result = run_command(argv);
  EXPECT_EQ(result.status, 0) << argv.front() << ": " << result.out;
  return result.out;
}

std::string field(const std::string& name) {
  std::string text = run({"dpkg-deb", "-f", package(), name});
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// "-rwxr-xr-x root/root ./usr/sbin/revproxyd" of each file, nothing of directories.
std::set<std::string> contents() {
  static const std::regex kLine(R"((\S+) (\S+) +\d+ \S+ \S+ (\S+))");
  std::set<std::string> files;
  for (const std::string& line : lines_of(run({"dpkg-deb", "-c", package()}))) {
    std::smatch match;
    EXPECT_TRUE(std::regex_match(line, match, kLine)) << line;
    if (line.starts_with('d')) {
      EXPECT_EQ(match.format("$1 $2"), "drwxr-xr-x root/root") << line;
    } else {
      files.insert(match.format("$1 $2 $3"));
    }
  }
  return files;
}

std::set<std::string> expected_contents() {
  std::set<std::string> files{"-rwxr-xr-x root/root ./usr/sbin/revproxyd"};
  for (const char* path :
       {"etc/logrotate.d/revproxyd", "etc/revproxyd/revproxyd.yaml",
        "lib/systemd/system/revproxyd.service", "lib/systemd/system/revproxyd.socket",
        "usr/share/bash-completion/completions/revproxyd",
        "usr/share/doc/revproxyd/changelog.Debian.gz", "usr/share/doc/revproxyd/changelog.gz",
        "usr/share/doc/revproxyd/copyright", "usr/share/fish/vendor_completions.d/revproxyd.fish",
        "usr/share/lintian/overrides/revproxyd", "usr/share/man/man8/revproxyd.8.gz",
        "usr/share/zsh/vendor-completions/_revproxyd"})
    files.insert("-rw-r--r-- root/root ./" + std::string(path));
  const fs::path pages = fs::path(REVPROXYD_SOURCE_DIR) / "docs";
  for (const auto& entry : fs::recursive_directory_iterator(pages)) {
    const std::string page = fs::relative(entry.path(), pages).string();
    if (entry.is_regular_file() && page != "changelog.md")
      files.insert("-rw-r--r-- root/root ./usr/share/doc/revproxyd/" + page);
  }
  for (const auto& entry :
       fs::recursive_directory_iterator(std::string(REVPROXYD_SOURCE_DIR) + "/config")) {
    if (entry.path().extension() == ".yaml")
      files.insert("-rw-r--r-- root/root ./usr/share/doc/revproxyd/examples/" +
                   entry.path().filename().string());
  }
  return files;
}

/// The package's files, and its scripts in DEBIAN.
class Unpacked {
 public:
  Unpacked() { run({"dpkg-deb", "-R", package(), root()}); }
  std::string root() const { return directory_.file("root"); }
  std::string path(const std::string& name) const { return root() + "/" + name; }
  std::string read(const std::string& name) const { return read_file(path(name)); }

 private:
  TempDir directory_;
};

}  // namespace

TEST(Package, HoldsTheseFilesAndNoOther) { EXPECT_EQ(contents(), expected_contents()); }

TEST(Package, SaysWhatItIsAndWhatItNeeds) {
  EXPECT_EQ(field("Package"), "revproxyd");
  EXPECT_EQ(field("Maintainer"), "revproxyd maintainers <maintainers@revproxyd.example>");
  EXPECT_TRUE(
      in_tree("packaging/debian/changelog").starts_with("revproxyd (" + field("Version") + ") "));
  EXPECT_TRUE(field("Version").starts_with(REVPROXYD_VERSION "-"));
  const std::string depends = field("Depends");
  for (const char* name : {"adduser", "libc6 (>= ", "libssl3 (>= ", "libnghttp2-14 (>= ",
                           "libc-ares2 (>= ", "libre2-9 (>= ", "libyaml-cpp0.7 (>= "})
    EXPECT_NE(depends.find(name), std::string::npos) << name << " in " << depends;
}

TEST(Package, KeepsWhatAdministratorsEdit) {
  const Unpacked unpacked;
  std::string files;
  for (const auto& entry : fs::recursive_directory_iterator(unpacked.path("etc"))) {
    if (entry.is_regular_file())
      files += entry.path().string().substr(unpacked.root().size()) + "\n";
  }
  std::vector<std::string> there = lines_of(files);
  std::vector<std::string> kept = lines_of(unpacked.read("DEBIAN/conffiles"));
  std::ranges::sort(there);
  std::ranges::sort(kept);
  EXPECT_EQ(there, kept);
}

TEST(Package, ConfigurationPassesItsTestWithoutAWarning) {
  const Unpacked unpacked;
  const std::string file = unpacked.path("etc/revproxyd/revproxyd.yaml");
  const CommandResult result = run_command({REVPROXYD_BINARY, "-t", "--strict", "-c", file});
  EXPECT_EQ(result.status, 0) << result.out;
  EXPECT_NE(unpacked.read("etc/revproxyd/revproxyd.yaml")
                .find("\n  - { name: http, address: \"127.0.0.1:"),
            std::string::npos)
      << "only this machine is served before someone edits the file";
}

TEST(Package, UnitRunsTheInstalledConfiguration) {
  const std::string unit = Unpacked().read("lib/systemd/system/revproxyd.service");
  EXPECT_NE(unit.find(" -c /etc/revproxyd/revproxyd.yaml\n"), std::string::npos) << unit;
  EXPECT_NE(unit.find("\nUser=revproxyd\n"), std::string::npos) << unit;
}

TEST(Package, ScriptsAreShell) {
  const Unpacked unpacked;
  for (const char* name : {"postinst", "prerm", "postrm"}) {
    const std::string path = unpacked.path("DEBIAN/" + std::string(name));
    EXPECT_EQ(::access(path.c_str(), X_OK), 0) << name;
    run({"sh", "-n", path});
  }
}

TEST(Package, BinaryIsStrippedAndHasItsBuildId) {
  const Unpacked unpacked;
  const std::string sections = run({"readelf", "-SW", unpacked.path("usr/sbin/revproxyd")});
  EXPECT_EQ(sections.find(".symtab"), std::string::npos) << sections;
  EXPECT_NE(sections.find(".note.gnu.build-id"), std::string::npos) << sections;
}

TEST(Package, IsPackedTheSameAgain) {
  const auto digest = [](const std::string& file) {
    return run({"sha256sum", file}).substr(0, 64);
  };
  EXPECT_EQ(digest(package()), digest(package_in(REVPROXYD_PACKAGE_DIR "-again")));
}

}  // namespace revproxyd::testing
