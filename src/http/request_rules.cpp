#include "http/request_rules.h"

#include "revproxyd/base/ascii.h"

namespace revproxyd::http {

namespace {

Error malformed(const char* text) noexcept {
  return Error(Code::malformed_request, Side::downstream, text);
}

// RFC 9112 section 3.2: one valid Host in HTTP/1.1, at most one before; an absolute target
// overrules it (section 3.2.2).
Result<void> read_authority(RequestHead& head, Arena& arena) {
  Authority authority;
  if (const Field* host = head.fields.find(FieldName::host)) {
    if (head.fields.count(FieldName::host) > 1) return malformed("several host fields");
    const auto parsed = parse_authority(host->value, arena);
    if (!parsed) return parsed.error();
    head.authority = host->value;
    authority = *parsed;
  } else if (head.version != Version::http10) {
    return malformed("no host field");
  }
  if (!head.target.authority.empty()) {
    const auto parsed = parse_authority(head.target.authority, arena);
    if (!parsed) return parsed.error();
    if (head.method == Method::connect && parsed->port == 0) {
      return malformed("CONNECT without a port");
    }
    head.authority = head.target.authority;
    head.fields.set(FieldName::host, head.authority);
    authority = *parsed;
  }
  head.host = authority.host;
  head.port = authority.port;
  return {};
}

}  // namespace

Result<void> read_target(RequestHead& head, Arena& arena) {
  const auto target =
      parse_target(head.raw_target, head.method == Method::connect, head.method == Method::options);
  if (!target) return target.error();
  head.target = *target;
  if (auto authority = read_authority(head, arena); !authority) return authority.error();
  if (!head.target.path.starts_with('/')) {
    head.path = head.target.path;
    return {};
  }
  const auto path = normalise_path(head.target.path, arena);
  if (!path) return path.error();
  head.path = path->text;
  head.encoded_slash = path->encoded_slash;
  return {};
}

// RFC 9110 section 10.1.1. HTTP/1.0 clients cannot expect a 100, so theirs is ignored.
Result<void> read_expectation(RequestHead& head) noexcept {
  if (!head.fields.has(FieldName::expect)) return {};
  for (const Field& field : head.fields) {
    if (field.known != FieldName::expect) continue;
    if (!ascii::iequals(field.value, "100-continue")) {
      return Error(Code::expectation_failed, Side::downstream,
                   "expectation other than 100-continue");
    }
  }
  head.expect_continue = head.version != Version::http10;
  return {};
}

}  // namespace revproxyd::http
