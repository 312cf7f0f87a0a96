// Where `ctl` finds the socket in a file that its caller cannot read as the daemon does.

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/files.h"
#include "tests/unit/app/loading.h"

namespace revproxyd::app {
namespace {

using namespace test;
using revproxyd::testing::TempDir;
using revproxyd::testing::write_file;

class LoadAdmin : public ::testing::Test {
 protected:
  /// The path of the socket in a file with that text; what is said where it cannot be told.
  std::string socket(const std::string& text) const {
    const std::string file = directory_.file("proxy.yaml");
    write_file(file, text);
    config::Report report;
    const auto admin = load_admin(file, report);
    return admin ? admin->socket : report.text();
  }

  const std::string default_ = AdminSettings().socket;
  TempDir directory_;
};

TEST_F(LoadAdmin, IsTheDefaultWhereTheFileSaysNone) {
  EXPECT_EQ(socket(""), default_);
  EXPECT_EQ(socket("admin: {}\n"), default_);
  EXPECT_EQ(socket("nonsense: 1\nroutes: [ {} ]\nlog: {}\nlog: {}\n"), default_);
  EXPECT_EQ(socket("log: { path: '${env:REVPROXYD_TEST_NONE}' }\n"), default_);
}

TEST_F(LoadAdmin, IsThatOfTheFileWhateverElseIsWrong) {
  EXPECT_EQ(socket("nonsense: 1\nadmin: { socket: /run/x }\n"), "/run/x");
  EXPECT_EQ(socket("include: [ none.yaml ]\nadmin: { socket: /run/x }\n"), "/run/x");
  write_file(directory_.file("site.yaml"), "admin: { socket: /run/y }\n");
  EXPECT_EQ(socket("include: [ site.yaml ]\nnonsense: 1\n"), "/run/y");
}

TEST_F(LoadAdmin, IsUnknownWhereTheSectionIsWrong) {
  EXPECT_TRUE(holds(socket("admin: { socket: x }\n"), "the path must be absolute"));
  EXPECT_TRUE(holds(socket("admin: { sockt: /x }\n"), "unknown key 'sockt' in admin"));
  EXPECT_TRUE(holds(socket("admin: { socket: '${env:REVPROXYD_TEST_NONE}' }\n"), "is not set"));
}

TEST_F(LoadAdmin, IsUnknownWhereAFileCouldNotBeRead) {
  EXPECT_TRUE(holds(socket("a: [\n"), "is never closed"));
  EXPECT_TRUE(holds(socket("- a\n"), "expected keys"));
  EXPECT_TRUE(holds(socket("include: [ none.yaml ]\n"), "cannot read"));
  EXPECT_TRUE(holds(socket("include: { a: b }\n"), "expected a list of files"));
  EXPECT_TRUE(holds(socket("include: [ '' ]\n"), "expected the path of a file"));
  EXPECT_TRUE(holds(socket("include: '${env:REVPROXYD_TEST_NONE}'\n"), "is not set"));
  std::filesystem::create_symlink("loop", directory_.file("loop"));
  EXPECT_TRUE(holds(socket("include: 'loop/*.yaml'\n"), "cannot read"));
  write_file(directory_.file("site.yaml"), "a: [\n");
  EXPECT_TRUE(holds(socket("include: [ site.yaml ]\n"), "is never closed"));
}

}  // namespace
}  // namespace revproxyd::app
