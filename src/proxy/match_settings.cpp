#include "proxy/match_settings.h"

#include <algorithm>

#include "revproxyd/base/ascii.h"
#include "revproxyd/config/record.h"
#include "revproxyd/config/scalars.h"
#include "revproxyd/filters/settings_types.h"
#include "revproxyd/http/target.h"
#include "revproxyd/net/settings_types.h"
#include "revproxyd/proxy/router.h"
#include "revproxyd/proxy/settings_types.h"
#include "revproxyd/tls/settings_types.h"

namespace revproxyd::proxy {

namespace {

using config::Node;
using config::Reader;
using config::Record;
using config::Value;

bool bad_path(Reader& reader, const Node& node, std::string hint) {
  return reader.error(node, Reader::shown(node) + " is not a path pattern", std::move(hint));
}

/// Paths are matched normalised, so a pattern that no normalised path has would never match.
std::string path_problem(std::string_view path) {
  if (path.empty() || path.front() != '/') return "write /exact, /prefix/**, /a/*/b or ~regex";
  if (path.find_first_of("?#") != std::string_view::npos)
    return "a pattern has no query or fragment";
  if (path.find("//") != std::string_view::npos) return "paths are matched with '//' merged";
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto c = static_cast<unsigned char>(path[i]);
    if (c <= 0x20 || c >= 0x7F) return "encode blanks and letters beyond ASCII";
    const bool escape = c == '%' && i + 2 < path.size() && ascii::hex_value(path[i + 1]) >= 0 &&
                        ascii::hex_value(path[i + 2]) >= 0;
    if (c == '%' && !escape) return "'%' begins two hexadecimal digits";
    if (escape && (ascii::to_lower(path[i + 1]) == path[i + 1] && ascii::is_alpha(path[i + 1])))
      return "hexadecimal digits are in upper case";
    if (escape && (ascii::to_lower(path[i + 2]) == path[i + 2] && ascii::is_alpha(path[i + 2])))
      return "hexadecimal digits are in upper case";
    if (!escape) continue;
    const int code = ascii::hex_value(path[i + 1]) * 16 + ascii::hex_value(path[i + 2]);
    const char decoded = static_cast<char>(code);
    const bool unreserved =
        code < 0x80 && (ascii::is_alpha(decoded) || ascii::is_digit(decoded) ||
                        std::string_view("-._~").find(decoded) != std::string_view::npos);
    if (unreserved) return "write the character itself instead of its escape";
  }
  return {};
}

/// '*' stands for one whole segment, "**" only for the last.
std::string star_problem(std::string_view path) {
  std::size_t begin = 1;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view segment = path.substr(begin, end - begin);
    if (segment == "**" && end != path.size()) return "'**' stands at the end only";
    if (segment == "." || segment == "..") return "paths are matched without dot segments";
    if (segment.find('*') != std::string_view::npos && segment != "*" && segment != "**")
      return "'*' stands for a whole segment";
    begin = end + 1;
  }
  return {};
}

config::Type<PathPattern> path_pattern() {
  config::Type<PathPattern> type;
  type.schema = config::string_schema("/exact, /prefix/**, /a/*/b or ~regex");
  type.read = [](Reader& reader, const Node& node, PathPattern& out) {
    const std::string* text = reader.scalar(node, "a path pattern");
    if (text == nullptr) return false;
    if (text->starts_with('~')) {
      out = {PathKind::regex, text->substr(1)};
      if (out.text.empty()) return bad_path(reader, node, "the expression is missing");
      return filters::check_regex(reader, node, out.text);
    }
    std::string problem = path_problem(*text);
    if (problem.empty()) problem = star_problem(*text);
    if (!problem.empty()) return bad_path(reader, node, std::move(problem));
    const bool rest = text->ends_with("/**");
    const std::string_view literal =
        std::string_view(*text).substr(0, text->size() - (rest ? 3 : 0));
    if (literal.find('*') != std::string_view::npos)
      out = {PathKind::glob, *text};
    else if (!rest)
      out = {PathKind::exact, *text};
    else if (literal.empty())
      out = {PathKind::any, {}};
    else
      out = {PathKind::prefix, std::string(literal)};
    // What is left to refuse is what no request gets past the parser with: an escaped NUL, dot
    // segments over the root.
    CanonicalPath canonical = canonical_path(out);
    return canonical.problem.empty() || bad_path(reader, node, std::move(canonical.problem));
  };
  type.write = [](const PathPattern& path) {
    switch (path.kind) {
      case PathKind::any: return Value::of_text("/**");
      case PathKind::prefix: return Value::of_text(path.text + "/**");
      case PathKind::regex: return Value::of_text("~" + path.text);
      case PathKind::exact:
      case PathKind::glob: return Value::of_text(path.text);
    }
    return Value::none();
  };
  return type;
}

/// An IPv6 address in the form that those of requests are brought to.
bool read_literal(Reader& reader, const Node& node, HostPattern& out) {
  auto literal = http::normal_literal(node.text);
  if (!literal)
    return reader.error(node, Reader::shown(node) + " is not an IPv6 address in brackets");
  out = {HostKind::exact, std::move(*literal)};
  return true;
}

config::Type<HostPattern> host_pattern() {
  const config::Type<std::string> name = tls::host_pattern();
  config::Type<HostPattern> type;
  type.schema = config::scalar_schema("a host name, *. and a name, or an IPv6 address in brackets");
  type.read = [name](Reader& reader, const Node& node, HostPattern& out) {
    if (node.is_scalar() && node.text.starts_with('[')) return read_literal(reader, node, out);
    std::string text;
    if (!name.read(reader, node, text)) return false;
    const bool wildcard = text.starts_with("*.");
    out = {wildcard ? HostKind::wildcard : HostKind::exact, wildcard ? text.substr(2) : text};
    return true;
  };
  type.write = [](const HostPattern& host) {
    return Value::of_text(host.kind == HostKind::wildcard ? "*." + host.name : host.name);
  };
  return type;
}

/// text, ~regex, true or false.
config::Type<ValuePattern> value_pattern() {
  config::Type<ValuePattern> type;
  type.schema = config::any_of({config::string_schema("a text or ~regex"),
                                config::Value::map({{"type", config::Value::of_text("number")}}),
                                Value::map({{"type", Value::of_text("boolean")}})});
  type.read = [](Reader& reader, const Node& node, ValuePattern& out) {
    const std::string* text = reader.scalar(node, "a text, ~regex, true or false");
    if (text == nullptr) return false;
    if (!node.quoted && (*text == "true" || *text == "false")) {
      out.kind = *text == "true" ? ValueKind::present : ValueKind::absent;
      return true;
    }
    if (!text->starts_with('~')) {
      out.text = *text;
      return true;
    }
    out.kind = ValueKind::regex;
    out.text = text->substr(1);
    return filters::check_regex(reader, node, out.text);
  };
  type.write = [](const ValuePattern& value) {
    switch (value.kind) {
      case ValueKind::present: return Value::of_bool(true);
      case ValueKind::absent: return Value::of_bool(false);
      case ValueKind::regex: return Value::of_text("~" + value.text);
      case ValueKind::text: return Value::of_text(value.text);
    }
    return Value::none();
  };
  return type;
}

/// NAME: VALUE conditions; the name goes into the pattern.
config::Type<std::vector<ValuePattern>> conditions(const config::Type<std::string>& name,
                                                   std::string_view of) {
  using Pairs = std::vector<std::pair<std::string, ValuePattern>>;
  const config::Type<Pairs> map = config::named(name, value_pattern(), of);
  config::Type<std::vector<ValuePattern>> type;
  type.schema = map.schema;
  type.read = [map](Reader& reader, const Node& node, std::vector<ValuePattern>& out) {
    Pairs pairs;
    if (!map.read(reader, node, pairs)) return false;
    for (auto& [key, pattern] : pairs) {
      pattern.name = key;
      out.push_back(std::move(pattern));
    }
    return true;
  };
  type.write = [map](const std::vector<ValuePattern>& values) {
    Pairs pairs;
    for (const ValuePattern& value : values) pairs.emplace_back(value.name, value);
    return pairs.empty() ? Value::none() : map.write(pairs);
  };
  return type;
}

config::Type<std::string> method() {
  return config::checked<std::string>(
      config::token("a method"), [](Reader& reader, const Node& node, const std::string& text) {
        if (text == "CONNECT" || text == "TRACE")
          reader.warning(node.mark,
                         Reader::shown(node) + " can never match: it is always answered with 405");
        std::string upper = text;
        for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
        return upper == text ||
               reader.error(node, Reader::shown(node) + " is not a method",
                            node.secret ? "methods are in capitals" : "write " + upper);
      });
}

/// Why no request has such a field when routes look at it; empty if one may.
std::string_view why_never_there(std::string_view field) {
  if (field.find('_') != std::string_view::npos)
    return "a request with '_' in the name of a field always gets 400";
  return {};
}

bool warn_of_fields_that_are_never_there(Reader& reader, const Node& node,
                                         const MatchSettings& match) {
  for (std::size_t i = 0; i < match.headers.size(); ++i) {
    const config::Entry& entry = node.find("header")->entries[i];
    const std::string_view why = why_never_there(entry.key);
    if (why.empty()) continue;
    const bool always = match.headers[i].kind == ValueKind::absent;
    reader.warning(entry.mark,
                   "'" + entry.key + "' " +
                       (always ? "has no effect in " + reader.context() : "can never match") +
                       ": " + std::string(why));
  }
  return true;
}

/// Lists of conditions are not printed when they say nothing.
template <typename T>
config::Type<std::vector<T>> unless_empty(config::Type<std::vector<T>> type) {
  type.write = [write = type.write](const std::vector<T>& values) {
    return values.empty() ? Value::none() : write(values);
  };
  return type;
}

template <typename T>
void sort_into(std::string& out, std::string_view label, const config::Type<T>& type,
               const std::vector<T>& values) {
  std::vector<std::string> texts;
  for (const T& value : values) texts.push_back(type.write(value).text);
  std::sort(texts.begin(), texts.end());
  out += label;
  for (const std::string& text : texts) out += text + '\n';
}

void sort_values(std::string& out, std::string_view label, const std::vector<ValuePattern>& values,
                 bool fold) {
  std::vector<std::string> texts;
  for (const ValuePattern& value : values) {
    texts.push_back((fold ? ascii::lower(value.name) : value.name) + '\t' +
                    std::to_string(static_cast<int>(value.kind)) + value.text);
  }
  std::sort(texts.begin(), texts.end());
  out += label;
  for (const std::string& text : texts) out += text + '\n';
}

}  // namespace

config::Type<std::vector<HostPattern>> host_patterns() {
  return unless_empty(config::list(host_pattern(), {"host names", true, true}));
}

config::Type<std::vector<PathPattern>> path_patterns() {
  return unless_empty(config::list(path_pattern(), {"path patterns", true, true}));
}

config::Type<MatchSettings> match_settings() {
  using M = MatchSettings;
  const auto name = config::text("a name");
  return Record<M>()
      .field("host", &M::hosts, host_patterns(),
             "Host names, exact or *.name for one label; case and port do not matter.")
      .field("path", &M::paths, path_patterns(), "Path patterns.")
      .field("method", &M::methods, unless_empty(config::list(method(), {"methods", true, true})),
             "Methods.")
      .field("header", &M::headers, conditions(config::token("a header name"), "headers"),
             "Header fields, all of them.")
      .field("query", &M::query, conditions(name, "query parameters"),
             "Query parameters, all of them.")
      .field("cookie", &M::cookies, conditions(config::token("the name of a cookie"), "cookies"),
             "Cookies, all of them.")
      .field("source", &M::sources,
             unless_empty(config::list(net::cidr(), {"address ranges", true, true})),
             "Addresses of clients.")
      .field("scheme", &M::scheme, config::optional(net::scheme()), "http or https.")
      .field("listener", &M::listeners,
             unless_empty(config::list(name, {"names of listeners", true, true})),
             "Names of listeners.")
      .check(warn_of_fields_that_are_never_there)
      .type();
}

std::string canonical(const MatchSettings& match) {
  static const config::Type<HostPattern> kHost = host_pattern();
  static const config::Type<PathPattern> kPath = path_pattern();
  static const config::Type<std::string> kText = config::text("a name");
  static const config::Type<net::Cidr> kCidr = net::cidr();
  std::vector<PathPattern> paths = match.paths;
  const auto is_any = [](const PathPattern& path) { return path.kind == PathKind::any; };
  if (std::any_of(paths.begin(), paths.end(), is_any)) paths.clear();
  std::string out;
  sort_into(out, "host\n", kHost, match.hosts);
  sort_into(out, "path\n", kPath, paths);
  sort_into(out, "method\n", kText, match.methods);
  sort_values(out, "header\n", match.headers, true);
  sort_values(out, "query\n", match.query, false);
  sort_values(out, "cookie\n", match.cookies, false);
  sort_into(out, "source\n", kCidr, match.sources);
  sort_into(out, "listener\n", kText, match.listeners);
  return out + "scheme\n" + (match.scheme ? std::to_string(static_cast<int>(*match.scheme)) : "");
}

}  // namespace revproxyd::proxy
