#include "proxy/upstream_request.h"

#include <algorithm>
#include <array>
#include <string>

#include "revproxyd/base/ascii.h"
#include "revproxyd/http/hop_by_hop.h"
#include "revproxyd/pipeline/error_response.h"

namespace revproxyd::proxy {

namespace {

using http::FieldName;

std::string_view cookie_value(const http::Fields& fields, std::string_view name) noexcept {
  for (const http::Field& field : fields) {
    if (field.known != FieldName::cookie) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(';'), rest.size());
      const std::string_view pair = ascii::trim(rest.substr(0, end));
      const std::size_t equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == name)
        return pair.substr(equals + 1);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return {};
}

bool asks_for_tunnel(const http::Request& request) noexcept {
  return !request.head.upgrade.empty() && request.body != nullptr && request.head.length.empty();
}

bool passes(const RouteSettings& route, std::string_view token) noexcept {
  return std::ranges::any_of(route.upgrade, [token](const std::string& allowed) {
    return ascii::iequals(allowed, token);
  });
}

bool any_passes(const RouteSettings& route, std::string_view list) noexcept {
  while (!list.empty()) {
    if (passes(route, http::next_element(list))) return true;
  }
  return false;
}

// Clients offer several protocols in the order in which they like them (RFC 9110 section 7.8).
std::string_view those_that_pass(const RouteSettings& route, std::string_view list, Arena& arena) {
  if (passes(route, list)) return list;
  std::string passing;
  while (!list.empty()) {
    const std::string_view token = http::next_element(list);
    if (!passes(route, token)) continue;
    if (!passing.empty()) passing += ", ";
    passing += token;
  }
  return arena.copy(passing);
}

}  // namespace

std::string_view upstream_target(pipeline::Exchange& exchange) {
  if (!exchange.target.empty()) return exchange.target;
  const http::RequestHead& head = exchange.head();
  if (head.target.form != http::TargetForm::absolute) return head.raw_target;
  if (!head.target.has_query) return head.target.path;
  return exchange.arena().join(head.target.path, "?", head.target.query);
}

std::string_view upstream_host(pipeline::Exchange& exchange,
                               const upstream::HostHeaderSettings& settings,
                               const upstream::Endpoint& endpoint) {
  if (settings.mode == upstream::HostHeader::value) return settings.value;
  if (settings.mode == upstream::HostHeader::keep && !exchange.head().authority.empty())
    return exchange.head().authority;
  return exchange.arena().copy(endpoint.url().authority());
}

namespace {

// The same for both forms of a target. Nearly every one has all of it in one piece.
std::string_view path_and_query(pipeline::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  const std::string_view raw = head.raw_target;
  if (head.target.form != http::TargetForm::absolute) return raw;
  const std::size_t end = raw.find_first_of("/?", raw.find("://") + 3);
  if (end == std::string_view::npos) return head.target.path;
  const std::string_view rest = raw.substr(end);
  return rest.front() == '/' ? rest : exchange.arena().join(head.target.path, rest);
}

}  // namespace

upstream::PickKey pick_key(pipeline::Exchange& exchange, const upstream::BalanceSettings& balance) {
  if (balance.method != upstream::BalanceMethod::hash) return {};
  const http::RequestHead& head = exchange.head();
  if (balance.key == upstream::HashKey::client_ip) {
    if (!exchange.address().is_ip()) return {};
    const auto bytes = exchange.address().bytes();
    return {upstream::hash_bytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()}),
            true};
  }
  std::string_view text;
  if (balance.key == upstream::HashKey::uri) text = path_and_query(exchange);
  if (balance.key == upstream::HashKey::header) text = head.fields.get(balance.name);
  if (balance.key == upstream::HashKey::cookie) text = cookie_value(head.fields, balance.name);
  if (text.empty()) return {};
  return {upstream::hash_bytes(text), true};
}

bool opens_tunnel(const http::Request& request, const RouteSettings& route) noexcept {
  return asks_for_tunnel(request) && any_passes(route, request.head.upgrade);
}

void settle_upgrade(pipeline::Exchange& exchange, const RouteSettings& route) {
  http::Request& request = exchange.request();
  http::RequestHead& head = request.head;
  if (head.upgrade.empty()) return;
  if (opens_tunnel(request, route)) {
    head.upgrade = those_that_pass(route, head.upgrade, exchange.arena());
    head.fields.set(FieldName::upgrade, head.upgrade);
    head.length = {};
    return;
  }
  if (asks_for_tunnel(request)) request.body.reset();
  head.upgrade = {};
}

bool leaves_upgrade_out(pipeline::Exchange& exchange, const http::Response& response) noexcept {
  return exchange.head().needs_upgrade && response.head.status >= 200 &&
         response.head.status < 300 && response.error.code() == Code::none;
}

}  // namespace revproxyd::proxy
