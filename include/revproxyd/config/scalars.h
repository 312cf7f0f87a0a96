#pragma once
// The types of single values. Every one reads a scalar's text; none is guessed from how it looks.

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "revproxyd/base/units.h"
#include "revproxyd/config/suggest.h"
#include "revproxyd/config/type.h"

namespace revproxyd::config {

namespace detail {
bool read_integer(Reader& reader, const Node& node, std::pair<std::int64_t, std::int64_t> range,
                  std::int64_t& out);
Value integer_schema(std::int64_t low, std::int64_t high);
bool unknown_word(Reader& reader, const Node& node, const std::vector<std::string_view>& words,
                  const std::vector<std::string_view>& later);
Value enum_schema(const std::vector<std::string_view>& words);
}  // namespace detail

/// A whole number in decimal digits, with a sign only where `low` is negative.
template <std::integral T>
Type<T> integer(std::int64_t low, std::int64_t high) {
  Type<T> type;
  type.schema = detail::integer_schema(low, high);
  type.read = [low, high](Reader& reader, const Node& node, T& out) {
    std::int64_t value = 0;
    if (!detail::read_integer(reader, node, {low, high}, value)) return false;
    out = static_cast<T>(value);
    return true;
  };
  type.write = [](const T& value) { return Value::of_plain(std::to_string(value)); };
  return type;
}

/// true or false, nothing else.
Type<bool> boolean();

/// What a zero means to a duration, size or rate.
enum class Zero : std::uint8_t { refused, allowed };

/// "5s": ms, s, m, h or d behind a whole number; at most 365d. Bare 0 only where it is allowed.
Type<Duration> duration(Zero zero = Zero::refused);
/// "16MiB": B, KiB, MiB, GiB or TiB behind a whole number.
Type<std::uint64_t> size(Zero zero = Zero::refused);
/// "240B/s": a size over one second.
Type<std::uint64_t> byte_rate(Zero zero = Zero::refused);
/// "100/10s": how many in a duration; of s, m and h the number 1 may be left out. Bare 0 only where
/// it is allowed.
Type<Rate> rate(Zero zero = Zero::refused);
/// "20%", a whole number up to `high`.
Type<std::uint32_t> percentage(std::uint32_t high);

/// Any text without control characters, at least one character. Not printed when it is empty.
Type<std::string> text(std::string_view what);
/// As text(), but line breaks and tabs may be in it, and it may be empty.
Type<std::string> long_text(std::string_view what);
/// The path of a file, absolute once it is read (Reader::path()). `words` are no paths,
/// and no secrets.
Type<std::string> file_path(std::string_view what = "the path of a file",
                            std::vector<std::string_view> words = {});
/// token of RFC 9110 section 5.6.2.
Type<std::string> token(std::string_view what);
/// The name of a header field: a token that does not frame the message or belong to one connection.
Type<std::string> field_name();
/// The value of a header field: no CR, LF or NUL (RFC 9110 section 5.5).
Type<std::string> field_value();
/// What others refer to: letters, digits, '_', '-' and '.'.
Type<std::string> name_text(std::string_view what);

/// One of `words`. Those in `later` are known but not supported by this version.
template <typename E>
Type<E> enumeration(std::vector<std::pair<std::string_view, E>> words,
                    std::vector<std::string_view> later = {}) {
  std::vector<std::string_view> names;
  for (const auto& word : words) names.push_back(word.first);
  Type<E> type;
  type.schema = detail::enum_schema(names);
  type.read = [words, names, later](Reader& reader, const Node& node, E& out) {
    for (const auto& word : words) {
      if (!node.is_scalar() || node.text != word.first) continue;
      out = word.second;
      return true;
    }
    return detail::unknown_word(reader, node, names, later);
  };
  type.write = [words](const E& value) {
    const auto at = std::find_if(words.begin(), words.end(),
                                 [&](const auto& word) { return word.second == value; });
    return at == words.end() ? Value::none() : Value::of_word(at->first);
  };
  return type;
}

}  // namespace revproxyd::config
