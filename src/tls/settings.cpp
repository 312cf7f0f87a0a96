#include "revproxyd/tls/settings.h"

#include "revproxyd/base/ascii.h"
#include "revproxyd/config/record.h"
#include "revproxyd/config/scalars.h"
#include "revproxyd/net/settings_types.h"
#include "revproxyd/tls/settings_types.h"

namespace revproxyd::tls {

namespace {

using config::Node;
using config::Reader;
using config::Record;

// Brackets are those of a URL.
bool is_verifiable(const std::string& name) noexcept {
  return net::is_host_name(name) || (!name.starts_with('[') && net::Address::ip(name, 0));
}

config::Type<ClientAuth> client_auth() {
  return Record<ClientAuth>()
      .field("mode", &ClientAuth::mode,
             config::enumeration<ClientAuthMode>({{"none", ClientAuthMode::none},
                                                  {"optional", ClientAuthMode::optional},
                                                  {"required", ClientAuthMode::required}}),
             "Whether clients are asked for a certificate, and whether they must have one.")
      .field("ca", &ClientAuth::ca, config::file_path(),
             "PEM file of the authorities that sign client certificates.")
      .field("forward", &ClientAuth::forward,
             config::enumeration<ClientForward>({{"none", ClientForward::none},
                                                 {"leaf", ClientForward::leaf},
                                                 {"chain", ClientForward::chain}}),
             "What servers are told of a certificate that was verified, by Client-Cert and "
             "Client-Cert-Chain.")
      .check([](Reader& reader, const Node& node, ClientAuth& auth) {
        auth.ca_at = config::place_of(reader.report(), node, "ca");
        if (auth.mode != ClientAuthMode::none && auth.ca.empty())
          return reader.error(node, "'ca' is missing in " + reader.context());
        if (auth.mode == ClientAuthMode::none && !auth.ca.empty())
          reader.warning(node.mark, "'ca' has no effect while 'mode' is none");
        if (auth.mode == ClientAuthMode::none && auth.forward != ClientForward::none)
          reader.warning(node.mark, "'forward' has no effect while 'mode' is none");
        return true;
      })
      .type();
}

}  // namespace

config::Type<ListenerTls> listener_tls() {
  const config::Type<ListenerTls> map =
      Record<ListenerTls>()
          .field("min_version", &ListenerTls::min_version,
                 config::enumeration<MinVersion>(
                     {{"1.2", MinVersion::tls12}, {"1.3", MinVersion::tls13}}),
                 "The oldest TLS version that is spoken.")
          .field("client_auth", &ListenerTls::client_auth, client_auth(),
                 "Certificates of clients.")
          .field("unknown_sni", &ListenerTls::unknown_sni,
                 config::enumeration<UnknownSni>(
                     {{"reject", UnknownSni::reject}, {"first", UnknownSni::first}}),
                 "What a name that no certificate covers gets: an alert, or the first certificate.")
          .type();
  config::Type<ListenerTls> type = map;
  const config::Value nothing = config::Value::map({{"type", config::Value::of_text("null")}});
  type.schema = config::any_of({config::word_schema("internal"), nothing, map.schema});
  type.read = [map](Reader& reader, const Node& node, ListenerTls& out) {
    out = ListenerTls{};
    out.at = config::place_of(reader.report(), node);
    if (node.is_scalar() && node.text == "internal") {
      out.internal = true;
      return true;
    }
    if (node.kind == config::Kind::null) return true;  // `tls:` with nothing behind it
    if (!node.is_map())
      return reader.error(node, "expected 'internal' or a map for " + reader.context() +
                                    ", found " + Reader::shown(node));
    return map.read(reader, node, out);
  };
  type.write = [map](const ListenerTls& tls) {
    return tls.internal ? config::Value::of_word("internal") : map.write(tls);
  };
  return type;
}

config::Type<std::string> host_pattern() {
  config::Type<std::string> type;
  type.schema = config::scalar_schema("a host name, or *. and a name");
  type.read = [](Reader& reader, const Node& node, std::string& out) {
    const std::string* text = reader.scalar(node, "a host name");
    if (text == nullptr) return false;
    std::string_view name = *text;
    if (name.ends_with('.')) name.remove_suffix(1);
    const bool wildcard = name.starts_with("*.");
    if (!net::is_host_name(wildcard ? name.substr(2) : name)) {
      std::string hint = "only as the first label: *.example.com";
      if (name == "*")
        hint = "leave it out for any host";
      else if (name.find('*') == std::string_view::npos)
        hint = name.find(':') == std::string_view::npos ? "" : "a host is written without a port";
      return reader.error(node, Reader::shown(node) + " is not a host name", std::move(hint));
    }
    out = ascii::lower(name);
    return true;
  };
  type.write = [](const std::string& name) { return config::Value::of_text(name); };
  return type;
}

namespace {

std::vector<std::string> secret_hosts(const Node& hosts, const std::vector<std::string>& read) {
  if (hosts.is_scalar()) return hosts.secret ? read : std::vector<std::string>();
  std::vector<std::string> secret;
  for (std::size_t i = 0; i < hosts.items.size(); ++i) {
    if (hosts.items[i].secret) secret.push_back(read[i]);
  }
  return secret;
}

}  // namespace

config::Type<Certificate> certificate() {
  return Record<Certificate>("certificate")
      .field("hosts", &Certificate::hosts, config::list(host_pattern(), {"host names", true}),
             "The names that it serves, exact or *.name.")
      .field("cert", &Certificate::cert, config::file_path(),
             "PEM file: the certificate, then its chain.")
      .required()
      .field("key", &Certificate::key, config::file_path(), "PEM file of the private key.")
      .required()
      .later({"acme", "ocsp"})
      .check([](Reader& reader, const Node& node, Certificate& certificate) {
        certificate.cert_at = config::place_of(reader.report(), node, "cert");
        certificate.key_at = config::place_of(reader.report(), node, "key");
        if (const Node* hosts = node.find("hosts"); hosts != nullptr)
          certificate.hidden = secret_hosts(*hosts, certificate.hosts);
        return true;
      })
      .type();
}

config::Type<UpstreamTls> upstream_tls() {
  return Record<UpstreamTls>()
      .field("server_name", &UpstreamTls::server_name, config::text("a host name or an address"),
             "The name in SNI and the one to verify, or the address to verify; without it the host "
             "of the URL.")
      .field("ca", &UpstreamTls::ca, config::file_path(),
             "PEM file of the authorities to trust; without it the system's.")
      .field("cert", &UpstreamTls::cert, config::file_path(),
             "PEM file of the certificate to show to the server.")
      .field("key", &UpstreamTls::key, config::file_path(), "PEM file of its private key.")
      .field("insecure_skip_verify", &UpstreamTls::insecure_skip_verify, config::boolean(),
             "Take any certificate. For tests.")
      .check([](Reader& reader, const Node& node, UpstreamTls& tls) {
        tls.ca_at = config::place_of(reader.report(), node, "ca");
        tls.cert_at = config::place_of(reader.report(), node, "cert");
        tls.key_at = config::place_of(reader.report(), node, "key");
        if (tls.cert.empty() != tls.key.empty())
          return reader.error(node, "'cert' and 'key' belong together in " + reader.context());
        if (!tls.server_name.empty() && !is_verifiable(tls.server_name))
          return reader.error(
              *node.find("server_name"),
              "'server_name' is not a host name or an address in " + reader.context());
        if (tls.insecure_skip_verify)
          reader.warning(node.mark,
                         "the certificates of " + reader.context() + " are not verified");
        return true;
      })
      .type();
}

}  // namespace revproxyd::tls
