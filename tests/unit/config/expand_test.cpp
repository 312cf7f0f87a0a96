#include "config/expand.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/config/trees.h"

namespace revproxyd::config {
namespace {

using namespace test;

TEST(Secret, ExpandsWithinAValueAndRemembersIt) {
  ::setenv("REVPROXYD_TEST_SECRET", "s3cret", 1);
  Report report;
  const Tree tree =
      parse_tree("a: x-${env:REVPROXYD_TEST_SECRET}-${env:REVPROXYD_TEST_NONE:-d}\nb: $${env:X}\n",
                 "x", report);
  ASSERT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(tree.root.find("a")->text, "x-s3cret-d");
  EXPECT_TRUE(tree.root.find("a")->secret);
  EXPECT_EQ(tree.root.find("b")->text, "${env:X}");
  EXPECT_FALSE(tree.root.find("b")->secret);
  EXPECT_EQ(tree.secrets.count("x-s3cret-d"), 1U);
}

// As in a shell.
TEST(Secret, TakesTheDefaultForAVariableThatIsEmptyToo) {
  ::setenv("REVPROXYD_TEST_EMPTY", "", 1);
  Report report;
  const Tree tree = parse_tree(
      "a: ${env:REVPROXYD_TEST_EMPTY:-d}\nb: ${env:REVPROXYD_TEST_EMPTY}\n"
      "c: ${env:REVPROXYD_TEST_NONE:-}\n",
      "x", report);
  ASSERT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(tree.root.find("a")->text, "d");
  EXPECT_EQ(tree.root.find("b")->text, "");
  EXPECT_EQ(tree.root.find("c")->text, "");
}

TEST(Secret, ReadsFilesAndCredentialsWithoutTheirLastNewline) {
  const Directory dir;
  const std::string path = dir.write("password", "hunter2\n");
  fs::permissions(path, fs::perms::owner_read);
  ::setenv("CREDENTIALS_DIRECTORY", fs::path(path).parent_path().c_str(), 1);
  Report report;
  const Tree tree = parse_tree("a: ${file:" + path + "}\nb: ${credential:password}\n", "x", report);
  ASSERT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(report.warnings(), 0U);
  EXPECT_EQ(tree.root.find("a")->text, "hunter2");
  EXPECT_EQ(tree.root.find("b")->text, "hunter2");
}

TEST(Secret, TakesOneLineEndOffAFileAndNoMore) {
  const Directory dir;
  struct Case {
    const char* held;
    const char* read;
  };
  for (const Case& c : {Case{"", ""}, Case{"\n", ""}, Case{"\r\n", ""}, Case{"a\r\n", "a"},
                        Case{"a\n\n", "a\n"}, Case{" a ", " a "}}) {
    const std::string path = dir.write("password", c.held);
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    Report report;
    const Tree tree = parse_tree("a: ${file:" + path + "}\n", "x", report);
    ASSERT_TRUE(report.ok()) << report.text();
    EXPECT_EQ(tree.root.find("a")->text, c.read);
  }
}

TEST(Secret, TakesACredentialWithoutALineEndAsItIs) {
  const Directory dir;
  const std::string path = dir.write("full", "hunter2");
  dir.write("empty", "");
  ::setenv("CREDENTIALS_DIRECTORY", fs::path(path).parent_path().c_str(), 1);
  Report report;
  const Tree tree = parse_tree("a: ${credential:full}\nb: ${credential:empty}\n", "x", report);
  ASSERT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(tree.root.find("a")->text, "hunter2");
  EXPECT_EQ(tree.root.find("b")->text, "");
}

TEST(Secret, WarnsOfAFileThatEveryoneCanRead) {
  const Directory dir;
  const std::string path = dir.write("password", "x");
  fs::permissions(path, fs::perms::owner_read | fs::perms::others_read);
  Report report;
  parse_tree("a: ${file:" + path + "}\n", "x", report);
  EXPECT_EQ(report.warnings(), 1U);
}

TEST(Secret, TellsEachPartThatIsWrongAtItsPlace) {
  const std::string said = refusal("a: x-${env:REVPROXYD_TEST_NONE}-${enf:X}\n");
  EXPECT_TRUE(holds(said, "proxy.yaml:1:6: error: environment variable")) << said;
  EXPECT_TRUE(holds(said, "proxy.yaml:1:33: error: expected ${env:NAME}")) << said;
  EXPECT_TRUE(holds(refusal("a: 'x ${env:REVPROXYD_TEST_NONE}'\n"), "proxy.yaml:1:7: error: "));
  // Where the text is not written as it reads, the place is that of the value.
  EXPECT_TRUE(holds(refusal("a: \"\\x41 ${enf:X}\"\n"), "proxy.yaml:1:4: error: "));
}

TEST(Secret, RefusesAValueThatGrowsTooLarge) {
  ::setenv("REVPROXYD_TEST_SECRET", std::string(60, 's').c_str(), 1);
  ReadLimits limits;
  limits.file_bytes = 100;
  const std::string twice = "a: ${env:REVPROXYD_TEST_SECRET}${env:REVPROXYD_TEST_SECRET}\n";
  EXPECT_TRUE(holds(refusal(twice, limits), "proxy.yaml:1:4: error: a value that is too large"));
  Report report;
  parse_tree("a: ${env:REVPROXYD_TEST_SECRET}\n", "x", report, limits);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Secret, RefusesValuesThatTogetherGrowTooLarge) {
  ::setenv("REVPROXYD_TEST_SECRET", std::string(60, 's').c_str(), 1);
  const std::string text =
      "a:\n  - ${env:REVPROXYD_TEST_SECRET}\n  - ${env:REVPROXYD_TEST_SECRET}\n"
      "  - ${env:REVPROXYD_TEST_NONE}\n";
  ReadLimits limits;
  limits.total_bytes = text.size() + 100;
  const std::string said = refusal(text, limits);
  EXPECT_TRUE(holds(said, "proxy.yaml:3:5: error: all files together are larger than")) << said;
  EXPECT_FALSE(holds(said, "REVPROXYD_TEST_NONE' is not set")) << "nothing more is read";
  limits.total_bytes = text.size() + 120;
  EXPECT_TRUE(holds(refusal(text, limits), "proxy.yaml:4:5: error: environment variable"));
}

TEST(Secret, RefusesACredentialThatSystemdDidNotPass) {
  const Directory dir;
  const std::string path = dir.write("password", "x");
  ::setenv("CREDENTIALS_DIRECTORY", fs::path(path).parent_path().c_str(), 1);
  EXPECT_TRUE(holds(refusal("a: ${credential:other}\n"), "cannot read credential 'other'"));
  for (const char* name : {".", "..", "a/b"})
    EXPECT_TRUE(holds(refusal("a: ${credential:" + std::string(name) + "}\n"),
                      "the name of a credential has no '/'"))
        << name;
  ::setenv("CREDENTIALS_DIRECTORY", "relative", 1);
  EXPECT_TRUE(holds(refusal("a: ${credential:password}\n"), "CREDENTIALS_DIRECTORY is not set"));
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_TRUE(holds(refusal("a: ${credential:password}\n"), "CREDENTIALS_DIRECTORY is not set"));
}

TEST(Secret, RefusesAFileThatIsLargerThanASecret) {
  const Directory dir;
  const std::string path = dir.write("password", std::string(11, 'x'));
  fs::permissions(path, fs::perms::owner_read);
  ReadLimits limits;
  limits.secret_bytes = 10;
  const std::string text = "a: ${file:" + path + "}\n";
  EXPECT_TRUE(holds(refusal(text, limits), "larger than 10B"));
  limits.secret_bytes = 11;
  Report report;
  parse_tree(text, "x", report, limits);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Secret, RefusesWhatIsMissingOrMalformed) {
  EXPECT_TRUE(holds(refusal("a: ${env:REVPROXYD_TEST_NONE}\n"), "is not set"));
  EXPECT_TRUE(holds(refusal("a: ${file:/nonexistent/x}\n"), "cannot read"));
  EXPECT_TRUE(holds(refusal("a: ${file:relative}\n"), "must be absolute"));
  EXPECT_TRUE(holds(refusal("a: ${credential:../x}\n"), "no '/'"));
  EXPECT_TRUE(holds(refusal("a: ${enf:X}\n"), "did you mean 'env'?"));
  EXPECT_TRUE(holds(refusal("a: ${env:X\n"), "without '}'"));
  for (const char* text : {"${env}", "${env:}", "${file:}", "${}", "${completely:X}"}) {
    const std::string said = refusal("a: " + std::string(text) + "\n");
    EXPECT_TRUE(holds(said, "1:4: error: expected ${env:NAME}, ${file:/path} or")) << said;
  }
  EXPECT_TRUE(holds(refusal("${env:HOME}: x\n"), "never in keys"));
}

}  // namespace
}  // namespace revproxyd::config
