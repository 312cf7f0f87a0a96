#include "revproxyd/pipeline/error_response.h"

#include <algorithm>
#include <string>

#include "revproxyd/base/ascii.h"
#include "revproxyd/http/status.h"
#include "revproxyd/pipeline/grpc.h"
#include "revproxyd/pipeline/text_body.h"

namespace revproxyd::pipeline {

namespace {

using http::FieldName;

struct Row {
  std::uint16_t status;
  std::string_view proxy_status;  // error type of RFC 9209 section 2.3; empty: none fits
};

constexpr Row kClientGone{kClientGoneStatus, ""};

Row by_side(const Error& error, const Row& of_client, const Row& otherwise) noexcept {
  return error.side() == Side::downstream ? of_client : otherwise;
}

// The table: every cause, its status and its Proxy-Status type.
Row row_of(const Error& error) noexcept {
  switch (error.code()) {
    case Code::malformed_request:
    case Code::encoded_slash:
    case Code::proxy_header_invalid: return {400, "http_request_error"};
    case Code::no_route: return {404, "http_request_denied"};
    case Code::method_refused: return {405, "http_request_denied"};
    case Code::header_timeout:
    case Code::body_timeout:
    case Code::body_too_slow: return {408, "http_request_error"};
    case Code::body_too_large: return {413, "http_request_error"};
    case Code::request_line_too_long: return {414, "http_request_error"};
    case Code::expectation_failed: return {417, "http_request_error"};
    case Code::upgrade_refused: return {501, "http_upgrade_failed"};
    case Code::host_mismatch: return {421, "http_request_denied"};
    case Code::header_too_large:
    case Code::too_many_fields: return {431, "http_request_error"};
    case Code::unsupported_version: return {505, "http_request_error"};
    case Code::client_gone:
    case Code::protocol_error:
    case Code::reset_flood:
    case Code::provoked_reset_flood:
    case Code::settings_flood:
    case Code::ping_flood:
    case Code::priority_flood:
    case Code::window_update_flood:
    case Code::empty_frame_flood:
    case Code::header_flood:
    case Code::write_timeout:
    case Code::keepalive_timeout:
    case Code::handshake_timeout:
    case Code::cancelled: return kClientGone;
    case Code::resolve_failed: return {503, "dns_error"};
    case Code::no_server: return {503, "destination_unavailable"};
    case Code::queue_full:
    case Code::queue_timeout: return {503, "connection_limit_reached"};
    case Code::memory_limit:
    case Code::connection_limit:
    case Code::client_connection_limit:
    case Code::shutdown:
    case Code::drain_timeout: return {503, "http_request_denied"};
    case Code::refused: return {502, "connection_refused"};
    case Code::unreachable: return {502, "destination_ip_unroutable"};
    case Code::end_of_stream:
    case Code::reset: return by_side(error, kClientGone, {502, "connection_terminated"});
    case Code::tls_failed: return by_side(error, kClientGone, {502, "tls_protocol_error"});
    case Code::certificate_rejected: return {502, "tls_certificate_error"};
    case Code::malformed_response: return {502, "http_protocol_error"};
    case Code::response_header_too_large: return {502, "http_response_header_section_size"};
    case Code::connect_timeout: return {504, "connection_timeout"};
    case Code::first_byte_timeout:
    case Code::deadline_exceeded: return {504, "http_response_timeout"};
    case Code::idle_timeout: return {504, "connection_read_timeout"};
    case Code::tunnel_timeout:
      return by_side(error, {408, "http_request_error"}, {504, "connection_read_timeout"});
    case Code::system:
      // Out of descriptors, ports or memory: no server is to blame, and it may be over in a moment.
      return {static_cast<std::uint16_t>(error.side() == Side::upstream ? 503 : 500),
              "proxy_internal_error"};
    case Code::none:
    case Code::max_forwards:
    case Code::redirect:
    case Code::respond:
    case Code::internal: return {500, "proxy_internal_error"};
  }
  return {500, "proxy_internal_error"};
}

// The weight of a media range in thousandths (RFC 9110 section 12.4.2); what is no weight counts
// as 1.
int weight_of(std::string_view range) noexcept {
  for (std::size_t at = range.find(';'); at != std::string_view::npos;
       at = range.find(';', at + 1)) {
    const std::string_view rest = ascii::trim(range.substr(at + 1));
    if (rest.size() < 3 || ascii::to_lower(rest[0]) != 'q' || rest[1] != '=') continue;
    if (rest[2] != '0') return 1000;
    int weight = 0;
    for (std::size_t digit = 4, unit = 100; unit != 0; ++digit, unit /= 10) {
      if (digit >= rest.size() || !ascii::is_digit(rest[digit])) break;
      weight += (rest[digit] - '0') * static_cast<int>(unit);
    }
    return weight;
  }
  return 1000;
}

// How much Accept wants one kind of answer, and which of its ranges says so first.
struct Wish {
  int weight = 0;
  int place = 0;

  void hear(int new_weight, int new_place) noexcept {
    if (new_weight > weight) *this = {new_weight, new_place};
  }
};

// Accept prefers JSON to HTML and plain text, by weight and then by order. Whoever takes anything
// gets text.
bool prefers_json(const http::Fields& fields) noexcept {
  Wish json;
  Wish text;
  int place = 0;
  for (const http::Field& field : fields) {
    if (field.known != FieldName::accept) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      const std::size_t comma = rest.find(',');
      const std::string_view range = ascii::trim(rest.substr(0, comma));
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
      const std::string_view type = ascii::trim(range.substr(0, range.find(';')));
      const int weight = weight_of(range);
      const std::size_t last = type.size() - std::min<std::size_t>(type.size(), 4);
      ++place;
      if (ascii::iequals(type.substr(last), "json")) json.hear(weight, place);
      if (ascii::iequals(type.substr(0, 5), "text/") || type == "*/*") text.hear(weight, place);
    }
  }
  if (json.weight != text.weight) return json.weight > text.weight;
  return json.weight > 0 && json.place < text.place;
}

// An id that came from a trusted peer may hold quotes.
std::string json_text(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string_view body_text(Exchange& exchange, std::uint16_t status, Code why, bool json) {
  const std::string_view phrase = http::reason_phrase(status);
  const std::string_view id = exchange.id();
  std::string text;
  if (json) {
    text = "{\"status\":" + std::to_string(status) + ",\"error\":\"" + std::string(phrase) +
           "\",\"why\":\"" + std::string(name(why)) + "\",\"request_id\":\"" + json_text(id) +
           "\"}\n";
  } else {
    text = std::to_string(status) + " " + std::string(phrase) + "\nwhy: " + std::string(name(why)) +
           "\nrequest id: " + std::string(id) + "\n";
  }
  return exchange.arena().copy(text);
}

void say_why(Exchange& exchange, const Row& row, Code why, http::Fields& fields) {
  Arena& arena = exchange.arena();
  if (!row.proxy_status.empty()) {
    fields.add(FieldName::proxy_status,
               arena.join("revproxyd; error=", row.proxy_status,
                          "; details=", arena.join("\"", name(why), "\"")));
  }
  fields.add(FieldName::x_request_id, exchange.id());
}

http::Response page(Exchange& exchange, const Row& row, Code why) {
  http::ResponseHead head(exchange.arena());
  head.status = row.status;
  const bool json = prefers_json(exchange.head().fields);
  const std::string_view text = body_text(exchange, row.status, why, json);
  head.fields.add(FieldName::content_type, json ? "application/json" : "text/plain; charset=utf-8");
  head.fields.add(FieldName::cache_control, "no-store");
  say_why(exchange, row, why, head.fields);
  if (row.status == 405) head.fields.add("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  if (row.status == 503) head.fields.add(FieldName::retry_after, "1");
  head.length = {http::Framing::length, text.size()};
  http::Response response(std::move(head));
  response.body = std::make_unique<TextBody>(text);
  return response;
}

// A call that ends without a message: the status is in the only block of fields ("Trailers-Only" of
// gRPC over HTTP2), which no body follows. What is never sent keeps the status that the log shows.
http::Response trailers_only(Exchange& exchange, const Row& row, Code why) {
  Arena& arena = exchange.arena();
  http::ResponseHead head(arena);
  head.status = row.status == kClientGoneStatus ? kClientGoneStatus : 200;
  head.fields.add(FieldName::content_type, "application/grpc");
  const auto status = static_cast<unsigned>(grpc_status(why, row.status));
  head.fields.add("grpc-status", arena.copy(std::to_string(status)));
  // Words of the proxy hold nothing that must be percent-encoded.
  head.fields.add("grpc-message", arena.join("revproxyd: ", name(why)));
  say_why(exchange, row, why, head.fields);
  return http::Response(std::move(head));
}

}  // namespace

std::uint16_t status_of(const Error& error) noexcept { return row_of(error).status; }

http::Response error_response(Exchange& exchange, const Error& error) {
  const Row row = row_of(error);
  exchange.notes.why = error.code();
  const bool grpc = is_grpc(exchange.head().fields);
  http::Response response =
      grpc ? trailers_only(exchange, row, error.code()) : page(exchange, row, error.code());
  response.error = error;
  return response;
}

Task<http::Response> refuse(Exchange& exchange, Error error) {
  co_return error_response(exchange, error);
}

Task<http::Response> Refuse::handle(Exchange& exchange) const {
  co_return error_response(exchange, exchange.refusal());
}

}  // namespace revproxyd::pipeline
