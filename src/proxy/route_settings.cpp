#include <algorithm>
#include <array>

#include "proxy/match_settings.h"
#include "revproxyd/base/ascii.h"
#include "revproxyd/config/record.h"
#include "revproxyd/config/scalars.h"
#include "revproxyd/filters/settings_types.h"
#include "revproxyd/net/settings_types.h"
#include "revproxyd/proxy/settings_types.h"
#include "revproxyd/upstream/settings_types.h"

namespace revproxyd::proxy {

namespace {

using config::Node;
using config::Reader;
using config::Record;
using config::Value;
using config::Zero;
using R = RouteSettings;

/// A word is a name; anything with a ':' or '/' is meant as a URL.
bool looks_like_url(std::string_view text) {
  return text.find_first_of(":/") != std::string_view::npos;
}

/// A name, or the normalised text of a URL; empty after reporting.
std::string target(Reader& reader, const Node& node, bool url_only) {
  const std::string* text =
      reader.scalar(node, url_only ? "a URL" : "the name of an upstream or a URL");
  if (text == nullptr) return {};
  if (!url_only && !looks_like_url(*text)) {
    if (text->empty()) reader.error(node, "the name of an upstream is empty");
    return *text;
  }
  const net::Parsed<net::ServerUrl> url = net::parse_server_url(*text);
  if (url.value) return url.value->text;
  reader.error(node, Reader::shown(node) + " is not the URL of a server: " + url.problem,
               node.secret ? "" : url.hint);
  return {};
}

/// Of a normalised URL; a UNIX socket speaks plain HTTP.
std::string_view scheme_of(std::string_view url) {
  return url.starts_with("unix:") ? "http" : url.substr(0, url.find(':'));
}

bool read_to(Reader& reader, const Node& node, R& out) {
  std::string joined;
  std::vector<std::string> seen;
  if (!node.is_list()) {
    joined = target(reader, node, false);
  } else {
    if (node.items.empty()) return reader.error(node, "an empty list of URLs");
    for (const Node& item : node.items) {
      const std::string url = target(reader, item, true);
      if (url.empty()) return false;
      if (!seen.empty() && scheme_of(url) != scheme_of(seen.front()))
        return reader.error(item,
                            std::string(scheme_of(seen.front())) + " and " +
                                std::string(scheme_of(url)) + " in one list of URLs",
                            "write an upstream for each");
      if (std::find(seen.begin(), seen.end(), url) != seen.end())
        return reader.error(item, "a URL is listed twice");
      seen.push_back(url);
      joined += (joined.empty() ? "" : ",") + url;
    }
  }
  if (joined.empty()) return false;
  out.targets = {SplitTarget{joined, 1}};
  return true;
}

Value write_target(const std::string& upstream) {
  if (!is_anonymous(upstream)) return Value::of_text(upstream);
  Value out = Value::list();
  for (const std::string& url : anonymous_urls(upstream)) out.items.push_back(Value::of_text(url));
  return out.items.size() == 1 ? out.items.front() : out;
}

config::Type<R> to() {
  config::Type<R> type;
  const Value one = config::scalar_schema("the name of an upstream or a URL");
  type.schema =
      config::any_of({one, Value::map({{"type", Value::of_text("array")}, {"items", one}})});
  type.read = read_to;
  type.write = [](const R& route) {
    const bool single = route.targets.size() == 1 && route.targets.front().weight == 1;
    return single ? write_target(route.targets.front().upstream) : Value::none();
  };
  return type;
}

config::Type<std::string> split_upstream() {
  config::Type<std::string> type;
  type.schema = config::scalar_schema("the name of an upstream or a URL");
  type.read = [](Reader& reader, const Node& node, std::string& out) {
    out = target(reader, node, false);
    return !out.empty();
  };
  type.write = write_target;
  return type;
}

config::Type<R> split() {
  const auto targets =
      config::list(Record<SplitTarget>()
                       .field("to", &SplitTarget::upstream, split_upstream(), "The upstream.")
                       .required()
                       .field("weight", &SplitTarget::weight,
                              config::integer<std::uint32_t>(0, 1'000'000), "Its share.")
                       .type(),
                   {"targets", false, true});
  config::Type<R> type;
  type.schema = targets.schema;
  type.read = [targets](Reader& reader, const Node& node, R& out) {
    if (!targets.read(reader, node, out.targets)) return false;
    const auto weighs = [](const SplitTarget& one) { return one.weight > 0; };
    return std::any_of(out.targets.begin(), out.targets.end(), weighs) ||
           reader.error(node, "every weight is 0");
  };
  type.write = [targets](const R& route) {
    const bool single = route.targets.size() == 1 && route.targets.front().weight == 1;
    return route.targets.empty() || single ? Value::none() : targets.write(route.targets);
  };
  return type;
}

/// A URL or path with nothing in it that could break out of a Location field; {name} only where it
/// is replaced.
// Where a client could name the host.
bool query_is_in_host(const std::string& to) {
  const std::size_t host = to.find("://") + 3;
  const std::size_t end =
      std::min({to.find('/', host), to.find('?', host), to.find("{path}", host)});
  return to.find("{query}", host) < end;
}

bool check_redirect_target(Reader& reader, const Node& node, const std::string& to) {
  const bool absolute =
      to.starts_with("http://") || to.starts_with("https://") || to.starts_with("{scheme}://");
  const bool path = (to.front() == '/' && !to.starts_with("//")) || to.starts_with("{path}");
  if (!absolute && !path)
    return reader.error(node, Reader::shown(node) + " is not a place to redirect to",
                        "write https://... or /path");
  for (std::size_t i = 0; i < to.size(); ++i) {
    const auto c = static_cast<unsigned char>(to[i]);
    if (c <= 0x20 || c >= 0x7F)
      return reader.error(node, "a blank or a character beyond ASCII in the target", "encode it");
    if (c == '}') return reader.error(node, "'}' without '{' in the target");
    if (c != '{') continue;
    const std::size_t end = to.find('}', i);
    const std::string name = to.substr(i, end == std::string::npos ? end : end - i + 1);
    constexpr std::array<std::string_view, 4> kNames{"{scheme}", "{host}", "{path}", "{query}"};
    if (std::find(kNames.begin(), kNames.end(), name) == kNames.end())
      return reader.error(node, (node.secret ? "'{...}'" : "'" + name + "'") + " in the target",
                          "expected {scheme}, {host}, {path} or {query}");
    i = end;
  }
  if (absolute && query_is_in_host(to))
    return reader.error(node, "'{query}' within the host of the target", "write '?' before it");
  return true;
}

config::Type<RedirectSettings> redirect() {
  const auto status = config::checked<std::uint16_t>(
      config::integer<std::uint16_t>(301, 308),
      [](Reader& reader, const Node& node, const std::uint16_t& value) {
        const bool known = value <= 303 || value >= 307;
        return known || reader.error(node, Reader::shown(node) + " is not a status of a redirect",
                                     "expected 301, 302, 303, 307 or 308");
      });
  return Record<RedirectSettings>()
      .field("to", &RedirectSettings::to,
             config::checked<std::string>(config::text("a URL or path"), check_redirect_target),
             "URL or path; {scheme}, {host}, {path} and {query} are replaced.")
      .required()
      .field("status", &RedirectSettings::status, status, "301, 302, 303, 307 or 308.")
      .type();
}

config::Type<RespondSettings> respond() {
  return Record<RespondSettings>()
      .field("status", &RespondSettings::status, config::integer<std::uint16_t>(200, 599),
             "The status.")
      .field("headers", &RespondSettings::headers, filters::fields(), "Header fields.")
      .field("body", &RespondSettings::body, config::long_text("a text"), "The body.")
      .check([](Reader& reader, const Node& node, RespondSettings& out) {
        const bool bare = out.status == 204 || out.status == 205 || out.status == 304;
        if (!bare || out.body.empty()) return true;
        return reader.error(*node.find("body"), "a " + std::to_string(out.status) + " has no body");
      })
      .type();
}

config::Type<std::string> upgrade_token() {
  config::Type<std::string> type = config::token("a protocol");
  type.read = [read = type.read](Reader& reader, const Node& node, std::string& out) {
    if (!read(reader, node, out)) return false;
    out = ascii::lower(out);
    return out != "h2c" ||
           reader.error(node, "'h2c' is never passed on: it would carry requests past every rule");
  };
  return type;
}

/// `host:` and `path:` beside `match:`; they are printed under `match`.
template <typename T>
config::Type<R> shorthand(T MatchSettings::*member, const config::Type<T>& inner) {
  config::Type<R> type;
  type.schema = inner.schema;
  type.read = [member, inner](Reader& reader, const Node& node, R& out) {
    return inner.read(reader, node, out.match.*member);
  };
  type.write = [](const R&) { return Value::none(); };
  return type;
}

config::Type<R> route_timeouts() {
  const auto time = config::optional(config::duration());
  return Record<R>()
      .field("body", &R::body_timeout, time, "Between two reads of a request body.")
      .field("write", &R::write_timeout, time, "Between two writes that the client takes.")
      .field("tunnel", &R::tunnel_timeout, time,
             "Of silence in both directions of a tunnel or an event stream.")
      .type();
}

config::Type<R> route_limits() {
  return Record<R>()
      .field("max_body", &R::max_body, config::optional(config::size(Zero::allowed)),
             "Bytes of a request body; 0 = no limit.")
      .field("min_rate", &R::min_rate, config::optional(config::byte_rate(Zero::allowed)),
             "Of a request body; 0 = none.")
      .type();
}

/// Of a route that answers itself, what only matters to requests that are forwarded.
void warn_of_no_effect(Reader& reader, const Node& node) {
  for (const config::Entry& entry : node.entries) {
    const bool edits_path =
        entry.key == "strip_prefix" || entry.key == "add_prefix" || entry.key == "rewrite";
    if (edits_path || entry.key == "upgrade")
      reader.warning(entry.mark, "'" + entry.key + "' has no effect in " + reader.context() +
                                     ": nothing is forwarded");
  }
}

constexpr std::array<std::string_view, 4> kEnds{"to", "split", "redirect", "respond"};

Value one_end() {
  Value ends = Value::list();
  for (const std::string_view end : kEnds)
    ends.items.push_back(Value::map({{"required", Value::list({Value::of_text(end)})}}));
  return ends;
}

bool check_route(Reader& reader, const Node& node, R& out) {
  bool good = true;
  const Node* match = node.find("match");
  for (const config::Entry& entry : node.entries) {
    if (match == nullptr || (entry.key != "host" && entry.key != "path") ||
        match->find(entry.key) == nullptr)
      continue;
    good = reader.error(entry.mark,
                        "'" + entry.key + "' is in 'match' already in " + reader.context());
  }
  std::string ends;
  std::size_t count = 0;
  const config::Entry* second = nullptr;
  for (const config::Entry& entry : node.entries) {
    if (std::ranges::find(kEnds, entry.key) == kEnds.end()) continue;
    if (++count == 2) second = &entry;
    ends += (ends.empty() ? "'" : " and '") + entry.key + "'";
  }
  if (count == 0)
    good = reader.error(node, reader.context() + " goes nowhere",
                        "add to, split, redirect or respond");
  if (count > 1)
    good = reader.error(second->mark,
                        ends + " in " + reader.context() + "; a route ends in one of them");
  if (out.host_header && out.targets.empty() && count == 1)
    good = reader.error(*node.find("host_header"),
                        "'host_header' is for a route with 'to' or 'split'");
  if (out.redirect || out.respond) warn_of_no_effect(reader, node);
  return good;
}

}  // namespace

bool is_anonymous(std::string_view upstream) noexcept { return looks_like_url(upstream); }

std::vector<std::string> anonymous_urls(std::string_view upstream) {
  std::vector<std::string> out;
  while (!upstream.empty()) {
    const std::size_t comma = std::min(upstream.find(','), upstream.size());
    out.emplace_back(upstream.substr(0, comma));
    upstream.remove_prefix(std::min(comma + 1, upstream.size()));
  }
  return out;
}

config::Type<RouteSettings> route_settings() {
  const auto strip = [](auto& route) -> auto& { return route.rewrite.strip_prefix; };
  const auto add = [](auto& route) -> auto& { return route.rewrite.add_prefix; };
  config::Type<filters::RewriteSettings> rewrite = filters::rewrite_settings();
  rewrite.write = [write = rewrite.write](const filters::RewriteSettings& value) {
    return value.regex.empty() ? Value::none() : write(value);
  };
  R defaults;
  defaults.upgrade = {"websocket"};
  config::Type<R> route =
      Record<R>("route", defaults)
          .field("name", &R::name, config::name_text("a name"),
                 "What the log and the tests call it; without it route-N.")
          .field("match", &R::match, match_settings(), "Conditions; all of them must hold.")
          .whole("host", shorthand(&MatchSettings::hosts, host_patterns()), "Short for match.host.")
          .whole("path", shorthand(&MatchSettings::paths, path_patterns()), "Short for match.path.")
          .field("priority", &R::priority, config::integer<std::int32_t>(-1'000'000, 1'000'000),
                 "Routes of a higher one are tried first.")
          .field("strip_prefix", strip, filters::path_prefix(), "Cut from the front of the path.")
          .field("add_prefix", add, filters::path_prefix(), "Put in front of the path.")
          .field("rewrite", &R::rewrite, rewrite, "Where the regex matches, a new path.")
          .field("headers", &R::headers, filters::headers_settings(), "Edits of header fields.")
          .field("upgrade", &R::upgrade, config::list(upgrade_token(), {"protocols", true}),
                 "Protocols that clients may upgrade to.")
          .field("allow_encoded_slash", &R::allow_encoded_slash, config::boolean(),
                 "Let %2F and %5C through.")
          .field("host_header", &R::host_header, config::optional(upstream::host_header()),
                 "The Host field that servers see.")
          .whole("timeouts", route_timeouts(), "Overrides of the listener's.")
          .whole("limits", route_limits(), "Overrides of the listener's.")
          .whole("to", to(), "An upstream, a URL or a list of URLs.")
          .whole("split", split(), "Several upstreams by weight.")
          .field("redirect", &R::redirect, config::optional(redirect()),
                 "The answer is a redirect.")
          .field("respond", &R::respond, config::optional(respond()), "The answer is made here.")
          .later({"use", "waf", "rate_limit", "auth", "cache", "compress", "bots", "ip", "metrics"})
          .check(check_route)
          .type();
  route.schema.set("oneOf", one_end());
  route.read = [read = route.read, upgrade = defaults.upgrade](Reader& reader, const Node& node,
                                                               R& out) {
    out.upgrade = upgrade;
    out.refused = !read(reader, node, out);
    return !out.refused;
  };
  // A default that has no effect is not worth a warning when what -T prints is read.
  route.write = [write = route.write, upgrade = defaults.upgrade](const R& one) {
    Value map = write(one);
    if ((one.upgrade_idle || one.redirect || one.respond) && one.upgrade == upgrade)
      std::erase_if(map.members, [](const auto& member) { return member.first == "upgrade"; });
    return map;
  };
  return route;
}

}  // namespace revproxyd::proxy
