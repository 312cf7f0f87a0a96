#include "app/command_line.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace revproxyd::app {
namespace {

CommandLine parse(std::initializer_list<std::string_view> words) {
  const std::vector<std::string_view> arguments(words);
  return parse_command_line(arguments);
}

TEST(CommandLine, RunsAFile) {
  const CommandLine line = parse({"-c", "proxy.yaml"});
  EXPECT_EQ(line.action, Action::run);
  EXPECT_EQ(line.config, "proxy.yaml");
}

TEST(CommandLine, TestsStrictly) {
  const CommandLine line = parse({"-t", "--strict", "-c", "x"});
  EXPECT_EQ(line.action, Action::test);
  EXPECT_TRUE(line.strict);
}

TEST(CommandLine, KnowsTheOtherActions) {
  EXPECT_EQ(parse({"-T", "-c", "x"}).action, Action::print);
  EXPECT_EQ(parse({"-V"}).action, Action::version);
  EXPECT_EQ(parse({"--schema"}).action, Action::schema);
  EXPECT_EQ(parse({"-h"}).action, Action::help);
  EXPECT_EQ(parse({"--help"}).action, Action::help);
  EXPECT_EQ(parse({"-t", "-t", "-c", "x"}).action, Action::test);
}

TEST(CommandLine, TakesServersWithoutAFile) {
  const CommandLine line =
      parse({"--listen", ":8080", "--to=http://a,http://b", "--to", "http://c"});
  EXPECT_EQ(line.action, Action::run);
  EXPECT_EQ(line.listen, ":8080");
  EXPECT_EQ(line.to, (std::vector<std::string>{"http://a", "http://b", "http://c"}));
}

TEST(CommandLine, TakesAVerbForTheRunningDaemon) {
  const CommandLine line = parse({"ctl", "reload", "--socket", "/run/x"});
  EXPECT_EQ(line.action, Action::control);
  EXPECT_EQ(line.verb, "reload");
  EXPECT_EQ(line.socket, "/run/x");
  EXPECT_EQ(parse({"ctl", "drain", "-c", "x"}).config, "x");
}

TEST(CommandLine, TakesUpgradeAsAWordOfItsOwn) {
  const CommandLine line = parse({"upgrade", "--socket", "/run/x"});
  EXPECT_EQ(line.action, Action::control);
  EXPECT_EQ(line.verb, "upgrade");
  EXPECT_EQ(line.socket, "/run/x");
  EXPECT_EQ(parse({"upgrade", "reload"}).action, Action::refuse);
  EXPECT_EQ(parse({"ctl", "upgrade"}).verb, "upgrade");
}

TEST(CommandLine, NamesTheVerbs) {
  EXPECT_EQ(verbs(), "reload, upgrade, drain, status and stats");
  EXPECT_NE(parse({"ctl"}).hint.find(verbs()), std::string::npos);
}

TEST(CommandLine, RefusesWhatDoesNotFitTogether) {
  for (const auto& words : std::initializer_list<std::initializer_list<std::string_view>>{
           {},
           {"-c"},
           {"-c", ""},
           {"-c", "a", "-c", "b"},
           {"--listen", ":1"},
           {"--to", "http://a"},
           {"--to", "http://a,"},
           {"ctl"},
           {"ctl", "a", "b"},
           {"-c", "a", "--listen", ":1", "--to", "http://a"},
           {"-t", "-T", "-c", "x"},
           {"-c", "x", "--socket", "/y"},
           {"ctl", ""},
           {"ctl", "status", "--listen", ":1"},
           {"ctl", "status", "--to", "http://a"},
           {"-T", "--strict", "-c", "x"},
           {"--strict=1", "-c", "x"},
           {"--schema=1"},
           {"--help=1"},
           {"proxy.yaml"},
           {"-x"},
           {"-c", "x", "ctl"}})
    EXPECT_EQ(parse(words).action, Action::refuse)
        << (words.size() > 0 ? *words.begin() : "nothing");
}

TEST(CommandLine, HintsAtTheNearestOption) {
  const CommandLine line = parse({"--lisen", ":1"});
  EXPECT_EQ(line.problem, "unknown option '--lisen'");
  EXPECT_EQ(line.hint, "did you mean '--listen'?");
  EXPECT_EQ(parse({"--version"}).hint, "did you mean '-V'?");
  EXPECT_EQ(parse({"-v"}).hint, "did you mean '-V'?");
  EXPECT_EQ(parse({"--lisen=:1"}).problem, "unknown option '--lisen'");
  EXPECT_EQ(parse({"proxy.yaml"}).hint, "a configuration is given with -c FILE");
}

TEST(CommandLine, ExplainsEveryOption) {
  for (const char* option : {"-c FILE", "-t ", "-T ", "-V ", "--strict", "--schema", "--listen",
                             "--to", "ctl VERB", "--socket", "--help"})
    EXPECT_NE(usage().find(option), std::string_view::npos) << option;
}

}  // namespace
}  // namespace revproxyd::app
