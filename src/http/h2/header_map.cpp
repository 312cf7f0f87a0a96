#include "http/h2/header_map.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "http/date.h"
#include "http/field_text.h"
#include "http/framing.h"
#include "http/request_rules.h"
#include "revproxyd/base/ascii.h"
#include "revproxyd/http/hop_by_hop.h"
#include "revproxyd/tls/random.h"

namespace revproxyd::http::h2 {

namespace {

// What RFC 9113 section 6.5.2 adds to the size of each field.
constexpr std::size_t kFieldOverhead = 32;

// RFC 9113 section 8.2.1, and as strict as HTTP/1.1 is here: what passes goes into HTTP/1.1 heads.
const char* name_problem(std::string_view name, bool request) noexcept {
  if (name.empty()) return "empty field name";
  for (char c : name) {
    if (!ascii::is_token_char(c)) return "character in a field name that no token has";
    if (c >= 'A' && c <= 'Z') return "upper case in a field name";
    // Backends that turn '-' into '_' would take such a name for another one.
    if (c == '_' && request) return "underscore in a field name";
  }
  return nullptr;
}

const char* value_problem(std::string_view value) noexcept {
  if (has_control(value)) return "control character in a field value";
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  if (!value.empty() && (blank(value.front()) || blank(value.back())))
    return "white space around a field value";
  return nullptr;
}

// RFC 9113 section 8.2.2.
constexpr bool belongs_to_connection(FieldName name) noexcept {
  return name == FieldName::connection || name == FieldName::keep_alive ||
         name == FieldName::proxy_connection || name == FieldName::transfer_encoding ||
         name == FieldName::upgrade;
}

// Values that a neighbour on the wire must not be able to guess from the size of what is sent.
constexpr bool is_secret(FieldName name) noexcept {
  return name == FieldName::authorization || name == FieldName::proxy_authorization;
}

std::string_view digits(std::uint64_t number, Arena& arena) {
  std::array<char, 20> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  return arena.copy({text.data(), static_cast<std::size_t>(end.ptr - text.data())});
}

// `name` is a literal in lower case.
void put(WireFields& out, std::string_view name, std::string_view value) {
  out.push_back(WireField{name, value, false, true});
}

void put(WireFields& out, const Field& field, bool secret = false) {
  if (field.known == FieldName::unknown) {
    out.push_back(WireField{field.name, field.value, secret, false});
  } else {
    out.push_back(WireField{lower_name(field.known), field.value, secret, true});
  }
}

// RFC 9113 section 8.2.3: crumbs become one field again. An empty crumb says nothing, and would
// leave white space at an end of the value, which no field has.
void join_cookies(Fields& fields) {
  if (fields.count(FieldName::cookie) < 2) return;
  fields.set(FieldName::cookie, fields.join(FieldName::cookie, "; "));
}

// A key of an opening handshake: 16 random bytes in base64 (RFC 6455 section 4.1).
std::string_view websocket_key(Arena& arena) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::uint8_t, 18> random{};
  tls::fill_random(std::span<std::uint8_t>(random).first(16));
  char* out = arena.text(24);
  for (std::size_t i = 0, at = 0; i < random.size(); i += 3) {
    const std::uint32_t bits = static_cast<std::uint32_t>(random[i]) << 16 |
                               static_cast<std::uint32_t>(random[i + 1]) << 8 | random[i + 2];
    for (unsigned shift = 18; at < 24; shift -= 6) {
      out[at++] = kAlphabet[bits >> shift & 63];
      if (shift == 0) break;
    }
  }
  out[22] = out[23] = '=';
  return {out, 24};
}

}  // namespace

void Section::open(SectionKind kind) noexcept {
  kind_ = kind;
  error_ = Error(Code::none);
  fields_.emplace(*arena_);
  method_ = scheme_ = authority_ = path_ = protocol_ = status_ = {};
  has_authority_ = crumbs_ = false;
  bytes_ = count_ = 0;
}

void Section::malformed(const char* text) noexcept {
  if (error_.code() != Code::none) return;
  error_ = is_request() ? Error(Code::malformed_request, Side::downstream, text)
                        : Error(Code::malformed_response, Side::upstream, text);
}

bool Section::fits(std::string_view name, std::string_view value) noexcept {
  bytes_ += name.size() + value.size() + kFieldOverhead;
  // Crumbs of a cookie become one field; pseudo-fields become the start line.
  const bool crumb = is_request() && name == "cookie";
  if (!name.starts_with(':') && !(crumb && std::exchange(crumbs_, true))) ++count_;
  if (error_.code() != Code::none) return false;
  const bool large = bytes_ > limits_.bytes;
  if (!large && count_ <= limits_.count) return true;
  if (is_request()) {
    error_ = Error(large ? Code::header_too_large : Code::too_many_fields, Side::downstream,
                   "field section larger than allowed");
  } else {
    error_ = Error(Code::response_header_too_large, Side::upstream);
  }
  return false;
}

void Section::add(std::string_view name, std::string_view value) {
  if (!fits(name, value)) return;
  if (!name.empty() && name.front() == ':') return add_pseudo(name, value);
  const FieldName known = lookup(name);
  // Most names are known ones in lower case, with which nothing is wrong.
  if (known == FieldName::unknown || name != lower_name(known)) {
    if (const char* problem = name_problem(name, is_request())) return malformed(problem);
  }
  if (const char* problem = value_problem(value)) return malformed(problem);
  if (belongs_to_connection(known)) return malformed("field that belongs to a connection");
  if (known == FieldName::te && !ascii::iequals(value, "trailers"))
    return malformed("te other than trailers");
  const std::string_view kept =
      known == FieldName::unknown ? arena_->copy(name) : http::name(known);
  fields_->append({kept, arena_->copy(value), known});
}

// RFC 9113 section 8.3: each one once, before the others, and only those that belong there.
void Section::add_pseudo(std::string_view name, std::string_view value) {
  if (is_trailers()) return malformed("pseudo-field in a trailer section");
  if (!fields_->empty()) return malformed("pseudo-field behind other fields");
  if (value_problem(value) != nullptr) return malformed("bad value of a pseudo-field");
  std::string_view* slot = nullptr;
  if (kind_ == SectionKind::response) {
    if (name == ":status") slot = &status_;
  } else if (name == ":method") {
    slot = &method_;
  } else if (name == ":scheme") {
    slot = &scheme_;
  } else if (name == ":path") {
    slot = &path_;
  } else if (name == ":protocol") {
    slot = &protocol_;
  } else if (name == ":authority") {
    if (has_authority_) return malformed("repeated pseudo-field");
    has_authority_ = true;
    authority_ = arena_->copy(value);
    return;
  }
  if (slot == nullptr) return malformed("unknown pseudo-field");
  if (!slot->empty()) return malformed("repeated pseudo-field");
  if (value.empty()) return malformed("empty pseudo-field");
  *slot = arena_->copy(value);
}

// :authority is what Host is in HTTP/1.1; a client that sends both means the same by them (RFC 9113
// section 8.3.1).
Result<void> Section::settle_authority(RequestHead& head) {
  const auto refuse = [](const char* text) {
    return Error(Code::malformed_request, Side::downstream, text);
  };
  if (!has_authority_) return {};
  if (authority_.empty()) return refuse("empty :authority");
  if (head.fields.count(FieldName::host) > 1) return refuse("several host fields");
  const Field* host = head.fields.find(FieldName::host);
  if (host != nullptr && !ascii::iequals(host->value, authority_))
    return refuse("host other than :authority");
  head.fields.set(FieldName::host, authority_);
  return {};
}

Result<RequestHead> Section::take_request(bool ended) {
  if (error_.code() != Code::none) return error_;
  RequestHead head(*arena_);
  const auto settled = settle_request(head, ended);
  if (settled) return head;
  *fields_ = std::move(head.fields);  // for take_refused()
  return settled.error();
}

Result<void> Section::settle_request(RequestHead& head, bool ended) {
  const auto refuse = [](const char* text) {
    return Error(Code::malformed_request, Side::downstream, text);
  };
  head.version = Version::http2;
  head.fields = std::move(*fields_);
  join_cookies(head.fields);
  constexpr std::size_t kAround = std::string_view("  HTTP/1.1").size();
  if (method_.size() + path_.size() + kAround > limits_.start_line)
    return Error(Code::request_line_too_long, Side::downstream, "method and path are too long");
  if (!ascii::is_token(method_)) return refuse(":method that is no token");
  head.method_text = method_;
  head.method = lookup_method(method_);
  const bool tunnel = head.method == Method::connect && protocol_.empty();
  if (!protocol_.empty() && head.method != Method::connect)
    return refuse(":protocol without CONNECT");
  if (!protocol_.empty() && !ascii::is_token(protocol_))
    return refuse(":protocol that is no token");
  if (tunnel ? !scheme_.empty() || !path_.empty() : scheme_.empty() || path_.empty())
    return refuse("pseudo-fields that do not fit the method");
  if (!tunnel && !ascii::iequals(scheme_, "http") && !ascii::iequals(scheme_, "https"))
    return refuse(":scheme other than http and https");
  if (!protocol_.empty()) become_upgrade(head);
  head.raw_target = tunnel ? authority_ : path_;
  if (auto settled = settle_authority(head); !settled) return settled.error();
  if (auto target = read_target(head, *arena_); !target) return target.error();
  if (head.target.form == TargetForm::absolute) return refuse(":path that is no path");
  const auto length = request_length(Version::http2, head.fields);
  if (!length) return length.error();
  head.length = *length;
  if (head.needs_upgrade && length->framing != Framing::none)
    return refuse("content-length of an extended CONNECT");
  if (!ended && length->framing == Framing::none && head.upgrade.empty())
    head.length.framing = Framing::chunked;
  if (ended && head.length.framing == Framing::length && head.length.bytes != 0)
    return refuse("content-length without content");
  head.accepts_trailers = head.fields.has(FieldName::te);
  return read_expectation(head);
}

// RFC 8441 section 5: what HTTP/1.1 says with GET, Upgrade and a key.
void Section::become_upgrade(RequestHead& head) {
  head.method = Method::get;
  head.method_text = "GET";
  head.upgrade = protocol_;
  head.needs_upgrade = true;
  head.fields.add(FieldName::upgrade, protocol_);
  if (ascii::iequals(protocol_, "websocket"))
    head.fields.set("Sec-WebSocket-Key", websocket_key(*arena_));
}

RequestHead Section::take_refused() {
  RequestHead head(*arena_);
  head.version = Version::http2;
  head.method_text = method_;
  head.method = lookup_method(method_);
  head.raw_target = path_;
  head.fields = std::move(*fields_);
  head.fields.remove(FieldName::te);
  return head;
}

Result<ResponseHead> Section::take_response(Method method, bool ended) {
  const auto refuse = [](const char* text) {
    return Error(Code::malformed_response, Side::upstream, text);
  };
  if (error_.code() != Code::none) return error_;
  if (status_.size() != 3 || !std::ranges::all_of(status_, ascii::is_digit) || status_[0] < '1' ||
      status_[0] > '5')
    return refuse("status outside of 100 to 599");
  ResponseHead head(*arena_);
  head.version = Version::http2;
  head.fields = std::move(*fields_);
  head.status = static_cast<std::uint16_t>((status_[0] - '0') * 100 + (status_[1] - '0') * 10 +
                                           (status_[2] - '0'));
  // HTTP/2 has no such status (RFC 9113 section 8.6).
  if (head.status == 101) return refuse("101 in HTTP/2");
  const auto length = response_length(Version::http2, head.status, head.fields, method);
  if (!length) return length.error();
  head.length = *length;
  if (head.status < 200) {
    if (ended) return refuse("interim response that ends the stream");
    return head;
  }
  const bool untold = head.length.framing == Framing::until_close;
  if (untold) head.length.framing = Framing::chunked;
  if (ended && (untold || head.length.empty())) head.length = {};
  return head;
}

Fields Section::take_trailers() {
  Fields trailers = std::move(*fields_);
  fields_.reset();
  trailers.remove_if([](const Field& field) { return !allowed_in_trailer(field); });
  return trailers;
}

void write_request(const RequestHead& head, std::string_view target, std::string_view host,
                   bool secure, WireFields& out) {
  put(out, ":method", head.method_text);
  put(out, ":scheme", secure ? "https" : "http");
  put(out, ":authority", host);
  put(out, ":path", target);
  for (const Field& field : head.fields) {
    if (belongs_to_connection(field.known) || field.known == FieldName::host ||
        field.known == FieldName::content_length || field.known == FieldName::te)
      continue;
    put(out, field, is_secret(field.known));
  }
  if (head.accepts_trailers) put(out, "te", "trailers");
  if (head.length.framing == Framing::length)
    put(out, "content-length", digits(head.length.bytes, head.fields.arena()));
}

void write_response(const ResponseHead& head, bool head_request, Arena& arena, WireFields& out) {
  const bool tunnel = head.status == 101 || head.length.framing == Framing::tunnel;
  put(out, ":status", digits(tunnel ? 200 : head.status, arena));
  const bool interim = head.status < 200 && !tunnel;
  for (const Field& field : head.fields) {
    if (belongs_to_connection(field.known) || field.known == FieldName::content_length) continue;
    if (interim && field.known == FieldName::date) continue;
    if (tunnel && ascii::iequals(field.name, "sec-websocket-accept")) continue;
    put(out, field);
  }
  if (interim) return;
  if (!head.fields.has(FieldName::date)) put(out, "date", date_now());
  if (tunnel || head.status == 204) return;
  if (head.length.framing == Framing::length)
    return put(out, "content-length", digits(head.length.bytes, arena));
  if (head.length.framing != Framing::none) return;
  if (!head_request && head.status != 304) return put(out, "content-length", "0");
  if (const Field* told = head.fields.find(FieldName::content_length))
    put(out, "content-length", told->value);
}

void write_trailers(const Fields& trailers, WireFields& out) {
  for (const Field& field : trailers) {
    if (!belongs_to_connection(field.known)) put(out, field);
  }
}

}  // namespace revproxyd::http::h2
