#include <string>

#include <gtest/gtest.h>

#include "revproxyd/config/load_tree.h"
#include "tests/unit/config/trees.h"

namespace revproxyd::config {
namespace {

using namespace test;

TEST(Tree, KeepsOrderTextAndPlaces) {
  Report report;
  const Tree tree = parse_tree("a: 08\nb:\n  - 'no'\n  - ~\n", "x", report);
  ASSERT_TRUE(report.ok()) << report.text();
  ASSERT_EQ(tree.root.entries.size(), 2U);
  EXPECT_EQ(tree.root.find("a")->text, "08");
  const Node& list = *tree.root.find("b");
  ASSERT_EQ(list.items.size(), 2U);
  EXPECT_EQ(list.items[0].text, "no");
  EXPECT_TRUE(list.items[0].quoted);
  EXPECT_EQ(list.items[0].mark.line, 3U);
  EXPECT_EQ(list.items[0].mark.column, 5U);
  EXPECT_EQ(list.items[1].kind, Kind::null);
}

TEST(Tree, ExpandsAnAliasToACopy) {
  Report report;
  const Tree tree = parse_tree("a: &x [1, 2]\nb: *x\n", "x", report);
  ASSERT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(tree.root.find("b")->items.size(), 2U);
}

TEST(Tree, RefusesADuplicateKey) {
  EXPECT_TRUE(holds(refusal("a: 1\na: 2\n"), "proxy.yaml:2:1: error: duplicate key 'a'"));
}

TEST(Tree, RefusesMergeKeysTagsAndSeveralDocuments) {
  EXPECT_TRUE(holds(refusal("a: &x {b: 1}\nc:\n  <<: *x\n"), "merge keys are not supported"));
  EXPECT_TRUE(holds(refusal("a: !!binary aGk=\n"), "tag"));
  EXPECT_TRUE(holds(refusal("a: 1\n---\nb: 2\n"), "second document"));
}

TEST(Tree, TakesAQuotedMergeKeyForAWord) {
  Report report;
  const Tree tree = parse_tree("'<<': 1\n", "x", report);
  ASSERT_TRUE(report.ok()) << report.text();
  EXPECT_NE(tree.root.find("<<"), nullptr);
}

TEST(Tree, RefusesWhatIsNoMapAtTheTop) {
  EXPECT_TRUE(holds(refusal("- a\n"), "expected keys"));
  EXPECT_TRUE(holds(refusal("hello\n"), "expected keys"));
  EXPECT_TRUE(holds(refusal("? [a]\n: b\n"), "keys are words"));
  EXPECT_TRUE(
      holds(refusal("a:\n  -b: c\n  : d\n"), "proxy.yaml:3:3: error: a key that is no word"));
}

TEST(Tree, RefusesBytesThatAreNotText) {
  EXPECT_TRUE(holds(refusal(std::string("a: b\0c", 6)), "control character 0x00"));
  EXPECT_TRUE(holds(refusal("a: \xC3\x28\n"), "proxy.yaml:1:4: error: the file is not UTF-8"));
  EXPECT_TRUE(holds(refusal("a: \xC0\xAF\n"), "not UTF-8"));      // overlong
  EXPECT_TRUE(holds(refusal("a: \xED\xA0\x80\n"), "not UTF-8"));  // a surrogate
  EXPECT_TRUE(holds(refusal("a: \x1B[31m\n"), "control character 0x1B"));
  EXPECT_TRUE(holds(refusal("a: \x7F\n"), "control character 0x7F"));
}

TEST(Tree, TakesTextOfEveryLengthAndRefusesWhatIsNone) {
  // The ends of the ranges of Unicode table 3-7.
  for (const char* good : {"\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xEF\xBF\xBD", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBD"}) {
    Report report;
    const Tree tree = parse_tree("a: 'x" + std::string(good) + "'\n", "x", report);
    ASSERT_TRUE(report.ok()) << report.text();
    EXPECT_EQ(tree.root.find("a")->text, "x" + std::string(good));
  }
  for (const char* bad : {"\x80", "\xC1\xBF", "\xC2", "\xE1x", "\xF1x", "\xF1\x80x", "\xE0\x9F\xBF",
                          "\xE1\x80", "\xE1\x80x", "\xF0\x8F\xBF\xBF", "\xF1\x80\x80",
                          "\xF1\x80\x80x", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_TRUE(holds(refusal("a: 'x" + std::string(bad)), "1:6: error: the file is not UTF-8"));
  }
}

TEST(Tree, RefusesAnAliasBombQuickly) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before +
            repeat(", " + before, 9) + "]\n";
  }
  EXPECT_TRUE(holds(refusal(bomb), "more than 500000 values"));
}

TEST(Tree, RefusesNestedAnchorsThatWouldCopyWithoutEnd) {
  std::string text = "a: ";
  for (int i = 0; i < 60; ++i) text += "&x" + std::to_string(i) + " [";
  text += repeat("1, ", 20000) + "1" + repeat("]", 60);
  EXPECT_TRUE(holds(refusal(text), "more than 500000 values"));
}

TEST(Tree, RefusesAnAliasToItself) { EXPECT_TRUE(holds(refusal("a: &x [*x]\n"), "part of")); }

TEST(Tree, RefusesDeepNestingInEveryForm) {
  for (const char* unit : {"[", "{", "[a: ", "- ", "? ", "[[{"}) {
    for (std::size_t count : {100U, 10000U, 150000U}) {
      const std::string said = refusal(repeat(unit, count));
      EXPECT_TRUE(holds(said, "nested deeper") || holds(said, "key") || holds(said, "not valid") ||
                  holds(said, "brackets"))
          << unit << count;
    }
  }
  EXPECT_TRUE(holds(refusal(repeat("[", 1000000)), "brackets"));
  std::string steps;
  for (std::size_t i = 0; i < 200; ++i) steps += std::string(i, ' ') + "a:\n";
  EXPECT_TRUE(holds(refusal(steps), "nested deeper than 64 levels"));
}

TEST(Tree, CountsTheNestingThatAnAliasBrings) {
  const auto text = [](std::size_t around) {
    return "a: &x " + repeat("[", 40) + repeat("]", 40) + "\nb: " + repeat("[", around) + "*x" +
           repeat("]", around) + "\n";
  };
  EXPECT_TRUE(holds(refusal(text(24)), "proxy.yaml:2:28: error: nested deeper than 64 levels"));
  Report report;
  parse_tree(text(23), "x", report);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Tree, TakesTheDeepestNestingThatIsAllowed) {
  Report report;
  parse_tree("a: " + repeat("[", 63) + repeat("]", 63), "x", report);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Tree, RefusesTooManyValuesAndTooManyBytes) {
  ReadLimits limits;
  limits.nodes = 100;
  EXPECT_TRUE(holds(refusal("a: [" + repeat("1, ", 200) + "1]", limits), "more than 100 values"));
  EXPECT_TRUE(holds(refusal(std::string((4U << 20) + 1, ' ')), "larger than 4MiB"));
}

TEST(Tree, RefusesBrokenYamlWithItsPlace) {
  const std::string said = refusal("a: [1, 2\nb: 3\n");
  EXPECT_TRUE(holds(said, "proxy.yaml:")) << said;
  EXPECT_TRUE(holds(said, "not valid YAML")) << said;
}

TEST(Tree, APlaceOfNothingIsThatOfWhatLacksIt) {
  const auto place = [](const std::string& text) {
    Report report;
    const Tree tree = parse_tree(text, "x", report);
    EXPECT_TRUE(report.ok()) << report.text();
    const Node* node = tree.root.find("a");
    while (node->is_list() || node->is_map())
      node = node->is_list() ? &node->items.front() : &node->entries.front().value;
    EXPECT_EQ(node->kind, Kind::null);
    return report.place(node->mark);
  };
  EXPECT_EQ(place("a:\n  -\n  - b\n"), "x:2:3");
  EXPECT_EQ(place("a:\n  -   # - b\n\n# - c\nb: 1\n"), "x:2:3");
  EXPECT_EQ(place("a:\n-\n-\n"), "x:2:1");
  EXPECT_EQ(place("a:\n  - -\n    - b\n"), "x:2:5");
  EXPECT_EQ(place("a:\n  -"), "x:2:3");
  EXPECT_EQ(place("a:\n  - ~\n"), "x:2:5");
  EXPECT_EQ(place("a: [ , b ]\n"), "x:1:6");
  EXPECT_EQ(place("a:\n\nb: 1\n"), "x:1:1");
  EXPECT_EQ(place("b: 1\na:\n"), "x:2:1");
  EXPECT_EQ(place("a: { b: , c: 1 }\n"), "x:1:6");
  EXPECT_EQ(place("a: { b: null }\n"), "x:1:9");
  EXPECT_EQ(place("a:\n  - NULL\n"), "x:2:5");
  EXPECT_EQ(place("a: [ Null ]\n"), "x:1:6");
}

TEST(Tree, ABracketThatIsNotClosedIsNamed) {
  EXPECT_TRUE(holds(refusal("b: 1\na: [1, 2\n"), "proxy.yaml:2:4: error: '[' is never closed"));
  const std::string list = refusal("a: [1, 2\nb: 3\n");
  EXPECT_TRUE(holds(list, "proxy.yaml:2:2: error: not valid YAML: expected ',' or ']'")) << list;
  EXPECT_TRUE(holds(list, "the '[' is at proxy.yaml:1:4")) << list;
  // The library takes what follows for the rest of a key.
  for (const char* text : {"a: [ { b: c\nd: []\n", "a: [ { b: 1, c: [1] \n\n"}) {
    const std::string said = refusal(text);
    EXPECT_TRUE(holds(said, "proxy.yaml:1:6: error: a list or map as a key")) << said;
    EXPECT_TRUE(holds(said, "is its '}' missing?")) << said;
  }
}

TEST(Tree, AQuoteThatIsNotClosedIsRefused) {
  EXPECT_TRUE(holds(refusal("a: \"b\nc: d\n"), "proxy.yaml:1:4: error: a quote that is never"));
  EXPECT_TRUE(holds(refusal("a: 'b''\n"), "proxy.yaml:1:4: error: a quote that is never closed"));
  EXPECT_TRUE(holds(refusal("a: &x 'b\n"), "a quote that is never closed"));
  EXPECT_TRUE(holds(refusal("a: \"b\\\"\n"), "a quote that is never closed"));
  EXPECT_TRUE(holds(refusal("'a: b\n"), "proxy.yaml:1:1: error: a quote that is never closed"));
  Report report;
  parse_tree("a: \"b\\\\\"\n'c''d': &x 'e''\n\n  f'\ng: |\n  'h\n", "x", report);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Tree, WhatTheLibraryRefusesIsSaidInPlainWords) {
  EXPECT_TRUE(
      holds(refusal("a: %b\n"), "proxy.yaml:1:4: error: not valid YAML: no value begins with '%'"));
  EXPECT_TRUE(holds(refusal("a: { b: c }}\n"),
                    "proxy.yaml:1:12: error: not valid YAML: '}' closes nothing"));
  EXPECT_TRUE(holds(refusal("a:\n  b: 1\n c: 2\n"),
                    "proxy.yaml:3:2: error: not valid YAML: expected a key"));
  EXPECT_TRUE(holds(refusal("a:\n\t- b\n"), "proxy.yaml:2:2: error: not valid YAML: a tab"));
  EXPECT_TRUE(holds(refusal("a:\n\tb: 1\n"), "proxy.yaml:2:3: error: not valid YAML: a tab"));
  EXPECT_TRUE(holds(refusal("a:\n  \tb: 1\n"), "error: not valid YAML: a tab"));
  EXPECT_TRUE(holds(refusal("a: b: c\n"), "proxy.yaml:1:5: error: not valid YAML: a ':' inside"));
  EXPECT_TRUE(holds(refusal("]\n"), "proxy.yaml:1:1: error: not valid YAML: ']' closes nothing"));
  EXPECT_TRUE(holds(refusal("  @a\n"), "proxy.yaml:1:3: error: not valid YAML: no value begins"));
}

TEST(Tree, TakesAnEmptyTextAsNoKeys) {
  for (const char* nothing : {"", "# nothing\n", "---\n", "~\n", "null\n"}) {
    Report report;
    EXPECT_TRUE(parse_tree(nothing, "x", report).root.entries.empty());
    EXPECT_TRUE(report.ok()) << nothing << report.text();
  }
}

TEST(Tree, TakesTextWithLineEndsOfTwoBytes) {
  Report report;
  const Tree tree = parse_tree("a: b\r\nc:\r\n  -\r\n  - 'd'\r\n", "x", report);
  ASSERT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(tree.root.find("a")->text, "b");
  const Node& list = *tree.root.find("c");
  ASSERT_EQ(list.items.size(), 2U);
  EXPECT_EQ(report.place(list.items[0].mark), "x:3:3");
  EXPECT_EQ(list.items[1].text, "d");
}

TEST(Include, MergesSectionsInSortedOrder) {
  const Directory dir;
  dir.write("sites/b.yaml", "routes: [b]\nupstreams: {two: 2}\n");
  dir.write("sites/a.yaml", "routes: [a]\nversion: 1\n");
  Report report;
  const Tree tree = load_tree(
      dir.write("main.yaml",
                "version: 1\ninclude: [sites/*.yaml]\nroutes: [m]\nupstreams: {one: 1}\n"),
      report);
  ASSERT_TRUE(report.ok()) << report.text();
  const Node& routes = *tree.root.find("routes");
  ASSERT_EQ(routes.items.size(), 3U);
  EXPECT_EQ(routes.items[0].text + routes.items[1].text + routes.items[2].text, "mab");
  EXPECT_EQ(tree.root.find("upstreams")->entries.size(), 2U);
  EXPECT_EQ(tree.files.size(), 3U);
  EXPECT_EQ(tree.root.find("include"), nullptr);
}

TEST(Include, NamesTheFileOfAnError) {
  const Directory dir;
  dir.write("site.yaml", "a: 1\na: 2\n");
  Report report;
  load_tree(dir.write("main.yaml", "include: site.yaml\n"), report);
  EXPECT_TRUE(holds(report.text(), "site.yaml:2:1: error: duplicate key")) << report.text();
}

TEST(Include, RefusesTheSameNameInTwoFiles) {
  const Directory dir;
  dir.write("site.yaml", "upstreams: {shop: 2}\nworkers: 2\n");
  Report report;
  load_tree(dir.write("main.yaml", "include: [site.yaml]\nupstreams: {shop: 1}\nworkers: 1\n"),
            report);
  EXPECT_EQ(report.errors(), 2U) << report.text();
}

TEST(Include, RefusesACycleAndAFileTwice) {
  const Directory dir;
  const std::string main = dir.write("main.yaml", "include: [site.yaml, site.yaml]\n");
  dir.write("site.yaml", "include: [main.yaml]\n");
  Report report;
  load_tree(main, report);
  EXPECT_TRUE(holds(report.text(), "includes itself")) << report.text();
  EXPECT_TRUE(holds(report.text(), "included twice")) << report.text();
}

TEST(Include, RefusesAMissingFileAndWarnsOfAnEmptyPattern) {
  const Directory dir;
  Report report;
  load_tree(dir.write("main.yaml", "include: [none.yaml, none/*.yaml]\n"), report);
  EXPECT_EQ(report.errors(), 1U) << report.text();
  EXPECT_EQ(report.warnings(), 1U) << report.text();
}

// As root any mode lets in; a link to itself cannot be read by anyone.
TEST(Include, APatternInADirectoryThatCannotBeReadIsAnError) {
  for (const char* pattern : {"sites/*.yaml", "*/site.yaml"}) {
    const Directory dir;
    dir.write("a/site.yaml", "workers: 1\n");
    const std::string main = dir.write("main.yaml", "include: ['" + std::string(pattern) + "']\n");
    fs::create_symlink("sites", fs::path(main).parent_path() / "sites");
    Report report;
    load_tree(main, report);
    EXPECT_EQ(report.errors(), 1U) << report.text();
    EXPECT_TRUE(holds(report.text(), "main.yaml:1:11: error: cannot read ")) << report.text();
    EXPECT_TRUE(holds(report.text(), "Too many levels of symbolic links")) << report.text();
  }
}

TEST(Include, APatternWithinADirectoryIsMatchedInEachThatHasOne) {
  const Directory dir;
  dir.write("a/proxy.yaml", "routes: [a]\n");
  dir.write("b/other.yaml", "routes: [wrong]\n");
  dir.write("c/proxy.yaml", "routes: [c]\n");
  dir.write(".hidden/proxy.yaml", "routes: [wrong]\n");
  dir.write("README", "");
  Report report;
  const Tree tree = load_tree(dir.write("main.yaml", "include: '*/proxy.yaml'\n"), report);
  EXPECT_EQ(report.text(), "");
  ASSERT_EQ(tree.root.find("routes")->items.size(), 2U);
  EXPECT_EQ(tree.root.find("routes")->items[1].text, "c");
}

TEST(Include, TheDirectoryOfTheFileIsNoPattern) {
  for (const char* name : {"a[1]", "a*", "a?", "a\\b"}) {
    const Directory dir;
    dir.write(std::string(name) + "/sites/a.yaml", "routes: [a]\n");
    dir.write("a1/sites/a.yaml", "routes: [wrong]\n");
    Report report;
    const Tree tree =
        load_tree(dir.write(std::string(name) + "/main.yaml", "include: [sites/*.yaml]\n"), report);
    EXPECT_EQ(report.text(), "") << name;
    ASSERT_NE(tree.root.find("routes"), nullptr) << name;
    EXPECT_EQ(tree.root.find("routes")->items[0].text, "a") << name;
  }
}

TEST(Include, RefusesWhatIsNoRegularFile) {
  Report report;
  load_tree("/dev/zero", report);
  EXPECT_TRUE(holds(report.text(), "not a regular file")) << report.text();
}

TEST(Include, RefusesAFileThatCannotBeRead) {
  Report report;
  load_tree("/proc/self/mem", report);
  EXPECT_TRUE(holds(report.text(), "cannot read /proc/self/mem: Input/output error"))
      << report.text();
}

TEST(Include, RefusesALinkThatLeadsToItself) {
  const Directory dir;
  const std::string main = dir.write("main.yaml", "include: [loop.yaml]\n");
  fs::create_symlink("loop.yaml", fs::path(main).parent_path() / "loop.yaml");
  Report report;
  load_tree(main, report);
  EXPECT_TRUE(holds(report.text(), "main.yaml:1:11: error: cannot read ")) << report.text();
}

TEST(Include, RefusesWhatIsNoPath) {
  EXPECT_TRUE(holds(refusal("include: { a: b }\n"), "proxy.yaml:1:10: error: expected a list of"));
  for (const char* item : {"''", "[ a ]", "{ a: b }", ""})
    EXPECT_TRUE(holds(refusal("include:\n  - " + std::string(item) + "\n"), "expected the path of"))
        << item;
  Report report;
  parse_tree("include:\na: 1\n", "x", report);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Include, RefusesAPathThatCannotBeExpandedOnlyOnce) {
  Report report;
  parse_tree("include: [ '${env:REVPROXYD_TEST_NONE}/site.yaml' ]\n", "x", report);
  EXPECT_EQ(report.errors(), 1U) << report.text();
  EXPECT_TRUE(holds(report.text(), "is not set")) << report.text();
}

TEST(Include, IsNoDeeperThanTheLimit) {
  const Directory dir;
  dir.write("c.yaml", "workers: 1\n");
  dir.write("b.yaml", "include: [c.yaml]\n");
  const std::string main = dir.write("main.yaml", "include: [b.yaml]\n");
  ReadLimits limits;
  limits.includes = 3;
  Report good;
  EXPECT_EQ(load_tree(main, good, limits).files.size(), 3U);
  EXPECT_TRUE(good.ok()) << good.text();
  limits.includes = 2;
  Report bad;
  load_tree(main, bad, limits);
  EXPECT_TRUE(holds(bad.text(), "b.yaml:1:11: error: included deeper than 2 files")) << bad.text();
}

TEST(Include, TakesNoMoreFilesThanTheLimit) {
  const Directory dir;
  for (const char* name : {"a.yaml", "b.yaml", "c.yaml"}) dir.write(std::string("s/") + name, "");
  ReadLimits limits;
  limits.files = 3;
  Report report;
  const Tree tree = load_tree(dir.write("main.yaml", "include: [s/*.yaml]\n"), report, limits);
  EXPECT_EQ(tree.files.size(), 3U);
  EXPECT_TRUE(holds(report.text(), "main.yaml:1:11: error: more than 3 files")) << report.text();
}

TEST(Include, TakesNoMoreBytesOfAllFilesThanTheLimit) {
  const Directory dir;
  dir.write("site.yaml", "routes: [ " + std::string(40, 'a') + " ]\n");
  ReadLimits limits;
  limits.total_bytes = 60;
  Report report;
  load_tree(dir.write("main.yaml", "include: [site.yaml]\n"), report, limits);
  EXPECT_TRUE(holds(report.text(), "site.yaml: error: all files together are larger than 60B"))
      << report.text();
}

TEST(Include, AnEmptySectionLeavesTheOtherAsItIs) {
  const Directory dir;
  dir.write("site.yaml", "routes:\nupstreams: {shop: 1}\n");
  Report report;
  const Tree tree =
      load_tree(dir.write("main.yaml", "include: [site.yaml]\nroutes: [m]\nupstreams:\n"), report);
  ASSERT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(tree.root.find("routes")->items.size(), 1U);
  EXPECT_EQ(tree.root.find("upstreams")->entries.size(), 1U);
}

TEST(Include, AKeyIsSetOnceInAllFiles) {
  const Directory dir;
  dir.write("a.yaml", "upstreams: {x: 1, y: 2}\n");
  dir.write("b.yaml", "upstreams: {z: 3}\n");
  dir.write("c.yaml", "upstreams: {z: 4, m: 5, y: 6, w: 7}\n");
  const std::string file =
      dir.write("main.yaml", "upstreams: {m: 0}\ninclude: [a.yaml, b.yaml, c.yaml]\n");
  Report report;
  const Tree tree = load_tree(file, report);
  const std::string text = report.text();
  const std::string twice = "' in 'upstreams' is already set at " + file.substr(0, file.size() - 9);
  EXPECT_TRUE(holds(text, "c.yaml:1:13: error: 'z" + twice + "b.yaml:1:13")) << text;
  EXPECT_TRUE(holds(text, "c.yaml:1:19: error: 'm" + twice + "main.yaml:1:13")) << text;
  EXPECT_TRUE(holds(text, "c.yaml:1:25: error: 'y" + twice + "a.yaml:1:19")) << text;
  EXPECT_EQ(tree.root.find("upstreams")->entries.size(), 5U);
}

TEST(Include, AValueBesideAListIsOneOfIt) {
  const Directory dir;
  dir.write("list.yaml", "b: [2, 3]\na: [x]\n");
  dir.write("value.yaml", "b: 4\n");
  Report report;
  const Tree tree =
      load_tree(dir.write("main.yaml", "b: 1\na: [w]\ninclude: [list.yaml, value.yaml]\n"), report);
  EXPECT_TRUE(report.ok()) << report.text();
  std::string all;
  for (const Node& item : tree.root.find("b")->items) all += item.text;
  EXPECT_EQ(all, "1234");
}

TEST(Include, TwoValuesWithoutAListAreOneTooMany) {
  const Directory dir;
  dir.write("value.yaml", "b: 4\n");
  Report report;
  load_tree(dir.write("main.yaml", "b: 1\ninclude: [value.yaml]\n"), report);
  EXPECT_TRUE(holds(report.text(), "value.yaml:1:1: error: 'b' is already set at"))
      << report.text();
}

TEST(Include, RefusesAnotherVersionOrAnotherKindOfSection) {
  const Directory dir;
  dir.write("site.yaml", "version: 2\nroutes: {a: b}\nupstreams: [a]\n");
  Report report;
  load_tree(
      dir.write("main.yaml", "version: 1\ninclude: [site.yaml]\nroutes: [m]\nupstreams: {a: b}\n"),
      report);
  EXPECT_TRUE(holds(report.text(), "site.yaml:1:1: error: 'version' is already set at"))
      << report.text();
  EXPECT_TRUE(holds(report.text(), "site.yaml:2:1: error: 'routes' is a map here and a list at "))
      << report.text();
  EXPECT_TRUE(
      holds(report.text(), "site.yaml:3:1: error: 'upstreams' is a list here and a map at "))
      << report.text();
}

TEST(Tree, TakesAByteOrderMarkForNothing) {
  Report report;
  const Tree tree = parse_tree(
      "\xEF\xBB\xBF"
      "a: 1\n",
      "x", report);
  ASSERT_TRUE(report.ok()) << report.text();
  EXPECT_NE(tree.root.find("a"), nullptr);
}

}  // namespace
}  // namespace revproxyd::config
