#include "revproxyd/http/connection.h"

#include "http/h1/client_connection.h"
#include "http/h1/server_connection.h"
#include "http/h2/client_connection.h"
#include "http/h2/server_connection.h"
#include "http/prior_knowledge.h"

namespace revproxyd::http {

namespace {
constexpr std::string_view kAlpn = "h2";
}  // namespace

std::unique_ptr<ServerConnection> open_server_connection(std::unique_ptr<net::Transport> transport,
                                                         std::string_view alpn,
                                                         const ServerConnectionSettings& settings,
                                                         CancelScope& scope) {
  const bool plain = transport->tls() == nullptr;
  if (settings.served != 0)
    return std::make_unique<h1::ServerConnection>(std::move(transport), settings, scope, Buffer());
  if (alpn == kAlpn || (plain && !settings.http1))
    return std::make_unique<h2::ServerConnection>(std::move(transport), settings, scope, Bytes());
  if (plain && settings.http2)
    return std::make_unique<UndecidedConnection>(std::move(transport), settings, scope);
  return std::make_unique<h1::ServerConnection>(std::move(transport), settings, scope, Buffer());
}

std::unique_ptr<ClientConnection> open_client_connection(std::unique_ptr<net::Transport> transport,
                                                         std::string_view alpn,
                                                         const ClientConnectionSettings& settings,
                                                         ClientConnection::Owner& owner) {
  if (alpn == kAlpn || settings.http2)
    return std::make_unique<h2::ClientConnection>(std::move(transport), settings, owner);
  return std::make_unique<h1::ClientConnection>(std::move(transport), settings, owner);
}

}  // namespace revproxyd::http
