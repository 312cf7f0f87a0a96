// A field section from names and values: what is taken for a message can be written for HTTP/1.1
// and for HTTP/2 and is read there with the same meaning, so that no message is another one behind
// the next hop.
//
// The input begins with the kind of section; each name and each value has its size in front of it.

#include <algorithm>
#include <string>

#include "http/h1/chunked.h"
#include "http/h1/serializer.h"
#include "http/h2/header_map.h"
#include "revproxyd/base/ascii.h"
#include "revproxyd/http/hop_by_hop.h"
#include "tests/fuzz/codec_check.h"

namespace revproxyd::fuzz {
namespace {

using http::h2::Section;
using http::h2::SectionKind;
using http::h2::WireField;
using http::h2::WireFields;

constexpr http::h2::SectionLimits kLimits{.bytes = 2048, .count = 16, .start_line = 256};
constexpr http::h1::HeadLimits kWider{.start_line = 1024, .header_bytes = 8192, .header_count = 32};
constexpr http::h2::SectionLimits kWiderSection{.bytes = 16384, .count = 32, .start_line = 1024};

std::string_view take(std::string_view& data) noexcept {
  if (data.empty()) return {};
  const std::size_t size = static_cast<unsigned char>(data.front());
  const std::string_view text = data.substr(1, size);
  data.remove_prefix(1 + text.size());
  return text;
}

void fill(Section& section, SectionKind kind, std::string_view data) {
  section.open(kind);
  while (!data.empty()) {
    // Copies of their own, gone when the section has taken them.
    const auto name = exact(take(data));
    const auto value = exact(take(data));
    section.add(view(name), view(value));
  }
}

/// A section that is written as HTTP/2 has it, with names in lower case.
void fill(Section& section, SectionKind kind, const WireFields& fields) {
  section.open(kind);
  for (const WireField& field : fields) section.add(ascii::lower(field.name), field.value);
}

bool same(const FieldList& one, const FieldList& other) {
  return std::ranges::equal(one, other, [](const auto& a, const auto& b) {
    return ascii::iequals(a.first, b.first) && a.second == b.second;
  });
}

// It is written anew, from accepts_trailers.
FieldList without_te(const http::Fields& fields) {
  FieldList list = end_to_end(fields);
  std::erase_if(list, [](const auto& field) { return ascii::iequals(field.first, "te"); });
  return list;
}

void check_fields(const http::Fields& fields) {
  for (const http::Field& field : fields) {
    check(ascii::is_token(field.name) && field.known == http::lookup(field.name));
    check(ascii::trim(field.value) == field.value);
    for (char c : field.value) check(c != '\r' && c != '\n' && c != '\0');
  }
}

void check_meaning(const http::RequestHead& head, const http::RequestHead& again) {
  check(again.method_text == head.method_text && again.raw_target == head.raw_target);
  check(again.path == head.path && again.encoded_slash == head.encoded_slash);
  check(again.target.query == head.target.query && again.target.has_query == head.target.has_query);
  check(again.host == head.host && again.port == head.port);
  check(again.expect_continue == head.expect_continue);
}

void check_as_http1(const http::RequestHead& head) {
  Buffer out;
  const bool upgrade = !head.upgrade.empty();
  http::h1::write_request(head, head.raw_target, head.authority, upgrade ? "upgrade" : "", out);
  check(scan_any_way(http::h1::Kind::request, kWider, out.held()).length == out.size());
  Arena arena;
  const auto again = http::h1::parse_request(out.held(), arena, kWider);
  check(again.has_value());
  check_meaning(head, *again);
  check(again->upgrade == head.upgrade);
  const bool said = head.length.framing == http::Framing::none &&
                    again->length == http::BodyLength{http::Framing::length, 0};
  check(again->length == head.length || said);
  check(same(end_to_end(again->fields), end_to_end(head.fields)));
}

void check_as_http2(const http::RequestHead& head, bool ended) {
  // An upgrade is left out, and the target of CONNECT is not a path: neither is sent to servers.
  if (!head.upgrade.empty() || head.method == http::Method::connect) return;
  WireFields wire;
  write_request(head, head.raw_target, head.authority, true, wire);
  Arena arena;
  Section section(arena, kWiderSection);
  fill(section, SectionKind::request, wire);
  const auto again = section.take_request(ended);
  check(again.has_value());
  check_meaning(head, *again);
  check(again->length == head.length && again->accepts_trailers == head.accepts_trailers);
  check(same(without_te(again->fields), without_te(head.fields)));
}

void run_request(std::string_view data, bool ended) {
  Arena arena;
  Section section(arena, kLimits);
  fill(section, SectionKind::request, data);
  auto head = section.take_request(ended);
  if (!head) {
    check(head.error().side() == Side::downstream && !head.error().text().empty());
    const http::RequestHead refused = section.take_refused();
    check_fields(refused.fields);
    return;
  }
  check_fields(head->fields);
  check(head->version == http::Version::http2);
  check(ascii::is_token(head->method_text) && head->fields.count(http::FieldName::host) == 1);
  check(head->fields.count(http::FieldName::cookie) <= 1);
  check(!ended || head->length.framing == http::Framing::none ||
        head->length == http::BodyLength{http::Framing::length, 0});
  check_as_http1(*head);
  check_as_http2(*head, ended);
}

void check_as_http1(const http::ResponseHead& head, http::Method method) {
  Buffer out;
  const http::h1::ResponseOptions options{.head_request = method == http::Method::head};
  http::h1::write_response(head, options, out);
  check(scan_any_way(http::h1::Kind::response, kWider, out.held()).length == out.size());
  Arena arena;
  const auto again = http::h1::parse_response(out.held(), method, arena, kWider);
  check(again.has_value());
  check(again->status == head.status);
  check(again->length == head.length || (again->length.empty() && head.length.empty()));
  check(same(end_to_end(again->fields), end_to_end(head.fields)));
}

void check_as_http2(const http::ResponseHead& head, http::Method method, bool ended) {
  Arena arena;
  WireFields wire;
  write_response(head, method == http::Method::head, arena, wire);
  Section section(arena, kWiderSection);
  fill(section, SectionKind::response, wire);
  const auto again = section.take_response(method, ended);
  check(again.has_value());
  check(again->status == head.status);
  const bool said = head.length.framing == http::Framing::none &&
                    again->length == http::BodyLength{http::Framing::length, 0};
  check(again->length == head.length || said);
  check(same(end_to_end(again->fields), end_to_end(head.fields)));
}

void run_response(std::string_view data, http::Method method, bool ended) {
  Arena arena;
  Section section(arena, kLimits);
  fill(section, SectionKind::response, data);
  const auto head = section.take_response(method, ended);
  if (!head) return check(head.error().side() == Side::upstream);
  check_fields(head->fields);
  check(head->status >= 100 && head->status <= 599 && head->status != 101);
  check(!ended || head->length.framing != http::Framing::chunked);
  check_as_http1(*head, method);
  check_as_http2(*head, method, ended);
}

void run_trailers(std::string_view data, SectionKind kind) {
  Arena arena;
  Section section(arena, kLimits);
  fill(section, kind, data);
  if (section.error().code() != Code::none) return;
  const http::Fields trailers = section.take_trailers();
  check_fields(trailers);
  for (const http::Field& field : trailers) check(http::allowed_in_trailer(field));
  Buffer out;
  http::h1::write_last_chunk(&trailers, out);
  http::h1::ChunkedDecoder decoder(http::h1::Kind::response, kWider);
  for (Bytes rest = out.held(); !rest.empty() && !decoder.done();) {
    const auto step = decoder.step(rest);
    check(step.has_value() && step->data.empty());
    rest.remove_prefix(step->consumed);
  }
  check(decoder.done());
  http::Fields again(arena);
  check(decoder.take_trailers(again).has_value());
  check(same(end_to_end(again), end_to_end(trailers)));
}

void run(std::string_view data) {
  if (data.empty()) return;
  const unsigned what = static_cast<unsigned char>(data.front());
  data.remove_prefix(1);
  const bool ended = (what & 4) != 0;
  switch (what & 3) {
    case 0: return run_request(data, ended);
    case 1:
      return run_response(data, (what & 8) != 0 ? http::Method::head : http::Method::get, ended);
    case 2: return run_trailers(data, SectionKind::request_trailers);
    default: return run_trailers(data, SectionKind::response_trailers);
  }
}

}  // namespace
}  // namespace revproxyd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  revproxyd::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
