#include "revproxyd/proxy/settings.h"

#include <algorithm>

#include "revproxyd/base/ascii.h"
#include "revproxyd/config/record.h"
#include "revproxyd/config/scalars.h"
#include "revproxyd/net/settings_types.h"
#include "revproxyd/proxy/settings_types.h"
#include "revproxyd/tls/settings_types.h"

namespace revproxyd::proxy {

namespace {

using config::Node;
using config::Reader;
using config::Record;
using config::Value;
using config::Zero;

constexpr std::int64_t kMost = 1'000'000'000;  // of counts that only have to fit

Record<Limits> limits_record() {
  using L = Limits;
  const auto count = config::integer<std::uint64_t>(0, kMost);
  const auto size = config::size(Zero::allowed);
  Record<L> record;
  record.field("connections", &L::connections, count, "Connections of clients at once.")
      .field("connections_per_client", &L::connections_per_client, count,
             "The same of one address.")
      .field("requests_per_connection", &L::requests_per_connection, count,
             "Then the connection is closed.")
      .field("request_line", &L::request_line, size, "Bytes of the request line.")
      .field("header_bytes", &L::header_bytes, size, "Bytes of the header section.")
      .field("header_count", &L::header_count, count, "Fields of the header section.")
      .field("max_body", &L::max_body, size, "Bytes of a request body.")
      .field("min_rate", &L::min_rate, config::byte_rate(Zero::allowed),
             "Of a request body, after its first 10 s.")
      .later({"h2_streams", "h2_resets"});
  return record;
}

/// `protocols`: HTTP/1.1 is what this version offers.
config::Type<ListenerSettings> protocols() {
  config::Type<ListenerSettings> type;
  type.schema = Value::map(
      {{"type", Value::of_text("array")},
       {"items",
        Value::map({{"enum", Value::list({Value::of_text("h2"), Value::of_text("http/1.1")})}})}});
  type.read = [](Reader& reader, const Node& node, ListenerSettings& out) {
    if (!reader.expect_list(node, "a list of protocols")) return false;
    out.h1 = false;
    const Node* h2 = nullptr;
    for (const Node& item : node.items) {
      if (item.is_scalar() && item.text == "http/1.1")
        out.h1 = true;
      else if (item.is_scalar() && item.text == "h2")
        h2 = &item;
      else if (item.is_scalar() && item.text == "h3")
        return reader.error(item, "'h3' is not supported by this version");
      else
        return reader.error(item, Reader::shown(item) + " is not a protocol",
                            "expected http/1.1 or h2");
    }
    if (h2 != nullptr && out.h1)
      reader.warning(h2->mark, "h2 is not supported by this version; http/1.1 is offered");
    if (out.h1) return true;
    return reader.error(
        node,
        h2 != nullptr ? "h2 alone is not supported by this version" : "an empty list of protocols",
        "write [http/1.1]");
  };
  type.write = [](const ListenerSettings&) { return Value::list({Value::of_text("http/1.1")}); };
  return type;
}

config::Type<ListenerSettings> redirect_https() {
  enum class To : std::uint8_t { https };
  const auto word = config::enumeration<To>({{"https", To::https}});
  config::Type<ListenerSettings> type;
  type.schema = word.schema;
  type.read = [word](Reader& reader, const Node& node, ListenerSettings& out) {
    To to{};
    out.redirect_https = word.read(reader, node, to);
    return out.redirect_https;
  };
  type.write = [](const ListenerSettings& listener) {
    return listener.redirect_https ? Value::of_text("https") : Value::none();
  };
  return type;
}

bool check_listener(Reader& reader, const Node& node, ListenerSettings& out) {
  if (!out.redirect_https || !out.tls) return true;
  return reader.error(*node.find("redirect"), "'redirect' is for a listener without 'tls'");
}

}  // namespace

config::Type<Timeouts> timeouts() {
  using T = Timeouts;
  const auto time = config::duration();
  return Record<T>()
      .field("handshake", &T::handshake, time, "For the TLS handshake and the PROXY header.")
      .field("header", &T::header, time, "From the first byte of a request to the end of its head.")
      .field("body", &T::body, time, "Between two reads of a request body.")
      .field("write", &T::write, time, "Between two writes that the client takes.")
      .field("keepalive", &T::keepalive, time, "For the next request on a connection.")
      .field("tunnel", &T::tunnel, time,
             "Of silence in both directions of a tunnel or an event stream.")
      .type();
}

config::Type<Limits> limits() {
  return limits_record()
      .field("memory", &Limits::memory, config::size(Zero::allowed),
             "Of the process; beyond it new work gets 503.")
      .type();
}

config::Type<ListenerSettings> listener_settings() {
  using L = ListenerSettings;
  const auto from = [](auto& listener) -> auto& { return listener.proxy_protocol_from; };
  const config::Type<L> proxy_protocol =
      Record<L>()
          .field("from", from, net::cidrs(),
                 "Peers that must send a PROXY header; it is never read from others.")
          .required()
          .type();
  return Record<L>("listener")
      .field("name", &L::name, config::text("a name"),
             "What match.listener and the log call it; without it the address.")
      .field("address", &L::address, net::bind_address(),
             "Where it listens: \":80\", \"127.0.0.1:80\", \"[::1]:80\", unix:/path.")
      .required()
      .whole("protocols", protocols(), "What is offered.")
      .whole("redirect", redirect_https(),
             "https: every request is sent to the TLS listener with 308.")
      .field("tls", &L::tls, config::optional(tls::listener_tls()),
             "Makes it a TLS listener; an empty map is enough, `internal` needs no certificate.")
      .whole("proxy_protocol", proxy_protocol, "The PROXY protocol, version 1 and 2.")
      .field("timeouts", &L::timeouts, timeouts(), "Overrides of the global ones.")
      .field("limits", &L::limits, limits_record().type(), "Overrides of the global ones.")
      .later({"acme", "ip"})
      .check(check_listener)
      .type();
}

}  // namespace revproxyd::proxy
