// parse_fields: field lines (RFC 9112 section 5) in one pass, names by table and values sixteen
// bytes a step.

#include <array>
#include <cstddef>
#include <cstdint>

#include "http/field_text.h"
#include "http/h1/parser.h"
#include "http/h1/refusal.h"
#include "revproxyd/base/ascii.h"

namespace revproxyd::http::h1 {

namespace {

constexpr std::uint8_t kToken = 1;
constexpr std::uint8_t kUnderscore = 2;

constexpr std::array<std::uint8_t, 256> make_name_table() noexcept {
  std::array<std::uint8_t, 256> table{};
  for (std::size_t c = 0; c < table.size(); ++c) table[c] = ascii::detail::kToken[c] ? kToken : 0;
  table['_'] = kToken | kUnderscore;
  return table;
}
constexpr std::array<std::uint8_t, 256> kNameTable = make_name_table();

// Why a line is no field line: `at` is the first byte of its name that is neither a token character
// nor the colon.
Error bad_name(Kind kind, const char* at, const char* begin, const char* end) noexcept {
  if (at == end) return malformed(kind, "field section without an empty line");
  const char c = *at;
  if (c == ' ' || c == '\t') {
    if (at == begin) return malformed(kind, "field line that begins with white space (obs-fold)");
    while (at != end && (*at == ' ' || *at == '\t')) ++at;
    if (at != end && *at == ':') return malformed(kind, "white space before the colon");
    return malformed(kind, "white space in a field name");
  }
  if (c == '\n') return malformed(kind, "bare LF in a field line");
  if (c == '\r') {
    return malformed(kind, at + 1 != end && at[1] == '\n' ? "field line without a colon"
                                                          : "bare CR in a field line");
  }
  if (c == '\0') return malformed(kind, "NUL in a field name");
  return malformed(kind, "character in a field name that no token has");
}

Error bad_value(Kind kind, const char* at, const char* end) noexcept {
  if (at == end) return malformed(kind, "field line without CRLF");
  if (*at == '\r') return malformed(kind, "bare CR in a field value");
  if (*at == '\n') return malformed(kind, "bare LF in a field value");
  if (*at == '\0') return malformed(kind, "NUL in a field value");
  return malformed(kind, "control character in a field value");
}

// Reads one field line into `out`; the beginning of the next, or null and why.
const char* read_line(const char* begin, const char* end, Kind kind, Field& out,
                      Error& why) noexcept {
  const char* at = skip_plain_name(begin, end);
  std::uint8_t seen = 0;
  while (at != end) {
    const std::uint8_t token = kNameTable[static_cast<unsigned char>(*at)];
    if (token == 0) break;
    seen |= token;
    ++at;
  }
  const auto refuse = [&why](const Error& error) {
    why = error;
    return nullptr;
  };
  if (at == end || *at != ':') return refuse(bad_name(kind, at, begin, end));
  if (at == begin) return refuse(malformed(kind, "empty field name"));
  // Backends that turn '-' into '_' would take such a name for another one.
  if (kind == Kind::request && (seen & kUnderscore) != 0)
    return refuse(malformed(kind, "underscore in a field name"));
  out.name = {begin, static_cast<std::size_t>(at - begin)};
  ++at;
  while (at != end && (*at == ' ' || *at == '\t')) ++at;
  const char* const value = at;
  at = find_control(at, end);
  if (end - at < 2 || at[0] != '\r' || at[1] != '\n') return refuse(bad_value(kind, at, end));
  const char* last = at;
  while (last != value && (last[-1] == ' ' || last[-1] == '\t')) --last;
  out.value = {value, static_cast<std::size_t>(last - value)};
  out.known = lookup(out.name);
  return at + 2;
}

}  // namespace

Result<void> parse_fields(Bytes block, Kind kind, Fields& fields, const HeadLimits& limits) {
  const char* at = block.data();
  const char* const end = at + block.size();
  if (block.size() > limits.header_bytes + 2) {
    return too_large(kind, Code::header_too_large, "field lines larger than allowed");
  }
  for (std::size_t lines = 0;; ++lines) {
    if (end - at >= 2 && at[0] == '\r' && at[1] == '\n') {
      if (end - at == 2) return {};
      return malformed(kind, "bytes behind the empty line");
    }
    if (lines == limits.header_count)
      return too_large(kind, Code::too_many_fields, "more field lines than allowed");
    Field field;
    Error why(Code::none);
    at = read_line(at, end, kind, field, why);
    if (at == nullptr) return why;
    fields.append(field);
  }
}

}  // namespace revproxyd::http::h1
