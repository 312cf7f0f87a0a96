#include "http/date.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

namespace revproxyd::http {
namespace {

// The example of RFC 9110 section 5.6.7.
constexpr std::time_t kExample = 784'111'777;

std::string formatted(std::time_t when) {
  std::array<char, 29> text{};
  format_date(when, text.data());
  return {text.data(), text.size()};
}

TEST(Date, IsWrittenInThePreferredForm) {
  EXPECT_EQ(formatted(kExample), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(formatted(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(formatted(951'782'400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(formatted(4'102'444'799), "Thu, 31 Dec 2099 23:59:59 GMT");
  EXPECT_EQ(formatted(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
}

TEST(Date, IsReadInAllThreeForms) {
  EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), kExample);
  EXPECT_EQ(parse_date("Sunday, 06-Nov-94 08:49:37 GMT"), kExample);
  EXPECT_EQ(parse_date("Sun Nov  6 08:49:37 1994"), kExample);
  EXPECT_EQ(parse_date("Thu Dec 31 23:59:59 2099"), 4'102'444'799);
}

TEST(Date, ReadsTwoDigitYearsFarAheadAsPast) {
  // 1971, as 2071 lies more than fifty years ahead until 2021 and less from then on; the rule
  // decides by today.
  const std::time_t now = std::time(nullptr);
  const auto read = parse_date("Friday, 01-Jan-71 00:00:00 GMT");
  ASSERT_TRUE(read.has_value());
  constexpr std::time_t kFiftyOneYears = 51LL * 366 * 86'400;
  EXPECT_LE(*read, now + kFiftyOneYears);
}

TEST(Date, RefusesWhatIsNone) {
  for (const char* text : {"", "0", "Sun", "Sun, 06 Nov 1994 08:49:37",
                           "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ",
                           "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
                           "Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 29 Feb 1995 08:49:37 GMT",
                           "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
                           "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
                           "Sun, 06 Nov 199x 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT",
                           "Sun Nov 6 08:49:37 1994", "Xxx, 06 Nov 1994 08:49:37 GMT"}) {
    EXPECT_FALSE(parse_date(text).has_value()) << text;
  }
}

TEST(Date, RefusesWhatIsCutAnywhere) {
  for (const std::string_view whole :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994"}) {
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_FALSE(parse_date(whole.substr(0, size)).has_value()) << whole.substr(0, size);
  }
}

// A leap year of 366 days, 719528 days before 1970 begins.
TEST(Date, ReadsTheYearZero) {
  EXPECT_EQ(parse_date("Sat, 01 Jan 0000 00:00:00 GMT"), -719'528LL * 86'400);
  EXPECT_EQ(parse_date("Sun, 31 Dec 0000 00:00:00 GMT"), (365 - 719'528LL) * 86'400);
}

TEST(Date, RoundTripsAcrossLeapYears) {
  constexpr std::time_t kStep = 86'400 * 13 + 12'345;
  for (std::time_t when = 0; when < 7'000'000'000; when += kStep)
    ASSERT_EQ(parse_date(formatted(when)), when);
}

TEST(Date, OfNowIsNow) {
  const std::time_t before = std::time(nullptr);
  const auto read = parse_date(date_now());
  const std::time_t after = std::time(nullptr);
  ASSERT_TRUE(read.has_value());
  EXPECT_GE(*read, before);
  EXPECT_LE(*read, after);
}

TEST(Date, OfNowIsWrittenOnceASecond) {
  const std::string_view first = date_now();
  EXPECT_EQ(date_now().data(), first.data());
}

}  // namespace
}  // namespace revproxyd::http
