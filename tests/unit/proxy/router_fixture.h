#pragma once
// Routes and requests in few words, for the tests of the router.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "revproxyd/base/arena.h"
#include "revproxyd/proxy/router.h"

namespace revproxyd::proxy::testing {

/// "*" is any host, "*.x" the wildcard.
inline HostPattern host(std::string_view text) {
  if (text == "*") return {};
  if (text.starts_with("*.")) return {HostKind::wildcard, std::string(text.substr(2))};
  return {HostKind::exact, std::string(text)};
}

/// The forms of the configuration.
inline PathPattern path(std::string_view text) {
  if (text == "/**") return {};
  if (text.starts_with('~')) return {PathKind::regex, std::string(text.substr(1))};
  if (text.find('*') == std::string_view::npos) return {PathKind::exact, std::string(text)};
  if (text.ends_with("/**") && text.find('*') == text.size() - 2) {
    return {PathKind::prefix, std::string(text.substr(0, text.size() - 3))};
  }
  return {PathKind::glob, std::string(text)};
}

inline RouteSettings route(std::string name, std::vector<std::string_view> hosts,
                           std::vector<std::string_view> paths) {
  RouteSettings out;
  out.name = std::move(name);
  for (const std::string_view text : hosts) out.match.hosts.push_back(host(text));
  for (const std::string_view text : paths) out.match.paths.push_back(path(text));
  return out;
}

/// A request that can be asked about; host and path are taken to be normal already.
class Request {
 public:
  Request(std::string_view host_name, std::string_view path_text) : head_(arena_) {
    head_.host = host_name;
    head_.path = path_text;
    head_.method_text = "GET";
    client_ = *net::Address::ip("192.0.2.1", 1234);
  }

  Request& method(std::string_view token) {
    head_.method = http::lookup_method(token);
    head_.method_text = token;
    return *this;
  }
  Request& field(std::string_view name, std::string_view value) {
    head_.fields.add(name, value);
    return *this;
  }
  Request& query(std::string_view text) {
    head_.target.query = text;
    head_.target.has_query = true;
    return *this;
  }
  Request& client(std::string_view address) {
    client_ = *net::Address::ip(address, 1234);
    return *this;
  }
  Request& from(const net::Address& address) {
    client_ = address;
    return *this;
  }
  Request& scheme(net::Scheme scheme) {
    scheme_ = scheme;
    return *this;
  }
  Request& listener(std::string_view name) {
    listener_ = name;
    return *this;
  }

  MatchInput input() const { return {head_, client_, scheme_, listener_}; }
  const http::RequestHead& head() const { return head_; }

 private:
  Arena arena_;
  http::RequestHead head_;
  net::Address client_;
  net::Scheme scheme_ = net::Scheme::http;
  std::string_view listener_ = "main";
};

/// Name of the route that takes the request, or "none".
inline std::string taken(const std::vector<RouteSettings>& routes, const Request& request) {
  const Router router(routes);
  const auto index = router.match(request.input());
  return index ? routes[*index].name : "none";
}

}  // namespace revproxyd::proxy::testing
