// Runs every case of tests/wire/*.md whole, cut in two at every byte boundary, and byte by byte.
//
// Notation: under a heading "## title" stand two fenced blocks. The first is the bytes; its info
// string is `request`, `response` (with method=HEAD for the answer to a HEAD) or `chunked`, then
// limits as start_line=N header_bytes=N header_count=N. Line breaks of the file mean nothing: \r \n
// \t \0 \\ \xHH stand for bytes and \{N:text} for text N times. The second, `outcome`, begins with
// `accepted`, `incomplete` or `refused CODE: TEXT`; each further line `KEY VALUE` names a fact. Of
// a key that is named all facts must be named, in order; other keys are left open.

#include <algorithm>
#include <ostream>

#include <gtest/gtest.h>

#include "tests/wire/wire_case.h"

namespace revproxyd::wire {

void PrintTo(const Case& wire_case, std::ostream* out) {
  *out << wire_case.file << ": " << wire_case.title;
}

namespace {

// By key behind the verdict: facts of one key keep their order, and a file may name the keys in
// any.
std::vector<std::string> sorted(std::vector<std::string> lines) {
  const auto key = [](const std::string& line) { return line.substr(0, line.find(' ')); };
  std::stable_sort(lines.begin() + 1, lines.end(),
                   [&](const std::string& a, const std::string& b) { return key(a) < key(b); });
  return lines;
}

// The verdict, and every fact of a key that `expected` names.
std::vector<std::string> lines_of(const Outcome& outcome,
                                  const std::vector<std::string>& expected) {
  const auto is_named = [&](const std::string& key) {
    return std::any_of(expected.begin(), expected.end(), [&](const std::string& line) {
      return line.substr(0, line.find(' ')) == key;
    });
  };
  std::vector<std::string> lines;
  for (const auto& [key, value] : outcome) {
    if (lines.empty() || is_named(key)) lines.push_back(value.empty() ? key : key + " " + value);
  }
  return sorted(lines);
}

std::vector<Case> cases() {
  return load_cases(std::filesystem::path(REVPROXYD_SOURCE_DIR) / "tests" / "wire");
}

std::string test_name(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.file + "_" + info.param.title;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

class WireCase : public testing::TestWithParam<Case> {};

TEST_P(WireCase, ComesOutTheSameHoweverItIsCut) {
  const Case& wire_case = GetParam();
  ASSERT_FALSE(wire_case.expected.empty()) << "a case without an outcome";
  const std::string_view bytes = wire_case.bytes;
  const Outcome whole = feed(wire_case, {bytes});
  EXPECT_EQ(lines_of(whole, wire_case.expected), sorted(wire_case.expected));
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    ASSERT_EQ(feed(wire_case, {bytes.substr(0, cut), bytes.substr(cut)}), whole)
        << "cut at byte " << cut;
  }
  std::vector<std::string_view> single;
  for (std::size_t i = 0; i < bytes.size(); ++i) single.push_back(bytes.substr(i, 1));
  EXPECT_EQ(feed(wire_case, single), whole) << "byte by byte";
}

INSTANTIATE_TEST_SUITE_P(Wire, WireCase, testing::ValuesIn(cases()), test_name);

TEST(WireFiles, HoldCasesOfEveryKind) {
  const auto all = cases();
  for (Input input : {Input::request, Input::response, Input::chunked}) {
    EXPECT_TRUE(
        std::any_of(all.begin(), all.end(), [input](const Case& c) { return c.input == input; }));
  }
}

}  // namespace
}  // namespace revproxyd::wire
