#include "proxy/forwarding_fields.h"

#include <array>
#include <charconv>
#include <optional>

#include "revproxyd/base/ascii.h"
#include "revproxyd/http/hop_by_hop.h"

namespace revproxyd::proxy {

namespace {

using http::FieldName;

// Hops that are looked at; a longer chain is the sender's to explain.
constexpr std::size_t kMostHops = 64;

// An entry of X-Forwarded-For: an address, with or without port and brackets.
std::optional<net::Address> hop_address(std::string_view text) {
  if (text.size() >= 2 && text.front() == '[') {
    const std::size_t end = text.find(']');
    return end == std::string_view::npos ? std::nullopt
                                         : net::Address::ip(text.substr(1, end - 1), 0);
  }
  if (const std::size_t colon = text.find(':');
      colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
    text = text.substr(0, colon);
  }
  return net::Address::ip(text, 0);
}

// Takes hops off the right end of all X-Forwarded-For fields, which together are one list (RFC 9110
// section 5.3). It is read from the end, where the proxies that are trusted have written; what a
// client put in front of them is never reached.
class Hops {
 public:
  explicit Hops(const http::Fields& fields) noexcept
      : begin_(fields.begin()), field_(fields.end()) {}
  std::optional<std::string_view> next() noexcept {
    std::string_view hop;
    // An empty element is none (RFC 9110 section 5.6.1.2).
    while (hop.empty()) {
      if (!find_field()) return std::nullopt;
      const std::size_t comma = rest_.rfind(',');
      more_ = comma != std::string_view::npos;
      hop = ascii::trim(more_ ? rest_.substr(comma + 1) : rest_);
      if (more_) rest_ = rest_.substr(0, comma);
    }
    return hop;
  }

 private:
  bool find_field() noexcept {
    while (!more_) {
      if (field_ == begin_) return false;
      --field_;
      more_ = field_->known == FieldName::x_forwarded_for;
      rest_ = field_->value;
    }
    return true;
  }

  const http::Field* begin_;
  const http::Field* field_;  // its hops are in rest_ while there are more_
  std::string_view rest_;
  bool more_ = false;
};

net::Address through_proxies(const http::Fields& fields, const net::Address& peer,
                             const net::Peers& trusted) {
  net::Address client = peer;
  Hops hops(fields);
  for (std::size_t i = 0; i < kMostHops && net::contains(trusted, client); ++i) {
    const auto hop = hops.next();
    if (!hop) break;
    const auto address = hop_address(*hop);
    if (!address) break;
    client = *address;
  }
  return client;
}

std::string_view port_text(std::uint16_t port, Arena& arena) {
  std::array<char, 8> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), port);
  return arena.copy({digits.data(), static_cast<std::size_t>(end.ptr - digits.data())});
}

std::string_view scheme_text(net::Scheme scheme) noexcept {
  return scheme == net::Scheme::https ? "https" : "http";
}

// RFC 7239 section 6: an IPv6 address stands in brackets and quotes.
std::string_view forwarded_element(const pipeline::Exchange& exchange, std::string_view host,
                                   Arena& arena) {
  const bool local = !exchange.client().peer.is_ip();
  const std::string peer = local ? std::string() : exchange.client().peer.host();
  const bool v6 = peer.find(':') != std::string::npos;
  const std::string node = peer.empty() ? "unknown" : v6 ? "\"[" + peer + "]\"" : peer;
  std::string element =
      "for=" + node + ";proto=" + std::string(scheme_text(exchange.client().scheme));
  if (ascii::is_token(host)) {
    element += ";host=" + std::string(host);
  } else if (!host.empty()) {
    element += ";host=\"" + std::string(host) + "\"";
  }
  return arena.copy(element);
}

// Several fields become one list in their order.
void append_to_list(http::Fields& fields, FieldName name, std::string_view value) {
  fields.set(name, fields.join(name, ", ", value));
}

// The version that the request was received in (RFC 9110 section 7.6.3).
std::string_view via_of(http::Version version) noexcept {
  switch (version) {
    case http::Version::http10: return "1.0 revproxyd";
    case http::Version::http11: return "1.1 revproxyd";
    case http::Version::http2: return "2.0 revproxyd";
    case http::Version::http3: return "3.0 revproxyd";
  }
  return "1.1 revproxyd";
}

bool is_forwarded_kind(std::string_view name) noexcept {
  constexpr std::string_view kPrefix = "x-forwarded-";
  return name.size() > kPrefix.size() && ascii::iequals(name.substr(0, kPrefix.size()), kPrefix);
}

// X-Forwarded-Prefix, -Server, -Ssl and whatever else a server behind may believe.
void remove_other_forwarded(http::Fields& fields) {
  if (!fields.has_unknown()) return;
  fields.remove_if([](const http::Field& field) {
    return field.known == FieldName::unknown && is_forwarded_kind(field.name);
  });
}

// Empty for a UNIX socket, whose peer has none.
std::string_view client_text(pipeline::Exchange& exchange) {
  return exchange.address().is_ip() ? exchange.address_text() : std::string_view();
}

std::string_view peer_text(pipeline::Exchange& exchange, Arena& arena) {
  if (!exchange.standing().trusted) return client_text(exchange);  // the same
  const net::Address& peer = exchange.client().peer;
  net::Address::HostRoom room;
  return peer.is_ip() ? arena.copy(peer.host(room)) : std::string_view();
}

void set_forwarded_for(pipeline::Exchange& exchange, http::Fields& fields, Arena& arena) {
  const bool trusted = exchange.standing().trusted;
  const std::string_view peer = peer_text(exchange, arena);
  if (!trusted) {
    fields.remove(FieldName::x_forwarded_for);
    remove_other_forwarded(fields);
  }
  if (!peer.empty()) append_to_list(fields, FieldName::x_forwarded_for, peer);
  const auto keep_or_set = [&](FieldName name, std::string_view value) {
    if (trusted && fields.has(name)) return;
    if (value.empty()) {
      fields.remove(name);
    } else {
      fields.set(name, value);
    }
  };
  keep_or_set(FieldName::x_forwarded_proto, scheme_text(exchange.client().scheme));
  keep_or_set(FieldName::x_forwarded_host, exchange.head().authority);
  const net::Address& local = exchange.client().local;
  keep_or_set(FieldName::x_forwarded_port,
              local.is_ip() ? port_text(local.port(), arena) : std::string_view());
  const std::string_view client = client_text(exchange);
  if (client.empty()) {
    fields.remove(FieldName::x_real_ip);
  } else {
    fields.set(FieldName::x_real_ip, client);
  }
}

// Servers take it for proven, so it never comes from a request, not even from a trusted peer
// (RFC 9440 section 4). The values live as long as the connection, and so longer than the request.
void set_client_certificate(pipeline::Exchange& exchange) {
  http::Fields& fields = exchange.head().fields;
  fields.remove(FieldName::client_cert);
  fields.remove(FieldName::client_cert_chain);
  const net::TlsInfo* tls = exchange.client().tls;
  if (tls == nullptr || tls->passed_on == nullptr) return;
  fields.add(FieldName::client_cert, tls->passed_on->leaf);
  if (!tls->passed_on->chain.empty())
    fields.add(FieldName::client_cert_chain, tls->passed_on->chain);
}

}  // namespace

void trust_client(pipeline::Exchange& exchange, const net::Peers& trusted) {
  set_client_certificate(exchange);
  if (!exchange.standing().trusted) return;
  const http::Fields& fields = exchange.head().fields;
  exchange.set_address(through_proxies(fields, exchange.client().peer, trusted));
  const std::string_view proto = fields.get(FieldName::x_forwarded_proto);
  if (ascii::iequals(proto, "https")) exchange.set_scheme(net::Scheme::https);
  if (ascii::iequals(proto, "http")) exchange.set_scheme(net::Scheme::http);
}

bool tells_of_client(std::string_view name) noexcept {
  const FieldName known = http::lookup(name);
  return known == FieldName::forwarded || known == FieldName::x_real_ip || is_forwarded_kind(name);
}

void drop_claims(pipeline::Exchange& exchange) {
  if (exchange.standing().trusted) return;
  exchange.head().fields.remove_if(
      [](const http::Field& field) { return tells_of_client(field.name); });
}

void set_forwarding_fields(pipeline::Exchange& exchange, bool forwarded) {
  http::RequestHead& head = exchange.head();
  http::Fields& fields = head.fields;
  Arena& arena = exchange.arena();
  const std::string_view id = exchange.id();
  http::remove_hop_by_hop(fields);
  // CGI programs read it as the variable HTTP_PROXY, which sends their own requests to whoever set
  // it.
  fields.remove(FieldName::proxy);
  // The server would take that of an HTTP/1.0 client for one that waits (RFC 9110 section 10.1.1).
  if (!head.expect_continue) fields.remove(FieldName::expect);
  set_forwarded_for(exchange, fields, arena);
  if (!exchange.standing().trusted) fields.remove(FieldName::forwarded);
  if (forwarded || fields.has(FieldName::forwarded)) {
    append_to_list(fields, FieldName::forwarded,
                   forwarded_element(exchange, head.authority, arena));
  }
  append_to_list(fields, FieldName::via, via_of(head.version));
  fields.set(FieldName::x_request_id, id);
}

}  // namespace revproxyd::proxy
