#include "http/date.h"

#include <cstddef>
#include <cstring>

#include "revproxyd/base/ascii.h"

namespace revproxyd::http {

namespace {

constexpr std::size_t kDateSize = 29;
constexpr std::int64_t kDaySeconds = 86'400;
constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};
constexpr const char* kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct Civil {
  std::int64_t year = 1970;
  int month = 1;  // 1..12
  int day = 1;    // 1..31
  int hour = 0;
  int minute = 0;
  int second = 0;
};

// The Gregorian calendar repeats every 400 years (146097 days); years are counted from March so
// that the leap day is last.
constexpr std::int64_t days_from_civil(std::int64_t year, int month, int day) noexcept {
  if (month <= 2) --year;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
         719'468;
}

constexpr void civil_from_days(std::int64_t days, Civil& out) noexcept {
  days += 719'468;
  const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const std::int64_t day_of_era = days - era * 146'097;
  const std::int64_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;
  out.day = static_cast<int>(day_of_year - (153 * shifted + 2) / 5 + 1);
  out.month = static_cast<int>(shifted < 10 ? shifted + 3 : shifted - 9);
  out.year = year_of_era + era * 400 + (out.month <= 2 ? 1 : 0);
}

constexpr bool is_leap(std::int64_t year) noexcept {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

constexpr int days_in(std::int64_t year, int month) noexcept {
  constexpr int kLengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kLengths[month - 1];
}

// Reads a date from left to right; after a mismatch every later step is a no-op and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view text) noexcept : rest_(text) {}

  bool ok() const noexcept { return ok_; }
  bool at_end() const noexcept { return ok_ && rest_.empty(); }

  void literal(std::string_view text) noexcept {
    if (!ok_ || !rest_.starts_with(text)) return fail();
    rest_.remove_prefix(text.size());
  }
  int number(std::size_t digits) noexcept {
    if (!ok_ || rest_.size() < digits) return fail(), 0;
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (!ascii::is_digit(rest_[i])) return fail(), 0;
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }
  int padded_day() noexcept {
    if (!ok_ || !rest_.starts_with(' ')) return number(2);
    rest_.remove_prefix(1);
    return number(1);
  }
  int month() noexcept {
    if (!ok_ || rest_.size() < 3) return fail(), 0;
    for (int i = 0; i < 12; ++i) {
      if (std::memcmp(rest_.data(), kMonths + static_cast<std::ptrdiff_t>(i) * 3, 3) != 0) continue;
      rest_.remove_prefix(3);
      return i + 1;
    }
    return fail(), 0;
  }
  void time(Civil& out) noexcept {
    out.hour = number(2);
    literal(":");
    out.minute = number(2);
    literal(":");
    out.second = number(2);
  }

 private:
  void fail() noexcept { ok_ = false; }

  std::string_view rest_;
  bool ok_ = true;
};

std::optional<std::time_t> seconds_of(const Civil& civil) noexcept {
  if (civil.month < 1 || civil.day < 1 || civil.day > days_in(civil.year, civil.month))
    return std::nullopt;
  // A leap second is a legal 60.
  if (civil.hour > 23 || civil.minute > 59 || civil.second > 60) return std::nullopt;
  const std::int64_t days = days_from_civil(civil.year, civil.month, civil.day);
  return static_cast<std::time_t>(days * kDaySeconds + civil.hour * 3'600 + civil.minute * 60 +
                                  civil.second);
}

std::optional<std::time_t> parse_imf(std::string_view rest) noexcept {
  Civil civil;
  Reader reader(rest);
  reader.literal(", ");
  civil.day = reader.number(2);
  reader.literal(" ");
  civil.month = reader.month();
  reader.literal(" ");
  civil.year = reader.number(4);
  reader.literal(" ");
  reader.time(civil);
  reader.literal(" GMT");
  return reader.at_end() ? seconds_of(civil) : std::nullopt;
}

std::optional<std::time_t> parse_rfc850(std::string_view rest) noexcept {
  Civil civil;
  Reader reader(rest);
  reader.literal(", ");
  civil.day = reader.number(2);
  reader.literal("-");
  civil.month = reader.month();
  reader.literal("-");
  const int short_year = reader.number(2);
  reader.literal(" ");
  reader.time(civil);
  reader.literal(" GMT");
  if (!reader.at_end()) return std::nullopt;
  // A year that looks more than 50 years ahead is the latest past year with the same digits (RFC
  // 9110 section 5.6.7).
  Civil today;
  civil_from_days(static_cast<std::int64_t>(std::time(nullptr)) / kDaySeconds, today);
  civil.year = today.year - today.year % 100 + short_year;
  if (civil.year > today.year + 50) civil.year -= 100;
  return seconds_of(civil);
}

std::optional<std::time_t> parse_asctime(std::string_view rest) noexcept {
  Civil civil;
  Reader reader(rest);
  reader.literal(" ");
  civil.month = reader.month();
  reader.literal(" ");
  civil.day = reader.padded_day();
  reader.literal(" ");
  reader.time(civil);
  reader.literal(" ");
  civil.year = reader.number(4);
  return reader.at_end() ? seconds_of(civil) : std::nullopt;
}

void put_two(char* out, int value) noexcept {
  out[0] = static_cast<char>('0' + value / 10);
  out[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::string_view date_now() noexcept {
  thread_local std::time_t written = -1;
  thread_local char text[kDateSize];
  const std::time_t now = std::time(nullptr);
  if (now != written) {
    format_date(now, text);
    written = now;
  }
  return {text, kDateSize};
}

void format_date(std::time_t when, char* out) noexcept {
  const auto seconds = static_cast<std::int64_t>(when);
  std::int64_t days = seconds / kDaySeconds;
  if (seconds % kDaySeconds < 0) --days;
  const auto of_day = static_cast<int>(seconds - days * kDaySeconds);
  Civil civil;
  civil_from_days(days, civil);
  // 1 January 1970 was a Thursday.
  const auto weekday = static_cast<std::size_t>(((days + 4) % 7 + 7) % 7);
  std::memcpy(out, "xxx, 00 xxx 0000 00:00:00 GMT", kDateSize);
  std::memcpy(out, kDays[weekday], 3);
  put_two(out + 5, civil.day);
  std::memcpy(out + 8, kMonths + static_cast<std::ptrdiff_t>(civil.month - 1) * 3, 3);
  const auto year = static_cast<int>(civil.year % 10'000);
  put_two(out + 12, year / 100);
  put_two(out + 14, year % 100);
  put_two(out + 17, of_day / 3'600);
  put_two(out + 20, of_day / 60 % 60);
  put_two(out + 23, of_day % 60);
}

std::optional<std::time_t> parse_date(std::string_view text) noexcept {
  for (const char* day : kDays) {
    const std::string_view full(day);
    if (text.starts_with(full)) return parse_rfc850(text.substr(full.size()));
    if (!text.starts_with(full.substr(0, 3))) continue;
    const std::string_view rest = text.substr(3);
    return rest.starts_with(',') ? parse_imf(rest) : parse_asctime(rest);
  }
  return std::nullopt;
}

}  // namespace revproxyd::http
