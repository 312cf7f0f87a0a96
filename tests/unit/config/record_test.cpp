#include "revproxyd/config/record.h"

#include <string>

#include <gtest/gtest.h>

#include "revproxyd/config/load_tree.h"

namespace revproxyd::config {
namespace {

std::string name_of(const std::string& text) {
  Report report;
  const Tree tree = parse_tree(text, "x", report);
  EXPECT_TRUE(report.ok()) << report.text();
  return record_name("route", tree.root);
}

TEST(RecordName, IsTheLabelWithTheName) {
  EXPECT_EQ(name_of("name: shop\n"), "route 'shop'");
  EXPECT_EQ(name_of("name: " + std::string(80, 'x') + "\n"),
            "route '" + std::string(80, 'x') + "'");
}

TEST(RecordName, IsTheLabelAloneWhereThereIsNoNameToShow) {
  ::setenv("REVPROXYD_TEST_SECRET", "hunter2", 1);
  for (const std::string& text : {std::string("path: /\n"), std::string("name: [ shop ]\n"),
                                  std::string("name: ${env:REVPROXYD_TEST_SECRET}\n"),
                                  "name: " + std::string(81, 'x') + "\n"})
    EXPECT_EQ(name_of(text), "route") << text;
}

}  // namespace
}  // namespace revproxyd::config
