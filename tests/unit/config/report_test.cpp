#include "revproxyd/config/report.h"

#include <string>

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

}  // namespace
}  // namespace revproxyd::config
