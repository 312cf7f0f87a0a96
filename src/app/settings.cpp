#include "revproxyd/app/settings.h"

#include <algorithm>

#include "app/assemble.h"
#include "app/settings_types.h"
#include "revproxyd/app/load.h"
#include "revproxyd/config/load_tree.h"
#include "revproxyd/config/record.h"
#include "revproxyd/config/scalars.h"
#include "revproxyd/filters/settings_types.h"
#include "revproxyd/http/target.h"
#include "revproxyd/net/settings_types.h"
#include "revproxyd/proxy/settings_types.h"
#include "revproxyd/tls/settings_types.h"
#include "revproxyd/upstream/settings_types.h"

namespace revproxyd::app {

namespace {

using config::Node;
using config::Reader;
using config::Record;
using config::Value;

config::Type<Settings> version() {
  config::Type<Settings> type;
  type.schema = config::any_of(
      {Value::map({{"enum", Value::list({Value::of_number(1), Value::of_text("1")})}}),
       config::expansion_schema()});
  type.read = [](Reader& reader, const Node& node, Settings&) {
    const std::string* text = reader.scalar(node, "a version");
    if (text == nullptr) return false;
    return *text == "1" ||
           reader.error(node, "version " + Reader::shown(node) + " is not known", "write 1");
  };
  type.write = [](const Settings&) { return Value::of_number(1); };
  return type;
}

config::Type<Settings> workers() {
  const config::Type<std::uint32_t> number = config::integer<std::uint32_t>(1, 1024);
  config::Type<Settings> type;
  type.schema = config::any_of({Value::map({{"const", Value::of_text("auto")}}), number.schema});
  type.read = [number](Reader& reader, const Node& node, Settings& out) {
    out.workers = 0;
    if (node.is_scalar() && node.text == "auto") return true;
    return number.read(reader, node, out.workers);
  };
  type.write = [number](const Settings& s) {
    return s.workers == 0 ? Value::of_word("auto") : number.write(s.workers);
  };
  return type;
}

/// Listeners begin with the global time-outs and limits, which are read before them (see
/// ordered()).
config::Type<Settings> listeners() {
  const config::Type<proxy::ListenerSettings> listener = proxy::listener_settings();
  const config::ListRules rules{"listeners", false, true};
  config::Type<Settings> type;
  type.schema = config::list(listener, rules).schema;
  type.read = [listener, rules](Reader& reader, const Node& node, Settings& out) {
    config::Type<proxy::ListenerSettings> one = listener;
    one.read = [&out, &listener](Reader& inner, const Node& item, proxy::ListenerSettings& into) {
      into.timeouts = out.timeouts;
      into.limits = out.limits;
      return listener.read(inner, item, into);
    };
    return config::list(one, rules).read(reader, node, out.listeners);
  };
  type.write = [list = config::list(listener, rules)](const Settings& s) {
    return list.write(s.listeners);
  };
  return type;
}

/// A map by name; anonymous upstreams are printed by the routes that use them.
config::Type<Settings> upstreams() {
  const config::Type<upstream::UpstreamSettings> one = upstream::upstream_settings();
  const config::Type<std::string> name = config::name_text("the name of an upstream");
  config::Type<Settings> type;
  type.schema =
      Value::map({{"type", Value::of_text("object")}, {"additionalProperties", one.schema}});
  type.read = [one, name](Reader& reader, const Node& node, Settings& out) {
    if (!reader.expect_map(node, "a map of upstreams")) return false;
    bool good = true;
    for (const config::Entry& entry : node.entries) {
      Node key;
      key.kind = config::Kind::scalar;
      key.mark = entry.mark;
      key.text = entry.key;
      upstream::UpstreamSettings settings;
      const Reader::Inside inside(reader, "upstream '" + entry.key + "'", true);
      good = name.read(reader, key, settings.name) && good;
      good = one.read(reader, entry.value, settings) && good;
      out.upstreams.push_back(std::move(settings));
    }
    return good;
  };
  type.write = [one](const Settings& s) {
    Value map = Value::map_of_names();
    for (const upstream::UpstreamSettings& settings : s.upstreams) {
      if (!proxy::is_anonymous(settings.name)) map.set(settings.name, one.write(settings));
    }
    return map;
  };
  return type;
}

/// `tls:` at the top: what the implied listener :443 gets.
config::Type<Settings> top_tls() {
  const config::Type<tls::ListenerTls> tls = tls::listener_tls();
  config::Type<Settings> type;
  type.schema = tls.schema;
  type.read = [tls](Reader& reader, const Node& node, Settings& out) {
    tls::ListenerTls read;
    if (!tls.read(reader, node, read)) return false;
    proxy::ListenerSettings secure;
    secure.tls = read;
    if (out.listeners.empty()) out.listeners.push_back(std::move(secure));
    return true;
  };
  type.write = [](const Settings&) { return Value::none(); };
  return type;
}

/// Keys that others build on come first, those that give way last.
Node ordered(Node root) {
  const auto rank = [](const config::Entry& entry) {
    if (entry.key == "timeouts" || entry.key == "limits") return 0;
    return entry.key == "tls" ? 2 : 1;
  };
  std::stable_sort(
      root.entries.begin(), root.entries.end(),
      [&](const config::Entry& a, const config::Entry& b) { return rank(a) < rank(b); });
  return root;
}

const config::Type<Settings>& description() {
  static const config::Type<Settings> kType = file_settings();
  return kType;
}

LoadResult finish(config::Tree tree, config::Report report) {
  LoadResult result;
  result.report = std::move(report);
  result.secrets = std::move(tree.secrets);
  result.settings.files = std::move(tree.files);
  // What a broken file would still say about itself is noise.
  if (tree.root.entries.empty() && !result.report.ok()) return result;
  Reader reader(result.report);
  const Node root = ordered(std::move(tree.root));
  description().read(reader, root, result.settings);
  assemble(reader, root, result.settings);
  result.secrets.merge(reader.take_secrets());
  return result;
}

}  // namespace

config::Type<Settings> file_settings() {
  using S = Settings;
  return Record<S>()
      .whole("version", version(), "The version of the format.")
      .whole("workers", workers(),
             "Threads, each with its own event loop; auto = one for each CPU.")
      .whole("listeners", listeners(), "Where clients connect.")
      .whole("tls", top_tls(), "Without listeners: TLS of the implied listener :443.")
      .field("timeouts", &S::timeouts, proxy::timeouts(), "Time-outs towards clients.")
      .field("limits", &S::limits, proxy::global_limits(), "Limits; 0 = none.")
      .field("trusted_proxies", &S::trusted_proxies, net::peers(),
             "Peers whose forwarding fields are believed: ranges, or unix for UNIX sockets.")
      .field("forwarded", &S::forwarded, config::boolean(),
             "Write Forwarded (RFC 7239) beside X-Forwarded-*.")
      .field("certificates", &S::certificates, config::list(tls::certificate(), {"certificates"}),
             "Certificates by host name.")
      .whole("upstreams", upstreams(), "Groups of servers by name.")
      .field("headers", &S::headers, filters::headers_settings(),
             "Edits of header fields on every route.")
      .field("routes", &S::routes, config::list(proxy::route_settings(), {"routes"}),
             "Which request goes where.")
      .field("access_log", &S::access_log, access_log(), "One line for each request.")
      .field("log", &S::log, log(), "Messages of the daemon itself.")
      .field("admin", &S::admin, admin(), "Control of the running daemon.")
      .field("shutdown", &S::shutdown, shutdown(), "The end of the process.")
      .field("tests", &S::tests, config::list(route_test(), {"tests"}),
             "Requests and their routes, checked by -t.")
      .later({"acme", "policies", "caches", "metrics", "tracing", "alerts", "waf", "rate_limit",
              "auth", "cache", "compress", "bots", "ip"})
      .type();
}

LoadResult load_file(const std::string& path) {
  config::Report report;
  config::Tree tree = config::load_tree(path, report);
  return finish(std::move(tree), std::move(report));
}

std::optional<AdminSettings> load_admin(const std::string& path, config::Report& report) {
  const config::Tree tree = config::load_tree(path, report);
  AdminSettings settings;
  if (const Node* node = tree.root.find("admin"); node != nullptr) {
    Reader reader(report);
    const Reader::Inside inside(reader, "admin", false);
    if (!admin().read(reader, *node, settings)) return std::nullopt;
  }
  if (!settings.configured && !tree.whole) return std::nullopt;  // it may stand in what is missing
  return settings;
}

LoadResult load_text(std::string_view text, const std::string& name) {
  config::Report report;
  config::Tree tree = config::parse_tree(text, name, report);
  return finish(std::move(tree), std::move(report));
}

LoadResult from_command_line(const std::string& listen, const std::vector<std::string>& to) {
  Value urls = Value::list();
  for (const std::string& url : to) urls.items.push_back(Value::of_text(url));
  const Value listener = Value::map({{"address", Value::of_text(listen)}});
  const Value route = Value::map({{"to", std::move(urls)}});
  const Value file =
      Value::map({{"listeners", Value::list({listener})}, {"routes", Value::list({route})}});
  return load_text(config::to_yaml(file), "command line");
}

std::string print_effective(const Settings& settings, const std::set<std::string>& secrets) {
  std::set<std::string> hidden = secrets;
  for (const std::string& secret : secrets) {
    // Ranges and addresses are printed in a form of their own.
    if (const auto range = net::Cidr::parse(secret)) hidden.insert(range->text());
    if (const auto literal = http::normal_literal(secret)) hidden.insert(*literal);
  }
  std::string out = config::to_yaml(description().write(settings), hidden);
  if (!settings.admin.configured)
    out += "# admin: { socket: " + settings.admin.socket +
           " } by default; said in the file, it must be usable\n";
  return out;
}

std::string json_schema() {
  Value expansion =
      Value::map({{"type", Value::of_text("string")}, {"pattern", Value::of_text("\\$\\{")}});
  Value number = Value::map(
      {{"type", Value::of_text("string")}, {"pattern", Value::of_text("^-?[0-9]+$|\\$\\{")}});
  Value schema = Value::map({{"$schema", Value::of_text("http://json-schema.org/draft-07/schema#")},
                             {"title", Value::of_text("revproxyd configuration")},
                             {"definitions", Value::map({{"expansion", std::move(expansion)},
                                                         {"quoted_number", std::move(number)}})}});
  const Value text = config::string_schema("a file or a pattern of files");
  Value include =
      config::any_of({text, Value::map({{"type", Value::of_text("array")}, {"items", text}})});
  include.set("description",
              Value::of_text("Further files, relative to this one, merged section by section."));
  Value file = description().schema;
  for (auto& [key, value] : file.members) {
    if (key == "properties") value.set("include", include);
    schema.set(key, std::move(value));
  }
  return config::to_json(schema);
}

}  // namespace revproxyd::app
