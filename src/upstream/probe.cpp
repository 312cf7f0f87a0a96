#include "upstream/probe.h"

#include <algorithm>
#include <optional>
#include <system_error>

#include "revproxyd/base/deadline.h"
#include "revproxyd/http/connection.h"
#include "upstream/dial.h"
#include "upstream/probe_grpc.h"

namespace revproxyd::upstream {

namespace {

// What of a body is searched for the expected text.
constexpr std::size_t kSearchedBody = 64 * 1024;

class NoOwner final : public http::ClientConnection::Owner {
 public:
  void on_stream_closed(http::ClientConnection&) noexcept override {}
  void on_idle_input(http::ClientConnection&) noexcept override {}
};

http::RequestHead probe_head(const Endpoint& endpoint, const HealthSettings& settings,
                             Arena& arena) {
  http::RequestHead head(arena);
  head.method = http::Method::get;
  head.method_text = "GET";
  head.authority = arena.copy(probe_authority(endpoint.url(), settings));
  head.fields.add(http::FieldName::user_agent, "revproxyd-health-check");
  head.fields.add(http::FieldName::accept, "*/*");
  return head;
}

// Empty when the head is as expected.
std::string head_problem(const http::ResponseHead& head, const HealthSettings& settings) {
  const auto fits = [&](const StatusRange& range) {
    return head.status >= range.low && head.status <= range.high;
  };
  if (std::ranges::none_of(settings.status, fits)) return "status " + std::to_string(head.status);
  for (const auto& [name, value] : settings.header) {
    const http::Field* field = head.fields.find(name);
    if (field == nullptr) return "header " + name + " is missing";
    if (!value.empty() && field->value != value) return "header " + name + " has another value";
  }
  return {};
}

// `wanted` is not empty.
Task<ProbeResult> expect_text(http::ClientStream& stream, std::string_view wanted) {
  std::string seen;
  while (seen.size() < kSearchedBody) {
    auto piece = co_await stream.body().read();
    if (!piece) co_return ProbeResult(false, text_of(piece.error()));
    // What came before does not hold the text, but perhaps its beginning.
    const std::size_t from = seen.size() - std::min(seen.size(), wanted.size() - 1);
    seen.append(piece->bytes.substr(0, kSearchedBody - seen.size()));
    if (seen.find(wanted, from) != std::string::npos) co_return ProbeResult(true, {});
    if (piece->last) break;
  }
  co_return ProbeResult(false, "body does not contain the expected text");
}

Task<ProbeResult> ask(http::ClientConnection& connection, const Endpoint& endpoint,
                      const HealthSettings& settings) {
  Arena arena;
  const http::RequestHead request = probe_head(endpoint, settings, arena);
  auto stream = connection.open_stream();
  stream->stage_head(request, settings.path, request.authority);
  const http::Piece end(Bytes(), true);
  auto sent = co_await stream->send_body(end);
  if (!sent) co_return ProbeResult(false, text_of(sent.error()));
  for (;;) {
    auto head = co_await stream->read_head(arena);
    if (!head) co_return ProbeResult(false, text_of(head.error()));
    if (head->status < 200) continue;
    std::string problem = head_problem(*head, settings);
    const bool well = problem.empty();
    if (!well || settings.body.empty()) co_return ProbeResult(well, std::move(problem));
    break;
  }
  auto found = co_await expect_text(*stream, settings.body);
  co_return std::move(found);
}

ProbeResult without_connection(const Error& error) {
  ProbeResult failed(false, text_of(error));
  failed.asked = error.code() != Code::system && error.code() != Code::queue_timeout;
  return failed;
}

Task<ProbeResult> ask_over(std::unique_ptr<net::Transport> transport, const Endpoint& endpoint,
                           const UpstreamSettings& upstream) {
  const HealthSettings& settings = *upstream.health_check;
  http::ClientConnectionSettings connection_settings;
  connection_settings.response_header_bytes = upstream.limits.response_header_bytes;
  connection_settings.write = settings.timeout;
  connection_settings.http2 = endpoint.url().scheme == net::Scheme::h2c;
  const net::TlsInfo* info = transport->tls();
  const std::string_view alpn = info != nullptr ? std::string_view(info->alpn) : std::string_view();
  const bool grpc = settings.type == HealthType::grpc;
  if (grpc && !connection_settings.http2 && alpn != "h2")
    co_return ProbeResult(false, "the server does not speak HTTP/2, which gRPC needs");
  NoOwner owner;
  auto connection =
      http::open_client_connection(std::move(transport), alpn, connection_settings, owner);
  if (grpc) {
    auto answer = co_await ask_grpc(*connection, endpoint, settings);
    co_return std::move(answer);
  }
  auto result = co_await ask(*connection, endpoint, settings);
  co_return std::move(result);
}

}  // namespace

std::string text_of(const Error& error) {
  std::string text(name(error.code()));
  if (!error.text().empty()) text += ": " + std::string(error.text());
  if (error.sys() != 0) text += ": " + std::generic_category().message(error.sys());
  return text;
}

std::string probe_authority(const net::ServerUrl& url, const HealthSettings& settings) {
  return settings.host.empty() ? url.authority() : settings.host;
}

// What the handshake waits behind others is not the server's time; dial() bounds it.
Task<ProbeResult> probe(const Endpoint& endpoint, const UpstreamSettings& upstream,
                        const tls::ClientContext* tls) {
  const HealthSettings& settings = *upstream.health_check;
  const TimePoint begun = loop_now();
  const Origin ourselves;
  auto transport = co_await dial(endpoint, upstream, tls, ourselves, settings.timeout);
  if (!transport) co_return without_connection(transport.error());
  if (settings.type == HealthType::tcp) co_return ProbeResult(true, {});
  const net::TlsInfo* info = (*transport)->tls();
  const Duration taken = since(begun) - (info != nullptr ? info->queued : Duration::zero());
  const Duration left = std::max(settings.timeout - taken, Duration(1));
  CancelScope* parent = co_await current_scope();
  CancelScope patience(parent);
  Deadline deadline(patience);
  deadline.set(left, Code::first_byte_timeout);
  auto asking = ask_over(std::move(*transport), endpoint, upstream);
  auto scoped = std::move(asking).under(patience);
  auto result = co_await std::move(scoped);
  if (!result.well && patience.reason() == Code::first_byte_timeout)
    result.reason = "no answer in time";
  co_return std::move(result);
}

}  // namespace revproxyd::upstream
