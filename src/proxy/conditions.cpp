#include "proxy/conditions.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "revproxyd/base/ascii.h"
#include "revproxyd/http/head.h"

namespace revproxyd::proxy {

namespace {

std::vector<ValueCondition> compile(const std::vector<ValuePattern>& patterns) {
  return {patterns.begin(), patterns.end()};
}

std::uint32_t bit(http::Method method) noexcept {
  return std::uint32_t{1} << static_cast<unsigned>(method);
}

/// The character at the front of an encoded query component, which is removed.
char take_decoded(std::string_view& text) noexcept {
  const char c = text.front();
  if (c == '%' && text.size() >= 3) {
    const int high = ascii::hex_value(text[1]);
    const int low = ascii::hex_value(text[2]);
    if (high >= 0 && low >= 0) {
      text.remove_prefix(3);
      return static_cast<char>(high * 16 + low);
    }
  }
  text.remove_prefix(1);
  return c == '+' ? ' ' : c;
}

bool decodes_to(std::string_view encoded, std::string_view text) noexcept {
  for (char c : text) {
    if (encoded.empty() || take_decoded(encoded) != c) return false;
  }
  return encoded.empty();
}

bool takes_decoded(const ValueCondition& condition, std::string_view encoded) noexcept {
  if (condition.kind() == ValueKind::text) return decodes_to(encoded, condition.text());
  if (condition.kind() != ValueKind::regex ||
      encoded.find_first_of("%+") == std::string_view::npos) {
    return condition.takes(encoded);
  }
  std::array<char, 512> small;
  std::string large;
  char* out = small.data();
  if (encoded.size() > small.size()) {
    large.resize(encoded.size());
    out = large.data();
  }
  std::size_t size = 0;
  while (!encoded.empty()) out[size++] = take_decoded(encoded);
  return condition.takes({out, size});
}

/// Splits `text` at the first `at` and removes that piece from it.
std::string_view take_piece(std::string_view& text, char at) noexcept {
  const std::size_t end = text.find(at);
  const std::string_view piece = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return piece;
}

/// The answer once no value satisfied the condition: only what must be absent, and is, holds.
bool verdict(const ValueCondition& condition, bool found) noexcept {
  return condition.kind() == ValueKind::absent && !found;
}

}  // namespace

ValueCondition::ValueCondition(const ValuePattern& pattern)
    : kind_(pattern.kind),
      field_(http::lookup(pattern.name)),
      name_(pattern.name),
      text_(pattern.text) {
  if (kind_ != ValueKind::regex) return;
  regex_ = filters::compile_regex(text_);
  if (!regex_->ok())
    throw std::invalid_argument("condition on " + name_ + ": bad regex: " + regex_->error());
}

bool ValueCondition::takes(std::string_view value) const noexcept {
  switch (kind_) {
    case ValueKind::text: return value == text_;
    case ValueKind::regex: return re2::RE2::PartialMatch(value, *regex_);
    case ValueKind::present: return true;
    case ValueKind::absent: return false;
  }
  return false;
}

Conditions::Conditions(const MatchSettings& match)
    : any_method_(match.methods.empty()),
      scheme_(match.scheme),
      listeners_(match.listeners),
      sources_(match.sources),
      headers_(compile(match.headers)),
      query_(compile(match.query)),
      cookies_(compile(match.cookies)) {
  for (const std::string& token : match.methods) {
    const http::Method method = http::lookup_method(token);
    if (method == http::Method::other) {
      other_methods_.push_back(token);
    } else {
      methods_ |= bit(method);
    }
  }
}

bool Conditions::hold(const MatchInput& input) const noexcept {
  const http::RequestHead& head = input.head;
  if (scheme_ && *scheme_ != input.scheme) return false;
  if (!method_holds(head) || !listener_holds(input.listener)) return false;
  if (!sources_.empty() && !net::contains(sources_, input.client)) return false;
  const auto header = [&](const ValueCondition& c) { return header_holds(c, head.fields); };
  const auto query = [&](const ValueCondition& c) { return query_holds(c, head.target.query); };
  const auto cookie = [&](const ValueCondition& c) { return cookie_holds(c, head.fields); };
  return std::all_of(headers_.begin(), headers_.end(), header) &&
         std::all_of(query_.begin(), query_.end(), query) &&
         std::all_of(cookies_.begin(), cookies_.end(), cookie);
}

bool Conditions::method_holds(const http::RequestHead& head) const noexcept {
  if (any_method_) return true;
  if (head.method != http::Method::other) return (methods_ & bit(head.method)) != 0;
  return std::find(other_methods_.begin(), other_methods_.end(), head.method_text) !=
         other_methods_.end();
}

bool Conditions::listener_holds(std::string_view listener) const noexcept {
  return listeners_.empty() ||
         std::find(listeners_.begin(), listeners_.end(), listener) != listeners_.end();
}

bool header_holds(const ValueCondition& condition, const http::Fields& fields) noexcept {
  const bool known = condition.field() != http::FieldName::unknown;
  if (known && !fields.has(condition.field())) return verdict(condition, false);
  bool found = false;
  for (const http::Field& field : fields) {
    if (field.known != condition.field()) continue;
    if (!known && !ascii::iequals(field.name, condition.name())) continue;
    found = true;
    if (condition.takes(field.value)) return true;
  }
  return verdict(condition, found);
}

bool query_holds(const ValueCondition& condition, std::string_view query) noexcept {
  bool found = false;
  while (!query.empty()) {
    std::string_view value = take_piece(query, '&');
    if (value.empty()) continue;
    const std::string_view name = take_piece(value, '=');
    if (!decodes_to(name, condition.name())) continue;
    found = true;
    if (takes_decoded(condition, value)) return true;
  }
  return verdict(condition, found);
}

bool cookie_holds(const ValueCondition& condition, const http::Fields& fields) noexcept {
  bool found = false;
  if (!fields.has(http::FieldName::cookie)) return verdict(condition, found);
  for (const http::Field& field : fields) {
    if (field.known != http::FieldName::cookie) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      std::string_view pair = take_piece(rest, ';');
      if (pair.find('=') == std::string_view::npos) continue;
      const std::string_view name = ascii::trim(take_piece(pair, '='));
      if (name != condition.name()) continue;
      found = true;
      if (condition.takes(ascii::trim(pair))) return true;
    }
  }
  return verdict(condition, found);
}

}  // namespace revproxyd::proxy
