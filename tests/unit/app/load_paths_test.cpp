// Relative paths of files.

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/files.h"
#include "tests/unit/app/loading.h"

namespace revproxyd::app {
namespace {

namespace fs = std::filesystem;
using namespace test;

/// All keys that name a file, with relative paths.
const std::string kPaths =
    "listeners: [ { address: ':443', tls: { client_auth: { mode: required, ca: ca.pem } } } ]\n"
    "certificates: [ { hosts: a.example, cert: a.pem, key: a.key } ]\n"
    "upstreams: { u: { servers: [ { url: https://a } ], tls: { ca: u.pem, cert: c.pem, key: c.key "
    "} } }\n"
    "access_log: { path: access.log }\n"
    "log: { path: error.log }\n" +
    route("to: u");

void expect_all_in(const std::string& directory, const Settings& settings) {
  const auto& tls = *settings.listeners.at(0).tls;
  EXPECT_EQ(tls.client_auth.ca, directory + "/ca.pem");
  EXPECT_EQ(settings.certificates.at(0).cert, directory + "/a.pem");
  EXPECT_EQ(settings.certificates.at(0).key, directory + "/a.key");
  const auto& upstream = settings.upstreams.at(0).tls;
  EXPECT_EQ(upstream.ca, directory + "/u.pem");
  EXPECT_EQ(upstream.cert, directory + "/c.pem");
  EXPECT_EQ(upstream.key, directory + "/c.key");
  EXPECT_EQ(settings.access_log.path, directory + "/access.log");
  EXPECT_EQ(settings.log.path, directory + "/error.log");
}

TEST(LoadPaths, BeginAtTheDirectoryOfTheFile) {
  const testing::TempDir directory;
  const std::string file = directory.file("proxy.yaml");
  testing::write_file(file, kPaths);
  const LoadResult result = load_file(file);
  ASSERT_TRUE(result.ok()) << result.report.text();
  expect_all_in(fs::path(file).parent_path().string(), result.settings);
}

// It is found from the working directory; what it says then holds in any.
TEST(LoadPaths, AreAbsoluteThoughThatOfTheFileIsNot) {
  const testing::TempDir directory;
  testing::write_file(directory.file("proxy.yaml"), kPaths);
  const fs::path here = fs::current_path();
  fs::current_path(directory.file("."));
  const std::string found = fs::current_path().string();
  for (const char* name : {"proxy.yaml", "./proxy.yaml"}) {
    const LoadResult result = load_file(name);
    ASSERT_TRUE(result.ok()) << result.report.text();
    expect_all_in(found, result.settings);
  }
  fs::current_path(here);
}

TEST(LoadPaths, OfAnIncludedFileBeginAtItsOwnDirectory) {
  const testing::TempDir directory;
  fs::create_directories(directory.file("sites/more"));
  const std::string file = directory.file("proxy.yaml");
  testing::write_file(file, "include: sites/*.yaml\nlog: { path: error.log }\n");
  testing::write_file(directory.file("sites/a.yaml"),
                      "include: more/b.yaml\naccess_log: { path: access.log }\n" +
                          std::string(kListener) + route("to: http://a"));
  testing::write_file(directory.file("sites/more/b.yaml"),
                      "certificates: [ { hosts: a.example, cert: a.pem, key: ../a.key } ]\n");
  const LoadResult result = load_file(file);
  ASSERT_TRUE(result.ok()) << result.report.text();
  EXPECT_EQ(result.settings.log.path, directory.file("error.log"));
  EXPECT_EQ(result.settings.access_log.path, directory.file("sites/access.log"));
  EXPECT_EQ(result.settings.certificates.at(0).cert, directory.file("sites/more/a.pem"));
  EXPECT_EQ(result.settings.certificates.at(0).key, directory.file("sites/more/../a.key"));
}

TEST(LoadPaths, OfNoFileBeginAtTheWorkingDirectory) {
  expect_all_in(fs::current_path().string(), good(kPaths));
}

TEST(LoadPaths, ArePrintedAbsolute) {
  const std::string printed = print_effective(good(kPaths));
  EXPECT_TRUE(holds(printed, "cert: " + fs::current_path().string() + "/a.pem\n")) << printed;
  const testing::TempDir elsewhere;
  testing::write_file(elsewhere.file("printed.yaml"), printed);
  const LoadResult again = load_file(elsewhere.file("printed.yaml"));
  ASSERT_TRUE(again.ok()) << again.report.text();
  EXPECT_EQ(print_effective(again.settings), printed);
}

TEST(LoadPaths, AreNotMadeOfWords) {
  const Settings off = good(std::string(kListener) + "access_log: { path: off }\n" +
                            "log: { path: stderr }\n" + route("to: http://a"));
  EXPECT_FALSE(off.access_log.enabled);
  EXPECT_EQ(off.log.path, "stderr");
  const Settings out = good(std::string(kListener) + "access_log: { path: '-' }\n" +
                            "log: { path: ./stderr }\n" + route("to: http://a"));
  EXPECT_EQ(out.access_log.path, "-");
  EXPECT_EQ(out.log.path, fs::current_path().string() + "/stderr");
  EXPECT_TRUE(holds(refusal("access_log: { path: stdout }\n"), "write '-' for standard output"));
  EXPECT_TRUE(holds(refusal("log: { path: '-' }\n"), "write stderr or the path of a file"));
}

}  // namespace
}  // namespace revproxyd::app
