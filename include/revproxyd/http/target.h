#pragma once
// The request target (RFC 9112 section 3.2) and the two forms of its path: the bytes that are
// forwarded and the normalised form that rules are matched against.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "revproxyd/base/arena.h"
#include "revproxyd/base/result.h"

namespace revproxyd::http {

enum class TargetForm : std::uint8_t { origin, absolute, authority, asterisk };

struct Target {
  TargetForm form = TargetForm::origin;
  std::string_view scheme;     // absolute form only, lower case
  std::string_view authority;  // absolute and authority form only, as sent
  std::string_view path;   // raw bytes, without the query; "/" when an absolute form has none; "*"
                           // for the asterisk form and for OPTIONS of an absolute form with neither
                           // path nor query (RFC 9112 section 3.2.4)
  std::string_view query;  // raw bytes after '?', without it
  bool has_query = false;  // tells "/a?" from "/a"
};

/// Splits a raw request target. Refuses fragments, bytes outside 0x21..0x7e, userinfo, a form that
/// does not fit `connect` (CONNECT takes only the authority form), and an asterisk unless
/// `options`. Views point into `raw`.
Result<Target> parse_target(std::string_view raw, bool connect, bool options);

/// A path in the form that rules see: escapes of unreserved characters decoded, hex in upper case,
/// "//" merged, "." and ".." segments resolved (RFC 3986 section 6.2.2). A ".." that climbs over
/// the root, a bad escape, an encoded or raw control character, a raw backslash, '#' or '?' is
/// malformed. %2F and %5C stay escaped and are reported.
struct NormalPath {
  std::string_view text;
  bool encoded_slash = false;
};
/// `text` is `raw` itself when that is normal already, else it lives in `arena`.
Result<NormalPath> normalise_path(std::string_view raw, Arena& arena);

/// An IPv6 address in brackets, in the form of RFC 5952 and with its brackets; nothing for what is
/// none.
std::optional<std::string> normal_literal(std::string_view host);

/// Host and port of an authority or Host value.
struct Authority {
  std::string_view host;   // lower case, without a trailing dot; an IPv6 literal in its normal form
  std::uint16_t port = 0;  // 0 when absent
};
/// RFC 3986 section 3.2.2 without userinfo: a name of unreserved characters and no empty label,
/// IPv4, or a bracketed IPv6 literal that inet_pton takes; port 1..65535. The percent-encoding and
/// sub-delims that a reg-name may hold by the letter are refused: no name in use has them, and
/// readers of such a Host differ. `host` is a view of `text` when that needs no change, else it
/// lives in `arena`.
Result<Authority> parse_authority(std::string_view text, Arena& arena);

}  // namespace revproxyd::http
