#pragma once
// The daemon with HTTP/2 towards clients in front of an HTTP/1.1 server.

#include <string>
#include <string_view>

#include "tests/support/h2_client.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

/// Listeners `web` and `tls`, and a server that answers with what it got.
struct H2Proxy {
  explicit H2Proxy(std::string_view more = {}) : H2Proxy(echo, more) {}
  explicit H2Proxy(OriginScript script, std::string_view more = {})
      : origin(std::move(script)),
        daemon(
            "listeners: [ { name: web, address: '127.0.0.1:0' }, { name: tls, address: "
            "'127.0.0.1:0', tls: internal } ]\nroutes: [ { name: all, to: '" +
            origin.url() + "' } ]\n" + std::string(more)) {}

  static void echo(OriginExchange& exchange) {
    const std::string body = exchange.read_body();
    exchange.respond(exchange.request().method + " " + exchange.request().target + " " + body, 200,
                     "X-From: origin\r\n");
  }

  H2Client connect(const H2ClientOptions& options = {}) const {
    return H2Client(daemon.port("web"), options);
  }
  H2Client connect_tls() const { return H2Client(daemon.port("tls"), ClientTls{}); }
  std::string url(const std::string& listener) const {
    return (listener == "tls" ? "https" : "http") + std::string("://127.0.0.1:") +
           std::to_string(daemon.port(listener));
  }

  Origin origin;
  Daemon daemon;
};

}  // namespace revproxyd::testing
