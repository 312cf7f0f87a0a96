#include "revproxyd/config/report.h"

#include <chrono>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "revproxyd/config/suggest.h"

namespace revproxyd::config {
namespace {

TEST(Report, PrintsPlaceLineCaretAndHint) {
  Report report;
  const std::uint32_t source = report.add_source(
      "proxy.yaml", "upstreams:\n  shop:\n      heath_check: { path: /healthz }\n");
  report.error(Mark{source, 3, 7, 11}, "unknown key 'heath_check' in upstream 'shop'",
               "did you mean 'health_check'?");
  EXPECT_EQ(report.text(),
            "proxy.yaml:3:7: error: unknown key 'heath_check' in upstream 'shop'\n"
            "    3 |       heath_check: { path: /healthz }\n"
            "      |       ^~~~~~~~~~~  did you mean 'health_check'?\n");
}

TEST(Report, PrintsTwentyErrorsAndCountsTheRest) {
  Report report;
  const std::uint32_t source = report.add_source("x", "a\n");
  for (int i = 0; i < 25; ++i) report.error(Mark{source, 1, 1, 1}, "wrong");
  EXPECT_EQ(report.errors(), 25U);
  EXPECT_TRUE(report.text().ends_with("and 5 more errors\n"));
}

TEST(Report, KeepsABoundedNumberOfDiagnostics) {
  Report report;
  for (int i = 0; i < 5000; ++i) report.error("wrong");
  EXPECT_EQ(report.errors(), 5000U);
  EXPECT_EQ(report.diagnostics().size(), Report::kKept);
}

TEST(Report, CountsColumnsInCharacters) {
  Report report;
  const std::uint32_t source = report.add_source("x", "\xC3\xA4: b\n");
  EXPECT_EQ(report.place(Mark{source, 1, 5, 1}), "x:1:4");
}

TEST(Report, CountsTheCharactersOfLongLinesOfManyFiles) {
  std::string text = "\xC3\xA4\n";
  for (int i = 0; i < 5000; ++i) text += i % 7 == 0 ? "\xE2\x82\xAC" : "a";
  text += "\nb\xC3\xA4";
  Report report;
  report.add_source("y", "a");
  const std::uint32_t source = report.add_source("x", text);
  const std::string_view line = report.line(Mark{source, 2, 1, 1});
  std::uint32_t column = 1;
  for (std::uint32_t i = 0; i < line.size(); ++i) {
    if ((static_cast<unsigned char>(line[i]) & 0xC0) == 0x80) continue;  // inside a character
    ASSERT_EQ(report.place(Mark{source, 2, i + 1, 1}), "x:2:" + std::to_string(column));
    ++column;
  }
  EXPECT_EQ(report.place(Mark{source, 2, 1000000, 1}), "x:2:5001");
  EXPECT_EQ(report.place(Mark{source, 3, 4, 1}), "x:3:3");
  EXPECT_EQ(report.place(Mark{source, 3, 2, 1}), "x:3:2");
}

TEST(Report, FindsManyPlacesOfALongLineInTheTimeOfItsText) {
  Report report;
  const std::uint32_t source = report.add_source("x", std::string(4U << 20, 'a'));
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint32_t i = 0; i < 100000; ++i) {
    ASSERT_EQ(report.place(Mark{source, 1, 4000000 + i, 1}), "x:1:" + std::to_string(4000000 + i));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Report, ShowsOnlyAPartOfALongLineAndNoControlCharacters) {
  Report report;
  const std::uint32_t source =
      report.add_source("x", std::string(100000, 'a') + "\x1B" + std::string(1000, 'b'));
  report.error(Mark{source, 1, 100001, 1}, "wrong");
  EXPECT_LT(report.text().size(), 400U);
  EXPECT_EQ(report.text().find('\x1B'), std::string::npos);
}

TEST(Report, GivesATerminalNoControlCharacterOfLatin1) {
  Report report;
  const std::uint32_t source = report.add_source("x", "a\xC2\x9B\xC2\xA0\tb\n");
  report.error(Mark{source, 1, 1, 1}, "wrong");
  EXPECT_NE(report.text().find("a?\xC2\xA0 b\n"), std::string::npos) << report.text();
}

TEST(Report, PrintsTwentyWarningsBesideTheErrorsAndCountsTheRest) {
  Report report;
  const std::uint32_t source = report.add_source("x", "a\n");
  report.error(Mark{source, 1, 1, 1}, "wrong");
  for (int i = 0; i < 21; ++i) report.warning(Mark{source, 1, 1, 1}, "odd");
  EXPECT_TRUE(report.text().ends_with("and 1 more warning\n")) << report.text();
  EXPECT_NE(report.text().find("wrong"), std::string::npos);
}

TEST(Report, SurvivesPlacesOutsideOfTheFile) {
  Report report;
  const std::uint32_t source = report.add_source("x", "a\n");
  report.error(Mark{source, 99, 99, 99}, "wrong");
  report.error(Mark{99, 1, 1, 1}, "wrong");
  EXPECT_EQ(report.errors(), 2U);
  EXPECT_FALSE(report.text().empty());
  EXPECT_EQ(report.place(Mark{99, 1, 1, 1}), "");
  EXPECT_EQ(report.line(Mark{99, 1, 1, 1}), "");
  EXPECT_EQ(report.line(Mark{source, 0, 0, 0}), "");
  EXPECT_EQ(report.line(Mark{source, 2, 1, 1}), "");
  EXPECT_EQ(report.place(Mark{source, 1, 0, 0}), "x:1:1");
}

TEST(Report, BeginsWithWhatHasNoPlace) {
  Report report;
  const std::uint32_t source = report.add_source("x", "a\n");
  report.error(Mark{source, 1, 1, 1}, "second");
  report.error("first");
  EXPECT_TRUE(report.text().starts_with("error: first\nx:1:1: error: second\n")) << report.text();
}

TEST(Report, ShowsALineWithoutItsCarriageReturn) {
  Report report;
  const std::uint32_t source = report.add_source("x", "a: b\r\nc\r\n");
  report.error(Mark{source, 1, 1, 1}, "wrong");
  EXPECT_NE(report.text().find("    1 | a: b\n"), std::string::npos) << report.text();
}

TEST(Report, CutsALongLineBetweenCharacters) {
  const std::string euro = "\xE2\x82\xAC";
  std::string line = "a";
  for (int i = 0; i < 200; ++i) line += euro;
  for (const std::uint32_t column : {1U, 291U, 292U, 293U}) {
    Report report;
    report.error(Mark{report.add_source("x", line), 1, column, 1}, "wrong");
    const std::string said = report.text();
    const std::size_t begin = said.find("| ") + 2;
    std::string_view shown = std::string_view(said).substr(begin, said.find('\n', begin) - begin);
    if (column == 1) shown.remove_prefix(1);
    EXPECT_EQ(shown.size() % euro.size(), 0U) << column;
    EXPECT_TRUE(shown.starts_with(euro) && shown.ends_with(euro)) << column;
  }
}

TEST(Suggest, FindsTheNearestWord) {
  EXPECT_EQ(did_you_mean("heath_check", {"servers", "health_check"}),
            "did you mean 'health_check'?");
  EXPECT_EQ(did_you_mean("listners", {"listeners", "limits"}), "did you mean 'listeners'?");
  EXPECT_EQ(did_you_mean("completely", {"servers", "tls"}), "");
}

TEST(Suggest, CountsASwapAsOneEdit) {
  EXPECT_EQ(edit_distance("hots", "host", 3), 1U);
  EXPECT_EQ(edit_distance("", "abc", 5), 3U);
  EXPECT_EQ(edit_distance(std::string(100, 'a'), "b", 2), 3U);
}

TEST(Suggest, ComparesNoLongWords) {
  const std::string longest(64, 'a');
  EXPECT_EQ(edit_distance(longest, longest, 3), 0U);
  EXPECT_EQ(edit_distance(longest + "a", longest, 3), 4U);
  EXPECT_EQ(edit_distance(longest, longest + "a", 3), 4U);
}

}  // namespace
}  // namespace revproxyd::config
