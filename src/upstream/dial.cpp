#include "upstream/dial.h"

#include <algorithm>

#include "revproxyd/base/buffer.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/net/connect.h"
#include "revproxyd/net/proxy_protocol.h"
#include "revproxyd/tls/handshake.h"

namespace revproxyd::upstream {

namespace {

Task<Result<void>> announce(net::Transport& transport, ProxyProtocol version, const Origin& origin,
                            Duration limit) {
  const net::Address none;
  const net::Address& client = origin.client != nullptr ? *origin.client : none;
  const net::Address& local = origin.local != nullptr ? *origin.local : none;
  Buffer header;
  if (version == ProxyProtocol::v1) {
    net::write_proxy_v1(client, local, header);
  } else {
    net::write_proxy_v2(client, local, header);
  }
  iovec piece = net::piece_of(header.held());
  std::span<iovec> pieces(&piece, 1);
  auto written = co_await net::write_all(transport, pieces, limit);
  co_return written;
}

// What is left of one limit for all steps; zero stays none.
Duration left_of(Duration limit, TimePoint begun) noexcept {
  if (limit.count() <= 0) return limit;
  return std::max(limit - since(begun), Duration(1));
}

// An upgrade is a thing of HTTP/1.1, which a server that may choose would not choose.
std::string_view only_protocol(const UpstreamSettings& settings, const Origin& origin) noexcept {
  return origin.upgrade && settings.protocol == Protocol::automatic ? "http/1.1" : "";
}

Task<Result<std::unique_ptr<net::Transport>>> secure(const Endpoint& endpoint,
                                                     const UpstreamSettings& settings,
                                                     const tls::ClientContext& tls,
                                                     const Origin& origin, Duration limit) {
  const TimePoint begun = loop_now();
  auto connected = co_await reach(endpoint, settings, origin, limit);
  if (!connected) co_return connected.error();
  const std::string& configured = settings.tls.server_name;
  const std::string_view server_name = configured.empty() ? endpoint.url().host : configured;
  auto plain = std::move(*connected);
  auto secured = co_await tls::connect(std::move(plain), tls, server_name, left_of(limit, begun),
                                       Code::connect_timeout, only_protocol(settings, origin));
  co_return std::move(secured);
}

}  // namespace

Task<Result<std::unique_ptr<net::Transport>>> reach(const Endpoint& endpoint,
                                                    const UpstreamSettings& settings,
                                                    const Origin& origin, Duration limit) {
  const auto addresses = endpoint.addresses();
  if (addresses == nullptr) co_return Error(Code::resolve_failed, "server name is not resolved");
  const TimePoint begun = loop_now();
  const std::span<const net::Address> list(*addresses);
  auto connected = co_await net::connect(list, limit);
  if (!connected) co_return connected.error();
  if (settings.proxy_protocol != ProxyProtocol::none) {
    auto announced =
        co_await announce(**connected, settings.proxy_protocol, origin, left_of(limit, begun));
    if (!announced) co_return announced.error();
  }
  co_return std::move(*connected);
}

Task<Result<std::unique_ptr<net::Transport>>> dial(const Endpoint& endpoint,
                                                   const UpstreamSettings& settings,
                                                   const tls::ClientContext* tls,
                                                   const Origin& origin, Duration limit) {
  if (endpoint.url().scheme != net::Scheme::https || tls == nullptr)
    return reach(endpoint, settings, origin, limit);
  return secure(endpoint, settings, *tls, origin, limit);
}

}  // namespace revproxyd::upstream
