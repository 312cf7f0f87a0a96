#include "filters/path_rewrite.h"

#include <algorithm>
#include <stdexcept>

#include "revproxyd/base/ascii.h"
#include "revproxyd/http/target.h"

namespace revproxyd::filters {

namespace {

constexpr std::string_view kQueryData = "&;=+#";  // of a group that becomes data of a query

/// Fills memory that is known to suffice: three bytes for each that may be escaped.
class Writer {
 public:
  explicit Writer(char* begin) noexcept : begin_(begin), end_(begin) {}

  void add(std::string_view text) noexcept { end_ = std::copy(text.begin(), text.end(), end_); }
  /// Escapes what is not printable ASCII or is one of `also`.
  void add_escaped(std::string_view text, std::string_view also) noexcept {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    for (char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte > 0x20 && byte < 0x7f && also.find(c) == std::string_view::npos) {
        *end_++ = c;
        continue;
      }
      *end_++ = '%';
      *end_++ = kHex[byte >> 4];
      *end_++ = kHex[byte & 15];
    }
  }
  std::string_view text() const noexcept {
    return {begin_, static_cast<std::size_t>(end_ - begin_)};
  }

 private:
  char* begin_;
  char* end_;
};

/// `text` with everything escaped that is not printable ASCII.
std::string escaped(std::string_view text) {
  std::string out(3 * text.size(), '\0');
  Writer writer(out.data());
  writer.add_escaped(text, {});
  out.resize(writer.text().size());
  return out;
}

bool has_bad_escape(std::string_view text) noexcept {
  for (std::size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 1)) {
    if (at + 2 >= text.size() || ascii::hex_value(text[at + 1]) < 0 ||
        ascii::hex_value(text[at + 2]) < 0)
      return true;
  }
  return false;
}

bool has_encoded_slash(std::string_view path) noexcept {
  for (std::size_t at = path.find('%'); at != std::string_view::npos; at = path.find('%', at + 1)) {
    const std::string_view digits = path.substr(at + 1, 2);
    if (ascii::iequals(digits, "2f") || ascii::iequals(digits, "5c")) return true;
  }
  return false;
}

/// `text` as a normalised prefix without trailing slash, or nothing when it is no path.
struct Prefix {
  std::string text;
  bool good = true;
};
Prefix normal_prefix(std::string_view text) {
  if (text.empty()) return {};
  if (!text.starts_with('/') || text.find_first_of("?#*") != std::string_view::npos)
    return {{}, false};
  Arena arena;
  const std::string printable = escaped(text);
  const auto normal = http::normalise_path(printable, arena);
  if (!normal) return {{}, false};
  std::string_view out = normal->text;
  if (out.ends_with('/')) out.remove_suffix(1);
  return {std::string(out), true};
}

std::string template_problem(std::string_view to, int groups) {
  if (to.empty()) return "'to' is missing";
  if (to.front() != '/' && (to.front() != '\\' || to.starts_with("\\\\")))
    return "'to' begins with '/' or a group";
  if (to.find('#') != std::string_view::npos) return "'to' holds no '#'";
  if (has_bad_escape(to)) return "'to' has a bad escape";
  for (std::size_t at = to.find('\\'); at != std::string_view::npos; at = to.find('\\', at + 2)) {
    const char next = at + 1 < to.size() ? to[at + 1] : '\0';
    if (next == '\\') continue;
    if (next < '1' || next > '9')
      return "'to' has a backslash that is neither a group (\\1 to \\9) nor \\\\";
    if (next - '0' > groups) return std::string("the regex has no group ") + next;
  }
  return {};
}

bool begins_with_segments(std::string_view path, std::string_view prefix) noexcept {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

}  // namespace

std::string rewrite_problem(const RewriteSettings& settings) {
  if (!normal_prefix(settings.strip_prefix).good) return "strip_prefix is no path";
  if (!normal_prefix(settings.add_prefix).good) return "add_prefix is no path";
  if (settings.regex.empty()) return settings.to.empty() ? std::string() : "'to' without 'regex'";
  const auto regex = compile_regex(settings.regex);
  if (!regex->ok()) return "bad regex: " + regex->error();
  return template_problem(settings.to, regex->NumberOfCapturingGroups());
}

PathRewrite::PathRewrite(const RewriteSettings& settings) {
  if (std::string problem = rewrite_problem(settings); !problem.empty())
    throw std::invalid_argument(problem);
  strip_ = normal_prefix(settings.strip_prefix).text;
  add_ = normal_prefix(settings.add_prefix).text;
  writes_encoded_slash_ = has_encoded_slash(add_);
  if (settings.regex.empty()) return;
  regex_ = compile_regex(settings.regex);
  const std::string_view to = settings.to;
  const std::size_t mark = to.find('?');
  to_path_ = parse_template(to.substr(0, mark));
  for (const Part& part : to_path_)
    writes_encoded_slash_ = writes_encoded_slash_ || has_encoded_slash(part.literal);
  if (mark == std::string_view::npos) return;
  replaces_query_ = true;
  to_query_ = parse_template(to.substr(mark + 1));
}

std::vector<PathRewrite::Part> PathRewrite::parse_template(std::string_view text) {
  std::vector<Part> parts(1);
  while (!text.empty()) {
    if (text.front() != '\\') {
      parts.back().literal += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (text[1] == '\\') {
      parts.back().literal += "%5C";
    } else {
      parts.back().group = static_cast<std::size_t>(text[1] - '0');
      parts.emplace_back();
    }
    text.remove_prefix(2);
  }
  for (Part& part : parts) part.literal = escaped(part.literal);
  return parts;
}

std::string_view PathRewrite::expand(const std::vector<Part>& parts, const Groups& groups,
                                     std::string_view also, Arena& arena) {
  std::size_t bound = 0;
  for (const Part& part : parts) {
    bound += part.literal.size() + (part.group != 0 ? 3 * groups[part.group].size() : 0);
  }
  Writer out(arena.text(bound));
  for (const Part& part : parts) {
    out.add(part.literal);
    if (part.group != 0)
      out.add_escaped({groups[part.group].data(), groups[part.group].size()}, also);
  }
  return out.text();
}

Result<RewrittenTarget> PathRewrite::apply(std::string_view path, std::string_view query,
                                           bool has_query, Arena& arena) const {
  RewrittenTarget out{false, {}, path, query, has_query};
  if (!path.starts_with('/')) return out;
  if (!strip_.empty() && begins_with_segments(path, strip_)) {
    out.path.remove_prefix(strip_.size());
    if (out.path.empty()) out.path = "/";
    out.edited = true;
  }
  if (!add_.empty()) {
    out.path = arena.join(add_, out.path);
    out.edited = true;
  }
  Groups groups;
  if (regex_ &&
      regex_->Match(out.path, 0, out.path.size(), re2::RE2::UNANCHORED, groups.data(), kGroups)) {
    if (replaces_query_) {
      out.query = expand(to_query_, groups, kQueryData, arena);
      out.has_query = !out.query.empty();
    }
    // Groups cut where they like, so what they are joined to may hold "//", dot segments or new
    // escapes.
    const std::string_view joined = arena.join("/", expand(to_path_, groups, "?#", arena));
    const auto normal = http::normalise_path(joined, arena);
    if (!normal) return Error(Code::malformed_request, "rewrite gives a bad path");
    if (normal->encoded_slash && !writes_encoded_slash_ && !has_encoded_slash(path)) {
      return Error(Code::encoded_slash, "rewrite gives an encoded slash");
    }
    out.path = normal->text;
    out.edited = true;
  }
  if (out.edited) out.target = out.has_query ? arena.join(out.path, "?", out.query) : out.path;
  return out;
}

}  // namespace revproxyd::filters
