#include "app/assemble.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "revproxyd/config/suggest.h"
#include "revproxyd/filters/settings_types.h"
#include "revproxyd/net/settings_types.h"
#include "revproxyd/proxy/settings_types.h"

namespace revproxyd::app {

namespace {

using config::Node;
using config::Reader;

/// Of the global `headers`, in bytes over all routes.
constexpr std::size_t kMostCopies = 64u << 20;

/// One pass over the settings for each kind of reference.
class Assembly {
 public:
  Assembly(Reader& reader, const Node& root, Settings& settings)
      : reader_(reader), root_(root), settings_(settings) {}

  void run() {
    listeners();
    sockets_apart();
    routes();
    upstreams();
  }

 private:
  /// The nth thing in a section, or what it has under `key`; the section or the file if there is
  /// none.
  const Node& at(std::string_view section, std::size_t index, std::string_view key = {}) const {
    const Node* list = root_.find(section);
    if (list == nullptr) return root_;
    if (index >= list->items.size()) return *list;
    const Node& item = list->items[index];
    const Node* value = key.empty() ? nullptr : item.find(key);
    return value == nullptr ? item : *value;
  }
  std::string place(std::string_view section, std::size_t index) const {
    return reader_.report().place(at(section, index).mark);
  }
  /// What says how a listener is called.
  const Node& name_of_listener(std::size_t index) const {
    const Node& name = at("listeners", index, "name");
    return name.is_scalar() ? name : at("listeners", index, "address");
  }
  /// Which of the words `node` may mean, unless that would tell a secret.
  static std::string near(const Node& node, const std::vector<std::string_view>& words) {
    return node.secret ? std::string() : config::did_you_mean(node.text, words);
  }

  void listeners() {
    if (root_.find("listeners") == nullptr)
      imply_listeners();
    else if (const Node* tls = root_.find("tls"); tls != nullptr)
      reader_.error(*tls, "'tls' at the top is for files without 'listeners'",
                    "move it to a listener");
    std::map<std::string, std::size_t> names;
    std::map<std::string, std::size_t> addresses;
    bool has_tls = false;
    for (std::size_t i = 0; i < settings_.listeners.size(); ++i) {
      proxy::ListenerSettings& one = settings_.listeners[i];
      has_tls = has_tls || one.tls.has_value();
      if (one.address.text.empty()) continue;  // its address was refused
      const Node& named = name_of_listener(i);
      if (one.name.empty()) one.name = one.address.text;
      if (const auto [first, fresh] = names.emplace(one.name, i); !fresh)
        reader_.error(named, "two listeners are called " + Reader::shown(named, one.name),
                      "the other is at " + place("listeners", first->second));
      unique_address(one, i, addresses);
    }
    for (std::size_t i = 0; i < settings_.listeners.size(); ++i)
      needs(settings_.listeners[i], i, has_tls);
    unused_certificates();
  }

  void unused_certificates() {
    const auto shows = [](const proxy::ListenerSettings& one) {
      return one.tls && !one.tls->internal;
    };
    if (settings_.certificates.empty() || !reader_.report().ok() ||
        std::ranges::any_of(settings_.listeners, shows))
      return;
    reader_.warning(at("certificates", 0).mark,
                    "'certificates' has no effect: no listener has a 'tls' that shows them");
  }

  void unique_address(const proxy::ListenerSettings& one, std::size_t index,
                      std::map<std::string, std::size_t>& addresses) {
    const net::BindAddress& address = one.address;
    if (address.path.empty() && address.port == 0) return;  // the kernel gives each its own
    for (const std::string& host : hosts_of(address)) {
      const std::string key =
          net::normal_path(address.path) + "|" + host + "|" + std::to_string(address.port);
      const auto [first, fresh] = addresses.emplace(key, index);
      if (fresh) continue;
      const Node& where = at("listeners", index, "address");
      reader_.error(where, "two listeners at " + Reader::shown(where, address.text),
                    "the other is at " + place("listeners", first->second));
      return;
    }
  }

  /// What it is bound to, however it is written; all interfaces are those of both families.
  static std::vector<std::string> hosts_of(const net::BindAddress& address) {
    if (address.path.empty() && address.host.empty()) return {"0.0.0.0", "::"};
    const auto known = net::Address::ip(address.host, 0);
    return {known ? known->host() : std::string()};
  }

  /// A path at which a socket is made can be nothing else.
  void sockets_apart() {
    const std::string socket = net::normal_path(settings_.admin.socket);
    const std::set<std::string> logs{net::normal_path(settings_.log.path),
                                     net::normal_path(settings_.access_log.path)};
    for (std::size_t i = 0; i < settings_.listeners.size(); ++i) {
      const std::string& path = settings_.listeners[i].address.path;
      if (path.empty()) continue;
      const Node& where = at("listeners", i, "address");
      if (net::normal_path(path) == socket)
        reader_.error(where, "the admin socket is at " + Reader::shown(where, path) + ", too");
      if (logs.count(net::normal_path(path)) != 0)
        reader_.error(where, "a log is written to " + Reader::shown(where, path) + ", too");
    }
    const Node* admin = root_.find("admin");
    if (admin == nullptr || logs.count(socket) == 0) return;
    const Node* where = admin->find("socket");
    reader_.error(*admin,
                  "a log is written to " +
                      Reader::shown(where == nullptr ? *admin : *where, settings_.admin.socket) +
                      ", too");
  }

  void needs(const proxy::ListenerSettings& one, std::size_t index, bool has_tls) {
    if (one.redirect_https && !has_tls)
      reader_.error(at("listeners", index, "redirect"),
                    "'redirect: https' without a TLS listener to redirect to");
    if (one.redirect_https) several_to_redirect_to(index);
    if (one.tls && !one.tls->internal && settings_.certificates.empty() &&
        root_.find("certificates") == nullptr)
      reader_.error(at("listeners", index, "tls"), "a TLS listener without certificates",
                    "add 'certificates', or write tls: internal");
  }

  /// Clients look for none of them at its port; the first is a guess.
  void several_to_redirect_to(std::size_t index) {
    const proxy::ListenerSettings* chosen = proxy::https_listener(settings_.listeners);
    if (chosen == nullptr || chosen->address.port == proxy::kHttpsPort) return;
    const auto elsewhere = [&](const proxy::ListenerSettings& other) {
      return other.tls && other.address.path.empty() && other.address.port != chosen->address.port;
    };
    if (std::ranges::none_of(settings_.listeners, elsewhere)) return;
    const auto which = static_cast<std::size_t>(chosen - settings_.listeners.data());
    reader_.warning(at("listeners", index, "redirect").mark,
                    "'redirect: https' leads to the first of several TLS listeners, none of which "
                    "is at port 443",
                    "it is at " + place("listeners", which));
  }

  /// Without `listeners`: :80 redirects to :443.
  void imply_listeners() {
    const bool secure = !settings_.listeners.empty();  // `tls:` at the top left one
    if (!secure && root_.find("certificates") == nullptr) {
      if (root_.find("tls") == nullptr)
        reader_.error(config::Mark{root_.mark.source, 0, 0, 0}, "no listeners",
                      "add 'listeners', or 'certificates' for :80 and :443");
      return;
    }
    proxy::ListenerSettings https =
        secure ? settings_.listeners.front() : proxy::ListenerSettings{};
    proxy::ListenerSettings http;
    if (!https.tls)
      https.tls.emplace().at = config::place_of(reader_.report(), root_, "certificates");
    https.address = *net::parse_bind_address(":443").value;
    http.address = *net::parse_bind_address(":80").value;
    http.redirect_https = true;
    for (proxy::ListenerSettings* one : {&http, &https}) {
      one->timeouts = settings_.timeouts;
      one->limits = settings_.limits;
    }
    settings_.listeners = {std::move(http), std::move(https)};
  }

  /// Each route has a copy of the global edits.
  void copies_of_headers() {
    const std::size_t size = filters::bytes_of(settings_.headers) * settings_.routes.size();
    if (size <= kMostCopies) return;
    reader_.error(*root_.find("headers"), "'headers', which each of " +
                                              std::to_string(settings_.routes.size()) +
                                              " routes copies, take more than 64 MiB in all");
    settings_.headers = {};
  }

  void routes() {
    copies_of_headers();
    std::unordered_map<std::string, std::size_t> names;
    std::set<std::string> listener_names;
    for (const proxy::ListenerSettings& one : settings_.listeners) listener_names.insert(one.name);
    for (const upstream::UpstreamSettings& one : settings_.upstreams) know(one);
    if (const Node* map = root_.find("upstreams"); map != nullptr) {
      for (const config::Entry& entry : map->entries) known_.insert(entry.key);
    }
    for (std::size_t i = 0; i < settings_.routes.size(); ++i) {
      proxy::RouteSettings& route = settings_.routes[i];
      if (route.name.empty()) route.name = "route-" + std::to_string(i + 1);
      const Node& named = at("routes", i, "name");
      if (const auto [first, fresh] = names.emplace(route.name, i); !fresh)
        reader_.error(named, "two routes are called " + Reader::shown(named, route.name),
                      "the other is at " + place("routes", first->second));
      route.headers = filters::merged(settings_.headers, route.headers);
      for (std::size_t n = 0; n < route.match.listeners.size(); ++n) {
        if (listener_names.count(route.match.listeners[n]) == 0)
          unknown_listener({i, n}, route.match.listeners[n]);
      }
      targets(i, route);
      upgrades(i, route);
    }
    if (settings_.routes.empty() && root_.find("routes") == nullptr)
      reader_.warning(config::Mark{root_.mark.source, 0, 0, 0},
                      "no routes: every request gets 404");
    if (const Node* list = root_.find("routes");
        list != nullptr && list->items.size() == settings_.routes.size())
      check_reachable(reader_, list->items, settings_);
    tests(names);
  }

  /// `at`: the route, and which of the listeners that it names.
  void unknown_listener(std::pair<std::size_t, std::size_t> at, const std::string& name) {
    const Node& item = root_.find("routes")->items[at.first];
    const Node* match = item.find("match");
    const Node* where = match == nullptr ? nullptr : match->find("listener");
    if (where != nullptr && at.second < where->items.size()) where = &where->items[at.second];
    std::vector<std::string_view> words;
    for (std::size_t i = 0; i < settings_.listeners.size(); ++i) {
      if (!name_of_listener(i).secret) words.push_back(settings_.listeners[i].name);
    }
    if (where == nullptr) where = &item;
    reader_.error(*where, "no listener is called " + Reader::shown(*where, name),
                  near(*where, words));
  }

  void targets(std::size_t index, const proxy::RouteSettings& route) {
    for (std::size_t i = 0; i < route.targets.size(); ++i) {
      const std::string& name = route.targets[i].upstream;
      if (name.empty()) continue;  // reported while reading
      used_.insert(name);
      if (known_.count(name) != 0) continue;
      if (proxy::is_anonymous(name))
        anonymous(name);
      else
        unknown_upstream(index, i, name);
    }
  }

  void anonymous(const std::string& name) {
    upstream::UpstreamSettings made;
    made.name = name;
    for (const std::string& url : proxy::anonymous_urls(name)) {
      upstream::ServerSettings server;
      server.url = *net::parse_server_url(url).value;
      made.servers.push_back(std::move(server));
    }
    know(made);
    settings_.upstreams.push_back(std::move(made));
  }

  void know(const upstream::UpstreamSettings& one) {
    known_.insert(one.name);
    const auto http2 = [&](const upstream::ServerSettings& server) {
      return server.url.scheme == net::Scheme::h2c || one.protocol == upstream::Protocol::http2;
    };
    if (std::ranges::all_of(one.servers, http2) && !one.servers.empty()) http2_.insert(one.name);
  }

  /// HTTP/2 has no upgrade, so a request for one goes to such servers without it.
  void upgrades(std::size_t index, proxy::RouteSettings& route) {
    route.upgrade_idle = !route.targets.empty() &&
                         std::ranges::all_of(route.targets, [&](const proxy::SplitTarget& target) {
                           return http2_.contains(target.upstream);
                         });
    if (!route.upgrade_idle || route.upgrade.empty()) return;
    for (const config::Entry& entry : at("routes", index).entries) {
      if (entry.key != "upgrade") continue;
      reader_.warning(entry.mark, "'upgrade' has no effect in route " +
                                      Reader::shown(at("routes", index, "name"), route.name) +
                                      ": its servers are spoken to by HTTP/2 alone");
    }
  }

  void unknown_upstream(std::size_t index, std::size_t target, const std::string& name) {
    const Node& item = root_.find("routes")->items[index];
    const Node* where = item.find("to");
    if (const Node* split = item.find("split");
        where == nullptr && split != nullptr && target < split->items.size())
      where = split->items[target].find("to");
    std::vector<std::string_view> words;
    for (const std::string& one : known_) {
      if (!proxy::is_anonymous(one)) words.push_back(one);
    }
    std::sort(words.begin(), words.end());
    if (where == nullptr) where = &item;
    reader_.error(*where, "no upstream is called " + Reader::shown(*where, name),
                  near(*where, words));
  }

  void tests(const std::unordered_map<std::string, std::size_t>& names) {
    for (std::size_t i = 0; i < settings_.tests.size(); ++i) {
      const RouteTest& test = settings_.tests[i];
      if (!test.route || names.count(*test.route) != 0) continue;
      std::vector<std::string_view> words;
      for (const auto& [name, index] : names) {
        if (!at("routes", index, "name").secret) words.push_back(name);
      }
      std::sort(words.begin(), words.end());
      const Node& where = *at("tests", i, "expect").find("route");
      reader_.error(where, "no route is called " + Reader::shown(where, *test.route),
                    near(where, words));
    }
  }

  void upstreams() {
    const Node* map = root_.find("upstreams");
    if (map == nullptr) return;
    for (const config::Entry& entry : map->entries) {
      if (used_.count(entry.key) == 0)
        reader_.warning(entry.mark, "upstream '" + entry.key + "' is not used by any route");
    }
  }

  Reader& reader_;
  const Node& root_;
  Settings& settings_;
  std::unordered_set<std::string> known_;  // upstreams, named and anonymous
  std::unordered_set<std::string> http2_;  // those of known_ whose servers all speak HTTP/2
  std::unordered_set<std::string> used_;
};

}  // namespace

void assemble(Reader& reader, const Node& root, Settings& settings) {
  Assembly(reader, root, settings).run();
}

}  // namespace revproxyd::app
