#include "revproxyd/proxy/access_record.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <limits>

#include "proxy/access_escape.h"
#include "revproxyd/base/ascii.h"

namespace revproxyd::proxy {

namespace {

using std::chrono::system_clock;

template <std::size_t width>
void put_padded(Pen& out, unsigned value) noexcept {
  char* digits = out.at();
  for (std::size_t i = width; i != 0; value /= 10)
    digits[--i] = static_cast<char>('0' + value % 10);
  out.move_to(digits + width);
}

void put_number(Pen& out, std::uint64_t number) {
  if (number < 10) return out.put(static_cast<char>('0' + number));
  constexpr std::size_t kDigits = 20;
  out.move_to(std::to_chars(out.at(), out.at() + kDigits, number).ptr);
}

// Microseconds as milliseconds with three decimals.
void put_time(Pen& out, std::chrono::microseconds time) {
  const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
  put_number(out, us / 1000);
  out.put('.');
  put_padded<3>(out, static_cast<unsigned>(us % 1000));
}

/// Both writings of a second, made once for all lines of that second.
struct Second {
  std::int64_t unix_s = std::numeric_limits<std::int64_t>::min();
  std::array<char, 19> json;      // 2026-11-23T12:44:58
  std::array<char, 26> combined;  // 23/Nov/2026:12:44:58 +0000
};

void write_second(Second& second, std::int64_t unix_s) noexcept {
  using namespace std::chrono;
  const sys_seconds time{seconds{unix_s}};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  const auto y = static_cast<unsigned>(std::clamp(static_cast<int>(date.year()), 0, 9999));
  const auto m = static_cast<unsigned>(date.month());
  const auto d = static_cast<unsigned>(date.day());
  const auto put_clock = [&](Pen& out) {
    put_padded<2>(out, static_cast<unsigned>(clock.hours().count()));
    out.put(':');
    put_padded<2>(out, static_cast<unsigned>(clock.minutes().count()));
    out.put(':');
    put_padded<2>(out, static_cast<unsigned>(clock.seconds().count()));
  };
  Pen json(second.json.data());
  put_padded<4>(json, y);
  json.put('-');
  put_padded<2>(json, m);
  json.put('-');
  put_padded<2>(json, d);
  json.put('T');
  put_clock(json);

  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  Pen combined(second.combined.data());
  put_padded<2>(combined, d);
  combined.put('/');
  combined.put(kMonths.substr((m - 1) * 3, 3));
  combined.put('/');
  put_padded<4>(combined, y);
  combined.put(':');
  put_clock(combined);
  combined.put(" +0000");
  second.unix_s = unix_s;
}

const Second& second_of(system_clock::time_point time) noexcept {
  thread_local Second second;
  const auto unix_s = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  if (unix_s != second.unix_s) write_second(second, unix_s);
  return second;
}

void put_timestamp(Pen& out, system_clock::time_point time) {
  const Second& second = second_of(time);
  out.put(Bytes(second.json.data(), second.json.size()));
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count() -
                  second.unix_s * 1000;
  out.put('.');
  put_padded<3>(out, static_cast<unsigned>(ms));
  out.put('Z');
}

// `key` brings its comma, quotes and colon: one append instead of three, of a length that is known
// when this is compiled.
template <std::size_t size>
void kept_member(Pen& out, const char (&key)[size], std::string_view value) {
  out.put({key, size - 1});
  out.put('"');
  put_text(out, value, Escape::json);
  out.put('"');
}

template <std::size_t size>
void text_member(Pen& out, const char (&key)[size], std::string_view value) {
  if (!value.empty()) kept_member(out, key, value);
}

template <std::size_t size>
void number_member(Pen& out, const char (&key)[size], std::uint64_t value) {
  out.put({key, size - 1});
  put_number(out, value);
}

template <std::size_t size>
void time_member(Pen& out, const char (&key)[size], std::chrono::microseconds time) {
  if (time < std::chrono::microseconds{0}) return;
  out.put({key, size - 1});
  put_time(out, time);
}

void put_referer(Pen& out, std::string_view referer, const AccessMask& mask, Escape escape) {
  if (mask.hides_referer()) return out.put("***");
  put_url(out, referer, mask, escape);
}

void put_user_agent(Pen& out, std::string_view user_agent, const AccessMask& mask, Escape escape) {
  put_text(out, mask.hides_user_agent() ? "***" : user_agent, escape);
}

// Keys, punctuation, numbers and times of a line.
constexpr std::size_t kFixedRoom = 1024;

void commit(Buffer& buffer, const Pen& out) noexcept {
  const auto written = static_cast<std::size_t>(out.at() - buffer.room().data());
  assert(written <= buffer.room().size());
  buffer.commit(written);
}

// A dash stands for what is missing.
void put_or_dash(Pen& out, std::string_view text) {
  put_text(out, text.empty() ? "-" : text, Escape::combined);
}

int decoded(std::string_view text, std::size_t& at) noexcept {
  const char c = text[at++];
  if (c == '+') return ' ';
  if (c != '%' || at + 2 > text.size()) return static_cast<unsigned char>(c);
  const int high = ascii::hex_value(text[at]);
  const int low = ascii::hex_value(text[at + 1]);
  if (high < 0 || low < 0) return '%';
  at += 2;
  return high * 16 + low;
}

bool same_name(std::string_view raw, std::string_view lower) noexcept {
  std::size_t at = 0;
  for (char expected : lower) {
    if (at == raw.size()) return false;
    if (ascii::to_lower(static_cast<char>(decoded(raw, at))) != expected) return false;
  }
  return at == raw.size();
}

}  // namespace

AccessMask::AccessMask(std::span<const std::string> query, std::span<const std::string> headers) {
  parameters_.reserve(query.size());
  for (const std::string& name : query) parameters_.push_back(ascii::lower(name));
  for (const std::string& name : headers) {
    hide_referer_ = hide_referer_ || ascii::iequals(name, "referer");
    hide_user_agent_ = hide_user_agent_ || ascii::iequals(name, "user-agent");
  }
}

bool AccessMask::hides_parameter(std::string_view raw_name) const noexcept {
  return std::any_of(parameters_.begin(), parameters_.end(),
                     [&](const std::string& name) { return same_name(raw_name, name); });
}

std::size_t room_for(const AccessRecord& r) noexcept {
  const auto room_of = [](const auto&... text) {
    return ((kRoomOfText + std::min(text.size(), kAccessFieldLimit) * kRoomOfByte) + ...);
  };
  return kFixedRoom + room_of(r.id, r.client, r.listener, r.proto, r.tls, r.sni, r.method, r.scheme,
                              r.host, r.path, r.query, r.referer, r.user_agent, r.route, r.upstream,
                              r.server, r.cache, r.why);
}

void format_json(const AccessRecord& record, const AccessMask& mask, Buffer& buffer) {
  assert(buffer.room().size() >= room_for(record));
  Pen out(buffer.room().data());
  out.put("{\"ts\":\"");
  put_timestamp(out, record.ts);
  out.put('"');
  kept_member(out, ",\"id\":", record.id);
  kept_member(out, ",\"client\":", record.client);
  text_member(out, ",\"listener\":", record.listener);
  text_member(out, ",\"proto\":", record.proto);
  text_member(out, ",\"tls\":", record.tls);
  text_member(out, ",\"sni\":", record.sni);
  kept_member(out, ",\"method\":", record.method);
  text_member(out, ",\"scheme\":", record.scheme);
  text_member(out, ",\"host\":", record.host);
  kept_member(out, ",\"path\":", record.path);
  if (!record.query.empty()) {
    out.put(",\"query\":\"");
    put_query(out, record.query, mask, Escape::json);
    out.put('"');
  }
  number_member(out, ",\"status\":", record.status);
  if (record.bytes_in != 0) number_member(out, ",\"bytes_in\":", record.bytes_in);
  number_member(out, ",\"bytes_out\":", record.bytes_out);
  if (!record.referer.empty()) {
    out.put(",\"referer\":\"");
    put_referer(out, record.referer, mask, Escape::json);
    out.put('"');
  }
  if (!record.user_agent.empty()) {
    out.put(",\"user_agent\":\"");
    put_user_agent(out, record.user_agent, mask, Escape::json);
    out.put('"');
  }
  text_member(out, ",\"route\":", record.route);
  text_member(out, ",\"upstream\":", record.upstream);
  text_member(out, ",\"server\":", record.server);
  if (record.retries != 0) number_member(out, ",\"retries\":", record.retries);
  text_member(out, ",\"cache\":", record.cache);
  time_member(out, ",\"t_queue\":", record.t_queue);
  time_member(out, ",\"t_connect\":", record.t_connect);
  time_member(out, ",\"t_ttfb\":", record.t_ttfb);
  time_member(out, ",\"t_total\":", std::max(record.t_total, std::chrono::microseconds{0}));
  text_member(out, ",\"why\":", record.why);
  out.put("}\n");
  commit(buffer, out);
}

void format_combined(const AccessRecord& record, const AccessMask& mask, Buffer& buffer) {
  assert(buffer.room().size() >= room_for(record));
  Pen out(buffer.room().data());
  put_or_dash(out, record.client);
  out.put(" - - [");
  const Second& second = second_of(record.ts);
  out.put(Bytes(second.combined.data(), second.combined.size()));
  out.put("] \"");
  put_or_dash(out, record.method);
  out.put(' ');
  put_or_dash(out, record.path);
  if (!record.query.empty()) {
    out.put('?');
    put_query(out, record.query, mask, Escape::combined);
  }
  out.put(' ');
  put_or_dash(out, record.proto);
  out.put("\" ");
  put_number(out, record.status);
  out.put(' ');
  put_number(out, record.bytes_out);
  out.put(" \"");
  if (record.referer.empty()) {
    out.put('-');
  } else {
    put_referer(out, record.referer, mask, Escape::combined);
  }
  out.put("\" \"");
  if (record.user_agent.empty()) {
    out.put('-');
  } else {
    put_user_agent(out, record.user_agent, mask, Escape::combined);
  }
  out.put("\"\n");
  commit(buffer, out);
}

}  // namespace revproxyd::proxy
