// The options that `--help` has, in the man page and in the completions of the shells: the same
// ones.

#include <regex>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/support/command.h"
#include "tests/support/files.h"

namespace revproxyd::testing {

namespace {

using Words = std::set<std::string>;

std::string in_tree(const std::string& path) {
  return read_file(std::string(REVPROXYD_SOURCE_DIR) + "/packaging/" + path);
}

std::string said(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), REVPROXYD_BINARY);
  return run_command(arguments).out;
}

// The first group of every match.
Words all(const std::string& text, const char* pattern) {
  const std::regex what(pattern);
  Words words;
  for (std::sregex_iterator at(text.begin(), text.end(), what); at != std::sregex_iterator(); ++at)
    words.insert((*at)[1]);
  return words;
}

Words operator+(Words words, const Words& more) {
  words.insert(more.begin(), more.end());
  return words;
}

Words options() {
  const std::string help = said({"--help"});
  return all(help, R"(\n  (-[A-Za-z]|--[a-z]+)\b)") + all(help, R"(\n  -[A-Za-z], (--[a-z]+)\b)");
}

Words verbs() { return all(said({"--help"}), R"(\nctl ([a-z]+)\b)"); }

const Words kCommands{"ctl", "upgrade"};

const Words kControlOptions{"-c", "--socket"};

Words plain_options() {
  Words words = options();
  words.erase("--socket");
  return words;
}

// What bash proposes for the last of these words.
Words bash(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += " '" + word + "'";
  const std::string script = "source " REVPROXYD_SOURCE_DIR
                             "/packaging/completions/revproxyd.bash; COMP_WORDS=(" +
                             line + " ); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _revproxyd; " +
                             R"(printf '%s\n' "${COMPREPLY[@]}")";
  const CommandResult result = run_command({"bash", "--norc", "-c", script});
  EXPECT_EQ(result.status, 0) << result.out;
  return all(result.out, R"(([^\n]+)\n)");
}

}  // namespace

TEST(Options, AreFoundInTheHelp) {
  EXPECT_TRUE(options().contains("-t"));
  EXPECT_TRUE(options().contains("--help"));
  EXPECT_TRUE(options().contains("--socket"));
  EXPECT_GE(options().size(), 11U);
  EXPECT_TRUE(verbs().contains("reload"));
  EXPECT_GE(verbs().size(), 5U);
}

TEST(Options, AreThoseOfTheManPage) {
  std::string page = std::regex_replace(in_tree("revproxyd.8"), std::regex(R"(\\-)"), "-");
  Words named = all(page, R"([\s"](--?[A-Za-z]+)\b)");
  EXPECT_EQ(named, options());
  const Words described = all(page, R"(\.TP\n\.[BIR]+ "?(--?[A-Za-z]+)\b)");
  for (const std::string& option : plain_options()) {
    EXPECT_TRUE(option == "--help" || described.contains(option)) << option;
  }
  const Words items = all(page, R"(\.TP\n\.B ([a-z]+)\n)");
  for (const std::string& verb : verbs()) EXPECT_TRUE(items.contains(verb)) << verb;
}

TEST(Options, AreThoseThatBashCompletes) {
  EXPECT_EQ(bash({"revproxyd", ""}), plain_options() + kCommands);
  EXPECT_EQ(bash({"revproxyd", "-t", ""}), plain_options());
  EXPECT_EQ(bash({"revproxyd", "ctl", ""}), kControlOptions + verbs());
  EXPECT_EQ(bash({"revproxyd", "ctl", "stats", ""}), kControlOptions);
  EXPECT_EQ(bash({"revproxyd", "upgrade", ""}), kControlOptions);
  EXPECT_EQ(bash({"revproxyd", "--str"}), Words{"--strict"});
  EXPECT_EQ(bash({"revproxyd", "--to", "h2"}), Words{"h2c://"});
  EXPECT_EQ(bash({"revproxyd", "--to", "=", "h2"}), Words{"h2c://"});
  EXPECT_EQ(bash({"revproxyd", "--listen", "-"}), Words{});
}

TEST(Options, AreThoseThatZshCompletes) {
  const std::string file = in_tree("completions/_revproxyd");
  EXPECT_EQ(all(file, R"([')}](--?[A-Za-z]+)=?\[)") + all(file, R"([{,](--?[a-z]+)(?=[,}]))"),
            options());
  EXPECT_EQ(all(file, R"(([a-z]+)\\:")"), verbs() + kCommands);
}

TEST(Options, AreThoseThatFishCompletes) {
  const std::string file = in_tree("completions/revproxyd.fish");
  Words named;
  for (const std::string& letter : all(file, R"(\ncomplete [^\n]* -s ([A-Za-z])\b)"))
    named.insert("-" + letter);
  for (const std::string& word : all(file, R"(\ncomplete [^\n]* -l ([a-z]+)\b)"))
    named.insert("--" + word);
  EXPECT_EQ(named, options());
  EXPECT_EQ(all(file, R"( -a ([a-z]+)\b)"), verbs() + kCommands);
}

}  // namespace revproxyd::testing
