#pragma once
// The daemon in front of a server that speaks HTTP/2.

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/h2_client.h"
#include "tests/support/h2_origin.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

/// What an upstream is to say and to be asked.
struct H2UpstreamOptions {
  std::string settings;  // of the upstream, as balance_over() takes them
  std::string more;      // further sections
  H2OriginOptions origin;
};

/// A server by prior knowledge (or as the options say), listener `web`, route `all`, upstream
/// `app`.
struct H2Upstream {
  explicit H2Upstream(H2Script script, const H2UpstreamOptions& options = {})
      : origin(std::move(script), options.origin),
        daemon(balance_over({origin.url()}, options.settings, options.more)) {}

  RawClient connect() const { return RawClient(daemon.port()); }
  H2Client connect_h2(const H2ClientOptions& options = {}) const {
    return H2Client(daemon.port(), options);
  }
  Response get(std::string_view target = "/", std::string_view fields = {}) const {
    return fetch(daemon.port(), target, fields);
  }

  /// Answers with method, path and body of the request.
  static void echo(const H2Request& request) {
    const std::string body = request->read_body();
    const H2Message asked = request->request();
    request->respond(asked.method() + " " + asked.path() + " " + body, 200, {{"x-from", "origin"}});
  }

  H2Origin origin;
  Daemon daemon;
};

/// The same options with a certificate for 127.0.0.1 that the daemon trusts.
inline H2UpstreamOptions under_tls(Certificates& authority, H2UpstreamOptions options = {}) {
  options.origin.tls = ServerTls{authority.issue_for({"127.0.0.1"}), {}};
  if (!options.settings.empty()) options.settings += ", ";
  options.settings += "tls: { ca: '" + authority.authority_file() + "' }";
  return options;
}

/// A POST with `Host: test` and the body's length.
inline std::string post_text(std::string_view target, std::string_view body,
                             std::string_view more_fields = {}) {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(more_fields) + "\r\n" + std::string(body);
}

/// So many clients, each with a GET under way.
inline std::vector<RawClient> ask_at_once(std::uint16_t port, std::size_t count,
                                          std::string_view target = "/") {
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < count; ++i) clients.emplace_back(port);
  for (RawClient& client : clients)
    client.send("GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n\r\n");
  return clients;
}

}  // namespace revproxyd::testing
