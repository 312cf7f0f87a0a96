#include "revproxyd/config/scalars.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/config/load_tree.h"

namespace revproxyd::config {
namespace {

template <typename T>
std::optional<T> read(const Type<T>& type, const std::string& text, std::string* said = nullptr,
                      bool secret = false) {
  Report report;
  Node node;
  node.kind = Kind::scalar;
  node.text = text;
  node.secret = secret;
  node.mark = Mark{report.add_source("x", text), 1, 1, 1};
  Reader reader(report);
  T out{};
  const bool good = type.read(reader, node, out);
  EXPECT_EQ(good, report.ok()) << text;
  if (said != nullptr) *said = report.text();
  return good ? std::optional<T>(out) : std::nullopt;
}

/// What is said of a list where one value stands.
template <typename T>
std::string refusal_of_a_list(const Type<T>& type) {
  Report report;
  Node node;
  node.kind = Kind::list;
  Reader reader(report);
  T out{};
  EXPECT_FALSE(type.read(reader, node, out));
  EXPECT_EQ(report.errors(), 1U);
  return report.text();
}

TEST(DurationType, NeedsAUnit) {
  EXPECT_EQ(read(duration(), "500ms"), Duration(500));
  EXPECT_EQ(read(duration(), "5s"), Duration(5000));
  EXPECT_EQ(read(duration(), "2h"), Duration(7200000));
  EXPECT_EQ(read(duration(), "365d"), Duration(365LL * 86400000));
  std::string said;
  EXPECT_FALSE(read(duration(), "5", &said));
  EXPECT_NE(said.find("write 5s"), std::string::npos) << said;
  for (const char* bad : {"", "s", "-5s", "+5s", "5 s", "5S", "5sec", "1.5s", "366d",
                          "99999999999999999999s", "0", "0s"})
    EXPECT_FALSE(read(duration(), bad)) << bad;
}

TEST(FileType, SaysWhatStandsForTheFileOfACredential) {
  std::string said;
  EXPECT_FALSE(read(file_path(), "-----BEGIN\nsecret\n", &said, true));
  EXPECT_NE(said.find("error: <redacted> is not the path of a file: it holds a line end"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("the file of a credential is ${env:CREDENTIALS_DIRECTORY}/NAME"),
            std::string::npos)
      << said;
  EXPECT_EQ(read(file_path(), "/run/credentials/NAME", &said, true), "/run/credentials/NAME");
}

TEST(DurationType, TakesZeroOnlyWhereItMeansSomething) {
  EXPECT_EQ(read(duration(Zero::allowed), "0"), Duration(0));
  EXPECT_EQ(read(duration(Zero::allowed), "0s"), Duration(0));
}

TEST(SizeType, CountsIn1024s) {
  EXPECT_EQ(read(size(), "8KiB"), 8192U);
  EXPECT_EQ(read(size(), "1B"), 1U);
  EXPECT_EQ(read(size(Zero::allowed), "0"), 0U);
  std::string said;
  EXPECT_FALSE(read(size(), "8KB", &said));
  EXPECT_NE(said.find("write 8KiB"), std::string::npos) << said;
  for (const char* word : {"8kilobytes", "8x"}) {
    EXPECT_FALSE(read(size(), word, &said));
    EXPECT_NE(said.find("units are B, KiB, MiB, GiB or TiB"), std::string::npos) << said;
  }
  for (const char* bad : {"8", "8kib", "8 KiB", "99999999TiB", "18446744073709551615TiB", "0"})
    EXPECT_FALSE(read(size(), bad)) << bad;
}

TEST(RateType, IsASizeOverASecond) {
  EXPECT_EQ(read(byte_rate(), "240B/s"), 240U);
  EXPECT_EQ(read(byte_rate(), "1KiB/s"), 1024U);
  for (const char* bad : {"240B", "240", "240/s", "240B/m"})
    EXPECT_FALSE(read(byte_rate(), bad)) << bad;
}

TEST(CountRateType, IsACountInAPeriod) {
  EXPECT_EQ(read(rate(), "100/10s"), (Rate{100, Duration(10000)}));
  EXPECT_EQ(read(rate(), "50/s"), (Rate{50, Duration(1000)}));
  EXPECT_EQ(read(rate(), "5/m"), (Rate{5, Duration(60000)}));
  EXPECT_EQ(read(rate(), "7/h"), (Rate{7, Duration(3600000)}));
  EXPECT_EQ(read(rate(), "1/500ms"), (Rate{1, Duration(500)}));
  EXPECT_EQ(read(rate(), "1000000000/365d"), (Rate{1'000'000'000, Duration(365LL * 86400000)}));
  for (const char* bad : {"",
                          "/",
                          "/s",
                          "x/s",
                          "-1/s",
                          "+1/s",
                          "1.5/s",
                          "100 /10s",
                          "100/ 10s",
                          "100/10s/s",
                          "100/d",
                          "100/ms",
                          "100/x",
                          "100/0s",
                          "100/366d",
                          "100s",
                          "100B/s",
                          "1000000001/s",
                          "99999999999999999999/s",
                          "100/99999999999999999999s"})
    EXPECT_FALSE(read(rate(Zero::allowed), bad)) << bad;
}

TEST(CountRateType, SaysWhatToWrite) {
  std::string said;
  EXPECT_FALSE(read(rate(), "100", &said));
  EXPECT_NE(said.find("a rate needs a period"), std::string::npos) << said;
  EXPECT_NE(said.find("write 100/s"), std::string::npos) << said;
  EXPECT_FALSE(read(rate(), "100/10", &said));
  EXPECT_NE(said.find("write 100/10s"), std::string::npos) << said;
  EXPECT_FALSE(read(rate(), "often", &said));
  EXPECT_NE(said.find("is not a rate such as 100/10s"), std::string::npos) << said;
  for (const char* bad : {"100/fortnight", "100/"}) {
    EXPECT_FALSE(read(rate(), bad, &said));
    EXPECT_NE(said.find("a period is s, m, h or a duration"), std::string::npos) << said;
  }
  EXPECT_FALSE(read(rate(), "100/77777", &said, true));
  EXPECT_EQ(said.find("77777s"), std::string::npos) << said;
}

TEST(CountRateType, TakesZeroOnlyWhereItMeansSomething) {
  EXPECT_EQ(read(rate(Zero::allowed), "0"), Rate());
  EXPECT_EQ(read(rate(Zero::allowed), "0/10s"), Rate());
  for (const char* zero : {"0", "0/s"}) EXPECT_FALSE(read(rate(), zero)) << zero;
}

TEST(CountRateType, PrintsWhatItReads) {
  for (const char* text : {"100/10s", "50/s", "5/m", "7/h", "3/2d", "1/1500ms", "0"}) {
    const auto type = rate(Zero::allowed);
    const auto value = read(type, text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(type.write(*value).text, text);
  }
}

TEST(PercentageType, NeedsItsSign) {
  EXPECT_EQ(read(percentage(100), "20%"), 20U);
  for (const char* bad : {"20", "101%", "%", "-1%", "2.5%"})
    EXPECT_FALSE(read(percentage(100), bad)) << bad;
}

TEST(IntegerType, RefusesWhatIsOutOfRangeOrNoNumber) {
  const auto type = integer<std::uint32_t>(1, 65535);
  EXPECT_EQ(read(type, "1"), 1U);
  EXPECT_EQ(read(type, "65535"), 65535U);
  for (const char* bad :
       {"0", "65536", "-1", "1.0", "0x10", "1e3", "", "99999999999999999999999", "1 "})
    EXPECT_FALSE(read(type, bad)) << bad;
}

TEST(BooleanType, IsTrueOrFalseOnly) {
  EXPECT_EQ(read(boolean(), "true"), true);
  EXPECT_EQ(read(boolean(), "false"), false);
  std::string said;
  for (const char* bad : {"yes", "on", "True", "1"}) {
    EXPECT_FALSE(read(boolean(), bad, &said)) << bad;
    EXPECT_NE(said.find("write true"), std::string::npos) << said;
  }
  for (const char* bad : {"no", "off", "False", "0"}) {
    EXPECT_FALSE(read(boolean(), bad, &said)) << bad;
    EXPECT_NE(said.find("write false"), std::string::npos) << said;
  }
}

TEST(EnumerationType, TellsUnknownWordsFromThoseOfLater) {
  enum class Color { red, green };
  const auto type = enumeration<Color>({{"red", Color::red}, {"green", Color::green}}, {"blue"});
  EXPECT_EQ(read(type, "green"), Color::green);
  std::string said;
  EXPECT_FALSE(read(type, "gren", &said));
  EXPECT_NE(said.find("did you mean 'green'?"), std::string::npos) << said;
  EXPECT_FALSE(read(type, "blue", &said));
  EXPECT_NE(said.find("not supported by this version"), std::string::npos) << said;
}

TEST(TextTypes, RefuseWhatNobodyCouldRead) {
  EXPECT_EQ(read(text("a path"), "/a b"), "/a b");
  for (const char* bad : {"", "a\tb", "a\nb", "a\x7F", "\x1B[0m"})
    EXPECT_FALSE(read(text("a path"), bad)) << bad;
  EXPECT_EQ(read(long_text("a text"), "a\r\n\tb"), "a\r\n\tb");
  for (const char* bad : {"a\x7F", "a\x1B[0m", "a\x0B"})
    EXPECT_FALSE(read(long_text("a text"), bad)) << bad;
  EXPECT_EQ(read(name_text("a name"), "a-b_c.1"), "a-b_c.1");
  for (const char* bad : {"", "a b", "a/b", "a:b", "\xC3\xA4"})
    EXPECT_FALSE(read(name_text("a name"), bad)) << bad;
  EXPECT_EQ(read(token("a method"), "M-SEARCH"), "M-SEARCH");
  for (const char* bad : {"", "a b", "a/b", "a\n"})
    EXPECT_FALSE(read(token("a method"), bad)) << bad;
}

TEST(FieldTypes, RefuseWhatWouldBreakAMessage) {
  EXPECT_TRUE(read(field_name(), "X-Frame-Options"));
  for (const char* bad :
       {"", "X Y", "X:", "X\r\n", "Content-Length", "transfer-encoding", "Connection"})
    EXPECT_FALSE(read(field_name(), bad)) << bad;
  EXPECT_TRUE(read(field_value(), "a b"));
  EXPECT_TRUE(read(field_value(), "a\tb"));
  EXPECT_TRUE(read(field_value(), ""));
  for (const char* bad : {"a\r\nb: c", "a\nb", " a", "a ", "a\x7F"})
    EXPECT_FALSE(read(field_value(), bad)) << bad;
  EXPECT_FALSE(read(field_value(), std::string("a\0b", 3)));
}

TEST(EveryType, NeverShowsASecret) {
  std::string said;
  EXPECT_FALSE(read(boolean(), "hunter2", &said, true));
  EXPECT_NE(said.find("error: <redacted> is not true or false"), std::string::npos) << said;
  const auto hides = [&said](const auto& type, const char* text) {
    EXPECT_FALSE(read(type, text, &said, true));
    EXPECT_EQ(said.find("write"), std::string::npos) << said;
    EXPECT_EQ(said.find("did you mean"), std::string::npos) << said;
  };
  hides(duration(), "77777");
  hides(size(), "77777KB");
  hides(rate(), "77777");
  hides(percentage(100), "77777");
  hides(enumeration<int>({{"red", 1}}), "rad");
}

TEST(EveryType, RefusesAListWhereOneValueStands) {
  for (const std::string& said :
       {refusal_of_a_list(duration()), refusal_of_a_list(size()), refusal_of_a_list(rate()),
        refusal_of_a_list(percentage(100)), refusal_of_a_list(integer<int>(0, 1)),
        refusal_of_a_list(boolean()), refusal_of_a_list(enumeration<int>({{"red", 1}})),
        refusal_of_a_list(text("a text"))})
    EXPECT_NE(said.find(", found a list in the top level"), std::string::npos) << said;
}

TEST(Texts, PrintTheLargestUnitThatDivides) {
  EXPECT_EQ(duration_text(90000), "90s");
  EXPECT_EQ(duration_text(86400000), "1d");
  EXPECT_EQ(duration_text(1500), "1500ms");
  EXPECT_EQ(duration_text(0), "0s");
  EXPECT_EQ(size_text(100ULL << 20), "100MiB");
  EXPECT_EQ(size_text(240), "240B");
}

TEST(Yaml, QuotesWhatOthersWouldTakeForSomethingElse) {
  Value map = Value::map();
  for (const char* text :
       {"true", "null", "1.2", ":80", "a b", "", "a: b", "*x", "plain", "line\nbreak", "${x}"})
    map.set(text, Value::of_text(text));
  const std::string yaml = to_yaml(map);
  EXPECT_NE(yaml.find("plain: plain\n"), std::string::npos) << yaml;
  EXPECT_NE(yaml.find("\"true\": \"true\"\n"), std::string::npos) << yaml;
  EXPECT_NE(yaml.find("\"line\\nbreak\""), std::string::npos) << yaml;
  EXPECT_NE(yaml.find("\"$${x}\""), std::string::npos) << yaml;
}

// What is printed is read again: as text with a newline, and as an item of a list.
TEST(Yaml, WhatItPrintsReadsAsItWas) {
  for (int byte = 1; byte < 0x80; ++byte) {
    const std::string text = std::string("x") + static_cast<char>(byte) + "${y}";
    Value map = Value::map();
    map.set("one", Value::of_text(text));
    map.set("many", Value::list({Value::of_text(text), Value::of_text("$")}));
    Report report;
    const Tree tree = parse_tree(to_yaml(map), "printed", report);
    ASSERT_TRUE(report.ok()) << byte << report.text();
    EXPECT_EQ(tree.root.find("one")->text, text) << byte;
    EXPECT_EQ(tree.root.find("many")->items.at(0).text, text) << byte;
    EXPECT_EQ(tree.root.find("many")->items.at(1).text, "$");
  }
}

// An editor that reads YAML tells numbers and truth from texts, the daemon does not.
TEST(Schema, TakesAValueInEveryFormThatIsRead) {
  enum class Version : std::uint8_t { old };
  EXPECT_EQ(
      to_json(enumeration<Version>({{"1.2", Version::old}}).schema.members[0].second.items[0]),
      "{\n  \"enum\": [\n    \"1.2\",\n    1.2\n  ]\n}\n");
  EXPECT_EQ(to_json(boolean().schema.members[0].second.items[0]),
            "{\n  \"enum\": [\n    true,\n    false,\n    \"true\",\n    \"false\"\n  ]\n}\n");
  const std::string number = to_json(integer<int>(0, 9).schema);
  EXPECT_NE(number.find("#/definitions/quoted_number"), std::string::npos) << number;
  const std::string zero = to_json(size(Zero::allowed).schema);
  EXPECT_NE(zero.find("|^0$|"), std::string::npos) << zero;
  EXPECT_EQ(to_json(size(Zero::refused).schema).find("|^0$|"), std::string::npos);
}

}  // namespace
}  // namespace revproxyd::config
