#include "revproxyd/http/connection.h"

#include "http/h1/client_connection.h"
#include "http/h1/server_connection.h"

namespace revproxyd::http {

// One protocol is spoken so far, so ALPN has nothing to choose.
std::unique_ptr<ServerConnection> open_server_connection(std::unique_ptr<net::Transport> transport,
                                                         std::string_view,
                                                         const ServerConnectionSettings& settings,
                                                         CancelScope& scope) {
  return std::make_unique<h1::ServerConnection>(std::move(transport), settings, scope);
}

std::unique_ptr<ClientConnection> open_client_connection(std::unique_ptr<net::Transport> transport,
                                                         std::string_view,
                                                         const ClientConnectionSettings& settings,
                                                         ClientConnection::Owner& owner) {
  return std::make_unique<h1::ClientConnection>(std::move(transport), settings, owner);
}

}  // namespace revproxyd::http
