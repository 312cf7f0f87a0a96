#include "proxy/admit.h"

#include "proxy/upstream_request.h"
#include "revproxyd/pipeline/grpc.h"

namespace revproxyd::proxy {

namespace {

// RFC 9110 section 15.5.20: with SNI sent, a certificate that does not cover Host means that the
// client reuses a connection for a name that was never authenticated on it.
bool host_fits_certificate(const pipeline::Exchange& exchange, std::string_view host) {
  const net::TlsInfo* tls = exchange.client().tls;
  if (tls == nullptr || tls->server_name.empty() || host.empty()) return true;
  return tls->covers(host);
}

}  // namespace

Result<void> admit(pipeline::Exchange& exchange, const Runtime& worker) {
  if (exchange.refusal().code() != Code::none) return exchange.refusal();
  const http::RequestHead& head = exchange.head();
  if (worker.shedding != nullptr && worker.shedding->load(std::memory_order_relaxed)) {
    return Error(Code::memory_limit, Side::internal, "limits.memory is exceeded");
  }
  if (head.method == http::Method::connect || head.method == http::Method::trace) {
    return Error(Code::method_refused, Side::downstream, "CONNECT and TRACE are not served");
  }
  if (!host_fits_certificate(exchange, head.host)) {
    return Error(Code::host_mismatch, Side::downstream,
                 "the certificate of this connection does not cover Host");
  }
  return {};
}

Result<void> admit_to_route(pipeline::Exchange& exchange, const RouteSettings& route,
                            const ListenerSettings& listener) {
  const http::RequestHead& head = exchange.head();
  if (head.encoded_slash && !route.allow_encoded_slash) {
    // As for every malformed head.
    if (exchange.stream() != nullptr) exchange.stream()->end_connection();
    return Error(Code::encoded_slash, Side::downstream, "encoded slash or backslash in the path");
  }
  const std::uint64_t max_body = route.max_body.value_or(listener.limits.max_body);
  if (max_body != 0 && head.length.framing == http::Framing::length &&
      head.length.bytes > max_body) {
    // It is not to be sent at all.
    if (exchange.stream() != nullptr) exchange.stream()->end_connection();
    return Error(Code::body_too_large, Side::downstream, "Content-Length exceeds max_body");
  }
  if (head.needs_upgrade && !opens_tunnel(exchange.request(), route)) {
    return Error(Code::upgrade_refused, Side::downstream, "the route does not allow this protocol");
  }
  exchange.tunnel_timeout = route.tunnel_timeout.value_or(listener.timeouts.tunnel);
  if (exchange.stream() == nullptr) return {};
  // A call may be silent, or taken slowly, as long as it likes within that time.
  const bool grpc = pipeline::is_grpc(head.fields);
  const std::uint64_t min_rate = grpc ? 0 : route.min_rate.value_or(listener.limits.min_rate);
  http::BodyRules rules;
  // What goes through a tunnel is judged by the attempt, both directions together.
  if (!opens_tunnel(exchange.request(), route)) {
    rules.max_bytes = max_body;
    rules.stall =
        grpc ? exchange.tunnel_timeout : route.body_timeout.value_or(listener.timeouts.body);
    rules.stall_code = grpc ? Code::tunnel_timeout : Code::body_timeout;
    rules.min_rate = min_rate;
  }
  exchange.stream()->set_body_rules(rules);
  const Duration write = route.write_timeout.value_or(listener.timeouts.write);
  exchange.stream()->set_write_rules(grpc ? exchange.tunnel_timeout : write, min_rate);
  return {};
}

}  // namespace revproxyd::proxy
