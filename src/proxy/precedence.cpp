// The order in which alternatives are tried, and the forms of their patterns.

#include <algorithm>
#include <stdexcept>
#include <tuple>

#include "revproxyd/base/arena.h"
#include "revproxyd/filters/regex.h"
#include "revproxyd/http/target.h"
#include "revproxyd/proxy/router.h"

namespace revproxyd::proxy {

namespace {

int host_order(HostKind kind) noexcept {
  switch (kind) {
    case HostKind::exact: return 0;
    case HostKind::wildcard: return 1;
    case HostKind::any: break;
  }
  return 2;
}

int path_order(PathKind kind) noexcept {
  switch (kind) {
    case PathKind::exact: return 0;
    case PathKind::prefix:
    case PathKind::glob: return 1;
    case PathKind::regex: return 2;
    case PathKind::any: break;
  }
  return 3;
}

bool before(const Alternative& a, const Alternative& b) noexcept {
  const auto key = [](const Alternative& x) {
    // Where more comes first the sign is turned.
    return std::tuple(-std::int64_t{x.priority}, host_order(x.host.kind), path_order(x.path.kind),
                      -std::int64_t{x.literal}, -std::int64_t{x.conditions}, x.route);
  };
  return key(a) < key(b);
}

std::uint32_t literal_size(const PathPattern& path) noexcept {
  if (path.kind == PathKind::prefix) return static_cast<std::uint32_t>(path.text.size() + 1);
  if (path.kind == PathKind::glob)
    return static_cast<std::uint32_t>(std::min(path.text.find('*'), path.text.size()));
  return 0;
}

std::string escape_unprintable(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

const char* stars_problem(std::string_view text) noexcept {
  while (!text.empty()) {
    text.remove_prefix(1);
    const std::string_view segment = text.substr(0, text.find('/'));
    text.remove_prefix(segment.size());
    if (segment == "**" && !text.empty()) return "'**' may only end a path";
    if (segment != "*" && segment != "**" && segment.find('*') != std::string_view::npos) {
      return "'*' must be a whole segment";
    }
  }
  return nullptr;
}

CanonicalPath refused(std::string problem) { return {{}, std::move(problem)}; }

}  // namespace

CanonicalPath canonical_path(const PathPattern& pattern) {
  if (pattern.kind == PathKind::any) return {};
  if (pattern.kind == PathKind::regex) {
    const auto regex = filters::compile_regex(pattern.text);
    return regex->ok() ? CanonicalPath{pattern, {}} : refused("bad regex: " + regex->error());
  }
  std::string_view text = pattern.text;
  if (pattern.kind == PathKind::prefix && text.ends_with('/')) text.remove_suffix(1);
  if (pattern.kind == PathKind::prefix && text.empty()) return {};
  if (!text.starts_with('/')) return refused("a path begins with '/'");
  if (text.find_first_of("?#") != std::string_view::npos)
    return refused("a path holds no '?' and no '#'");
  Arena arena;
  const std::string escaped = escape_unprintable(text);
  const auto normal = http::normalise_path(escaped, arena);
  if (!normal) return refused("bad path: " + std::string(normal.error().text()));
  CanonicalPath canonical{{pattern.kind, std::string(normal->text)}, {}};
  if (pattern.kind == PathKind::glob) {
    if (const char* problem = stars_problem(normal->text)) return refused(problem);
  }
  return canonical;
}

std::uint32_t condition_count(const MatchSettings& match) noexcept {
  const std::size_t maps = match.headers.size() + match.query.size() + match.cookies.size();
  return static_cast<std::uint32_t>(maps) + (match.methods.empty() ? 0u : 1u) +
         (match.sources.empty() ? 0u : 1u) + (match.listeners.empty() ? 0u : 1u) +
         (match.scheme ? 1u : 0u);
}

std::vector<Alternative> precedence(const std::vector<RouteSettings>& routes) {
  static const std::vector<HostPattern> kAnyHost{HostPattern{}};
  static const std::vector<PathPattern> kAnyPath{PathPattern{}};
  std::vector<Alternative> all;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const RouteSettings& route = routes[i];
    const std::uint32_t conditions = condition_count(route.match);
    for (const PathPattern& written : route.match.paths.empty() ? kAnyPath : route.match.paths) {
      // Of a regex the router finds out when it compiles it, which costs.
      CanonicalPath path =
          written.kind == PathKind::regex ? CanonicalPath{written, {}} : canonical_path(written);
      if (!path.problem.empty()) {
        throw std::invalid_argument("route " + route.name + ": path " + written.text + ": " +
                                    path.problem);
      }
      const std::uint32_t literal = literal_size(path.pattern);
      for (const HostPattern& host : route.match.hosts.empty() ? kAnyHost : route.match.hosts) {
        all.push_back({i, host, path.pattern, route.priority, literal, conditions});
      }
    }
  }
  std::stable_sort(all.begin(), all.end(), before);
  return all;
}

}  // namespace revproxyd::proxy
