#include "app/route_tests.h"

#include <algorithm>
#include <optional>

#include "revproxyd/http/target.h"

namespace revproxyd::app {

namespace {

struct Asked {
  net::Scheme scheme = net::Scheme::http;
  std::string host;
  std::string target;
};

std::optional<Asked> split_url(std::string_view url) {
  Asked asked;
  if (url.starts_with("https://")) {
    asked.scheme = net::Scheme::https;
    url.remove_prefix(8);
  } else if (url.starts_with("http://")) {
    url.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  const std::size_t end = std::min(url.find_first_of("/?"), url.size());
  asked.host = url.substr(0, end);
  asked.target = url.substr(end);
  if (!asked.target.starts_with('/')) asked.target.insert(0, "/");
  return asked;
}

/// What a request meets, as far as it can be said without serving it.
struct Met {
  std::string route;  // empty: none
  std::optional<std::uint16_t> status;
};

bool some_listener_has(const proxy::PlanSettings& settings, net::Scheme scheme) {
  return std::ranges::any_of(settings.listeners, [scheme](const auto& one) {
    return one.tls.has_value() == (scheme == net::Scheme::https);
  });
}

// The one at the port of the URL, else the first of its scheme: what stands before the daemon may
// have other ports. Where none has the scheme any will do: a trusted proxy may say it.
const proxy::ListenerSettings& listener_for(const proxy::PlanSettings& settings, net::Scheme scheme,
                                            std::uint16_t named) {
  const bool secure = scheme == net::Scheme::https;
  const std::uint16_t usual = secure ? 443 : 80;
  const std::uint16_t port = named == 0 ? usual : named;
  const bool relayed = !some_listener_has(settings, scheme);
  const proxy::ListenerSettings* first = nullptr;
  for (const proxy::ListenerSettings& one : settings.listeners) {
    if (!relayed && one.tls.has_value() != secure) continue;
    if (one.address.path.empty() && one.address.port == port) return one;
    if (first == nullptr) first = &one;
  }
  return *first;
}

// The parts of a head that routes look at; nothing for one that would be refused as malformed.
std::optional<http::RequestHead> head_of(const RouteTest& test, const Asked& asked, Arena& arena) {
  http::RequestHead head(arena);
  head.method = http::lookup_method(test.method);
  head.method_text = test.method;
  head.raw_target = asked.target;
  const auto target = http::parse_target(asked.target, false, head.method == http::Method::options);
  const auto authority = http::parse_authority(asked.host, arena);
  if (!target || !authority) return std::nullopt;
  const auto path = http::normalise_path(target->path, arena);
  if (!path) return std::nullopt;
  head.target = *target;
  head.authority = asked.host;
  head.host = authority->host;
  head.port = authority->port;
  head.path = path->text;
  head.encoded_slash = path->encoded_slash;
  return head;
}

Met meet(const RouteTest& test, const Asked& asked, const proxy::Plan& plan) {
  Arena arena;
  const auto head = head_of(test, asked, arena);
  if (!head) return {"", 400};
  if (head->method == http::Method::connect || head->method == http::Method::trace)
    return {"", 405};
  const proxy::ListenerSettings& listener = listener_for(plan.settings(), asked.scheme, head->port);
  if (listener.redirect_https) return {"", 308};
  const auto client = net::Address::ip(test.from, 0);
  const proxy::MatchInput input{*head, *client, asked.scheme, listener.name};
  const auto match = plan.router().match(input);
  if (!match) return {"", 404};
  const proxy::RouteSettings& route = *plan.route(*match).settings;
  Met met{route.name, std::nullopt};
  if (route.redirect) met.status = route.redirect->status;
  if (route.respond) met.status = route.respond->status;
  if (head->encoded_slash && !route.allow_encoded_slash) met.status = 400;
  return met;
}

std::string shown(const std::string& route, const std::set<std::string>& secrets) {
  return secrets.contains(route) ? "<redacted>" : route;
}

}  // namespace

bool run_route_tests(const std::vector<RouteTest>& tests, const proxy::Plan& plan,
                     const std::set<std::string>& secrets, config::Report& report) {
  const std::size_t before = report.errors();
  for (const RouteTest& test : tests) {
    const std::string what =
        "test " + (test.secret ? "<redacted>" : "'" + test.method + " " + test.url + "'") + ": ";
    const auto asked = split_url(test.url);
    if (!asked) {
      report.error(test.mark, what + "the URL is not absolute");
      continue;
    }
    const proxy::PlanSettings& settings = plan.settings();
    if (!some_listener_has(settings, asked->scheme) && settings.trusted_proxies.empty()) {
      const bool tls = asked->scheme == net::Scheme::https;
      report.warning(test.mark,
                     what + (tls ? "no listener has 'tls'" : "every listener has 'tls'"));
    }
    const Met met = meet(test, *asked, plan);
    if (test.route && *test.route != met.route) {
      report.error(test.mark, what + "expected route " + shown(*test.route, secrets) + ", got " +
                                  (met.route.empty() ? "none" : shown(met.route, secrets)));
    }
    if (test.status && met.status != test.status) {
      const std::string got = met.status ? std::to_string(*met.status) : "the upstream's";
      report.error(test.mark,
                   what + "expected status " + std::to_string(*test.status) + ", got " + got);
    }
  }
  return report.errors() == before;
}

}  // namespace revproxyd::app
