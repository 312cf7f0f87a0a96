#include "revproxyd/proxy/settings.h"

#include <string_view>
#include <utility>
#include <vector>

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
// Each stream may hold a request head and a window of body, so a connection needs a bound.
constexpr std::int64_t kMostStreams = 10'000;

/// The keys of Limits, for it and for what has more.
template <typename L>
Record<L> limits_record() {
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
      .field("h2_streams", &L::h2_streams, config::integer<std::uint32_t>(1, kMostStreams),
             "Requests at once on an HTTP/2 connection.")
      .field("h2_resets", &L::h2_resets, config::rate(Zero::allowed),
             "Resets and other misuse on an HTTP/2 connection before it is closed.");
  return record;
}

/// `protocols`: a set; the order says nothing.
config::Type<ListenerSettings> protocols() {
  using Spoken = bool ListenerSettings::*;
  const std::vector<std::pair<std::string_view, Spoken>> words{
      {"h2", &ListenerSettings::http2}, {"http/1.1", &ListenerSettings::http1}};
  const auto list = config::list(config::enumeration(words, {"h3"}), {"protocols", false, true});
  config::Type<ListenerSettings> type;
  type.read = [list](Reader& reader, const Node& node, ListenerSettings& out) {
    std::vector<Spoken> listed;
    if (!list.read(reader, node, listed)) return false;
    out.http1 = out.http2 = false;
    bool good = true;
    for (std::size_t i = 0; i < listed.size(); ++i) {
      bool& spoken = out.*listed[i];
      if (spoken) good = reader.error(node.items[i], "a protocol is listed twice");
      spoken = true;
    }
    return good;
  };
  type.write = [list, words](const ListenerSettings& listener) {
    std::vector<Spoken> listed;
    for (const auto& [word, spoken] : words) {
      if (listener.*spoken) listed.push_back(spoken);
    }
    return list.write(listed);
  };
  type.schema = list.schema;
  type.schema.set("uniqueItems", Value::of_bool(true))
      .set("default", type.write(ListenerSettings{}));
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
    return listener.redirect_https ? Value::of_word("https") : Value::none();
  };
  return type;
}

bool check_listener(Reader& reader, const Node& node, ListenerSettings& out) {
  if (!out.redirect_https || !out.tls) return true;
  return reader.error(*node.find("redirect"), "'redirect' is for a listener without 'tls'");
}

/// What an identity consists of; a path stands as it is written.
struct Identity {
  std::string_view name;  // where the kernel chooses the port
  std::string_view address;
  bool path = false;
};

Identity identity_of(const ListenerSettings& listener) noexcept {
  const net::BindAddress& address = listener.address;
  if (!address.path.empty()) return {{}, address.path, true};
  const bool chosen = address.text.ends_with(":0");
  return {chosen ? std::string_view(listener.name) : std::string_view(), address.text, false};
}

}  // namespace

std::string listener_identity(const ListenerSettings& listener) {
  const Identity parts = identity_of(listener);
  std::string address(parts.address);
  if (parts.path) return "unix:" + net::normal_path(address);
  return parts.name.empty() ? address : std::string(parts.name) + " " + address;
}

bool same_listener(const ListenerSettings& one, const ListenerSettings& other) {
  const Identity left = identity_of(one);
  const Identity right = identity_of(other);
  if (left.name != right.name || left.path != right.path) return false;
  // Texts are made only of paths that are written differently.
  return left.address == right.address ||
         (left.path && listener_identity(one) == listener_identity(other));
}

const ListenerSettings* https_listener(const std::vector<ListenerSettings>& listeners) noexcept {
  const ListenerSettings* first = nullptr;
  for (const ListenerSettings& listener : listeners) {
    if (!listener.tls || !listener.address.path.empty()) continue;
    if (listener.address.port == kHttpsPort) return &listener;
    if (first == nullptr) first = &listener;
  }
  return first;
}

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

config::Type<GlobalLimits> global_limits() {
  return limits_record<GlobalLimits>()
      .field("memory", &GlobalLimits::memory, config::size(Zero::allowed),
             "Of the process; beyond it new work gets 503.")
      .type();
}

config::Type<ListenerSettings> listener_settings() {
  using L = ListenerSettings;
  const auto from = [](auto& listener) -> auto& { return listener.proxy_protocol_from; };
  const config::Type<L> proxy_protocol =
      Record<L>()
          .field(
              "from", from, net::peers(),
              "Peers that must send a PROXY header, ranges or unix for UNIX sockets; it is never "
              "read from others.")
          .type();
  return Record<L>("listener")
      .field("name", &L::name, config::text("a name"),
             "What match.listener and the log call it; without it the address.")
      .field("address", &L::address, net::bind_address(),
             "Where it listens: \":80\", \"127.0.0.1:80\", \"[::1]:80\", unix:/path.")
      .required()
      .whole("protocols", protocols(), "What is spoken: h2, http/1.1 or both.")
      .whole("redirect", redirect_https(),
             "https: every request is sent to the TLS listener with 308.")
      .field("tls", &L::tls, config::optional(tls::listener_tls()),
             "Makes it a TLS listener; an empty map is enough, `internal` needs no certificate.")
      .whole("proxy_protocol", proxy_protocol, "The PROXY protocol, version 1 and 2.")
      .field("timeouts", &L::timeouts, timeouts(), "Overrides of the global ones.")
      .field("limits", &L::limits, limits_record<Limits>().type(), "Overrides of the global ones.")
      .later({"acme", "ip"})
      .check(check_listener)
      .type();
}

}  // namespace revproxyd::proxy
