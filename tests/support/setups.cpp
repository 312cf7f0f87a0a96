#include "tests/support/setups.h"

namespace revproxyd::testing {

std::string forward_to(const std::string& url, std::string_view more) {
  return std::string(kPlainListener) + "routes: [ { name: all, to: '" + url + "' } ]\n" +
         std::string(more);
}

std::string balance_over(const std::vector<std::string>& urls, std::string_view settings,
                         std::string_view more) {
  std::string servers;
  for (const std::string& url : urls)
    servers += (servers.empty() ? "{ url: '" : ", { url: '") + url + "' }";
  std::string upstream = "servers: [ " + servers + " ]";
  if (!settings.empty()) upstream += ", " + std::string(settings);
  return std::string(kPlainListener) + "upstreams: { app: { " + upstream +
         " } }\nroutes: [ { name: all, to: app } ]\n" + std::string(more);
}

Proxy::Proxy(std::string_view more) : Proxy(answer_ok, more) {}

Proxy::Proxy(OriginScript script, std::string_view more)
    : origin(std::move(script)), daemon(forward_to(origin.url(), more)) {}

void answer_ok(OriginExchange& exchange) {
  exchange.read_body();
  exchange.respond("ok");
}

bool comes_to(const Daemon& daemon, const std::string& counter, std::size_t count) {
  const std::string wanted = "\"" + counter + "\":" + std::to_string(count) + ",";
  return wait_until([&] { return daemon.ctl("stats").out.find(wanted) != std::string::npos; });
}

OriginScript answer_slow_when(Gate& release) {
  return [&release](OriginExchange& exchange) {
    if (exchange.request().target == "/slow") release.wait();
    exchange.respond("ok");
  };
}

}  // namespace revproxyd::testing
