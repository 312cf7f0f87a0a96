#include "proxy/access_escape.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace revproxyd::proxy {

namespace {

constexpr std::string_view kHidden = "***";
constexpr std::string_view kCut = "...";

constexpr std::array<bool, 256> make_plain() noexcept {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlain = make_plain();

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHighs = 0x8080808080808080;

constexpr std::uint64_t has_zero(std::uint64_t word) noexcept {
  return (word - kOnes) & ~word & kHighs;
}

// Not zero when one of eight bytes needs escaping. May be so for a word that is plain (a borrow
// runs into the next byte), never zero for one that is not.
constexpr std::uint64_t special(std::uint64_t word) noexcept {
  const std::uint64_t below_space = (word - kOnes * 0x20) & ~word;
  const std::uint64_t quote = has_zero(word ^ (kOnes * '"'));
  const std::uint64_t backslash = has_zero(word ^ (kOnes * '\\'));
  const std::uint64_t del = has_zero(word ^ (kOnes * 0x7f));
  return ((word | below_space) & kHighs) | quote | backslash | del;
}

// Sixteen bytes at once, which both compilers turn into what the machine has for it. Signed, so
// that what is not ASCII is below the space as well.
using Sixteen = signed char __attribute__((vector_size(16)));

Sixteen special(Sixteen bytes) noexcept {
  return (bytes < ' ') | (bytes == '"') | (bytes == '\\') | (bytes == 0x7f);
}

template <typename Word>
Word copy_word(char* to, const char* from) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof word);
  std::memcpy(to, &word, sizeof word);
  return word;
}

bool copied_sixteens(char* to, std::string_view text) noexcept {
  const std::size_t last = text.size() - sizeof(Sixteen);
  Sixteen found = special(copy_word<Sixteen>(to + last, text.data() + last));
  for (std::size_t i = 0; i < last; i += sizeof(Sixteen))
    found |= special(copy_word<Sixteen>(to + i, text.data() + i));
  std::array<std::uint64_t, 2> halves;
  std::memcpy(halves.data(), &found, sizeof found);
  return (halves[0] | halves[1]) == 0;
}

// Copies and looks at once, since nearly all that is logged is plain; the last word overlaps the
// one before. True when it was; what was copied counts for nothing otherwise.
bool copied_plain(char* to, std::string_view text) noexcept {
  const char* from = text.data();
  const std::size_t size = text.size();
  if (size >= sizeof(Sixteen)) return copied_sixteens(to, text);
  if (size >= sizeof(std::uint64_t)) {
    const std::size_t last = size - sizeof(std::uint64_t);
    const std::uint64_t found = special(copy_word<std::uint64_t>(to, from));
    return (found | special(copy_word<std::uint64_t>(to + last, from + last))) == 0;
  }
  if (size >= sizeof(std::uint32_t)) {
    const std::size_t last = size - sizeof(std::uint32_t);
    const std::uint64_t first = copy_word<std::uint32_t>(to, from);
    return special(first << 32 | copy_word<std::uint32_t>(to + last, from + last)) == 0;
  }
  bool plain = true;
  for (std::size_t i = 0; i < size; ++i) {
    to[i] = from[i];
    plain = plain && kPlain[static_cast<unsigned char>(from[i])];
  }
  return plain;
}

void put_hex(Pen& out, std::string_view lead, unsigned char byte) noexcept {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out.put(lead);
  out.put(kDigits[byte >> 4]);
  out.put(kDigits[byte & 15]);
}

void put_special(Pen& out, char c, Escape escape) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  if (escape == Escape::combined) return put_hex(out, "\\x", byte);
  switch (c) {
    case '"': return out.put("\\\"");
    case '\\': return out.put("\\\\");
    case '\n': return out.put("\\n");
    case '\r': return out.put("\\r");
    case '\t': return out.put("\\t");
    default: return put_hex(out, "\\u00", byte);
  }
}

void put_escaped(Pen& out, std::string_view text, Escape escape) noexcept {
  if (copied_plain(out.at(), text)) return out.move_to(out.at() + text.size());
  for (char c : text) {
    if (kPlain[static_cast<unsigned char>(c)]) {
      out.put(c);
    } else {
      put_special(out, c, escape);
    }
  }
}

bool is_separator(char c) noexcept { return c == '&' || c == ';' || c == '?' || c == '#'; }

std::size_t end_of_place(std::string_view url) noexcept {
  return static_cast<std::size_t>(
      std::find_if(url.begin(), url.end(), [](char c) { return c == '?' || c == '#'; }) -
      url.begin());
}

}  // namespace

void put_text(Pen& out, std::string_view text, Escape escape) noexcept {
  put_escaped(out, text.substr(0, kAccessFieldLimit), escape);
  if (text.size() > kAccessFieldLimit) out.put(kCut);
}

void put_query(Pen& out, std::string_view query, const AccessMask& mask, Escape escape) noexcept {
  const bool cut = query.size() > kAccessFieldLimit;
  query = query.substr(0, kAccessFieldLimit);
  while (!query.empty()) {
    std::size_t end = static_cast<std::size_t>(
        std::find_if(query.begin(), query.end(), is_separator) - query.begin());
    const std::string_view parameter = query.substr(0, end);
    const std::size_t equals = parameter.find('=');
    if (equals != std::string_view::npos && mask.hides_parameter(parameter.substr(0, equals))) {
      put_escaped(out, parameter.substr(0, equals + 1), escape);
      out.put(kHidden);
      // A secret may hold the other separators.
      end = std::min(query.find('&'), query.size());
    } else {
      put_escaped(out, parameter, escape);
    }
    if (end < query.size()) out.put(query[end]);
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  if (cut) out.put(kCut);
}

void put_url(Pen& out, std::string_view url, const AccessMask& mask, Escape escape) noexcept {
  const bool cut = url.size() > kAccessFieldLimit;
  url = url.substr(0, kAccessFieldLimit);
  const std::size_t parameters = end_of_place(url);
  std::string_view place = url.substr(0, parameters);
  const std::size_t slashes = place.find("//");
  if (slashes != std::string_view::npos) {
    const std::size_t authority = slashes + 2;
    const std::size_t at = place.substr(0, place.find('/', authority)).rfind('@');
    if (at != std::string_view::npos && at >= authority) {
      put_text(out, place.substr(0, authority), escape);
      out.put(kHidden);
      place.remove_prefix(at);
    }
  }
  put_text(out, place, escape);
  if (parameters < url.size()) {
    out.put(url[parameters]);
    put_query(out, url.substr(parameters + 1), mask, escape);
  }
  if (cut) out.put(kCut);
}

}  // namespace revproxyd::proxy
