#include "revproxyd/base/error.h"

namespace revproxyd {

// A switch without default: the compiler names a code that has no word.
std::string_view name(Code code) noexcept {
  switch (code) {
    case Code::none: return "none";
    case Code::end_of_stream: return "end_of_stream";
    case Code::reset: return "reset";
    case Code::cancelled: return "cancelled";
    case Code::system: return "system";
    case Code::refused: return "refused";
    case Code::unreachable: return "unreachable";
    case Code::resolve_failed: return "resolve_failed";
    case Code::tls_failed: return "tls_failed";
    case Code::certificate_rejected: return "certificate_rejected";
    case Code::handshake_timeout: return "handshake_timeout";
    case Code::header_timeout: return "header_timeout";
    case Code::body_timeout: return "body_timeout";
    case Code::body_too_slow: return "body_too_slow";
    case Code::write_timeout: return "write_timeout";
    case Code::keepalive_timeout: return "keepalive_timeout";
    case Code::tunnel_timeout: return "tunnel_timeout";
    case Code::connect_timeout: return "connect_timeout";
    case Code::first_byte_timeout: return "first_byte_timeout";
    case Code::idle_timeout: return "idle_timeout";
    case Code::deadline_exceeded: return "deadline_exceeded";
    case Code::queue_timeout: return "queue_timeout";
    case Code::drain_timeout: return "drain_timeout";
    case Code::malformed_request: return "malformed_request";
    case Code::unsupported_version: return "unsupported_version";
    case Code::method_refused: return "method_refused";
    case Code::expectation_failed: return "expectation_failed";
    case Code::request_line_too_long: return "request_line_too_long";
    case Code::header_too_large: return "header_too_large";
    case Code::too_many_fields: return "too_many_fields";
    case Code::body_too_large: return "body_too_large";
    case Code::host_mismatch: return "host_mismatch";
    case Code::upgrade_refused: return "upgrade_refused";
    case Code::encoded_slash: return "encoded_slash";
    case Code::proxy_header_invalid: return "proxy_header_invalid";
    case Code::malformed_response: return "malformed_response";
    case Code::response_header_too_large: return "response_header_too_large";
    case Code::client_gone: return "client_gone";
    case Code::connection_limit: return "connection_limit";
    case Code::client_connection_limit: return "client_connection_limit";
    case Code::memory_limit: return "memory_limit";
    case Code::protocol_error: return "protocol_error";
    case Code::reset_flood: return "reset_flood";
    case Code::provoked_reset_flood: return "provoked_reset_flood";
    case Code::settings_flood: return "settings_flood";
    case Code::ping_flood: return "ping_flood";
    case Code::priority_flood: return "priority_flood";
    case Code::window_update_flood: return "window_update_flood";
    case Code::empty_frame_flood: return "empty_frame_flood";
    case Code::header_flood: return "header_flood";
    case Code::no_route: return "no_route";
    case Code::no_server: return "no_server";
    case Code::queue_full: return "queue_full";
    case Code::max_forwards: return "max_forwards";
    case Code::redirect: return "redirect";
    case Code::respond: return "respond";
    case Code::shutdown: return "shutdown";
    case Code::internal: return "internal";
  }
  return "internal";
}

}  // namespace revproxyd
