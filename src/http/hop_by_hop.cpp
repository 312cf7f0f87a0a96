#include "revproxyd/http/hop_by_hop.h"

#include "revproxyd/base/ascii.h"

namespace revproxyd::http {

namespace {

constexpr FieldNames kHopByHop = names_of(
    {FieldName::connection, FieldName::keep_alive, FieldName::proxy_connection, FieldName::te,
     FieldName::trailer, FieldName::transfer_encoding, FieldName::upgrade,
     FieldName::http2_settings, FieldName::proxy_authenticate, FieldName::proxy_authorization});

// A peer that could name these would decide what the next hop believes about it.
constexpr FieldNames kKept = names_of(
    {FieldName::host, FieldName::content_length, FieldName::authorization, FieldName::cookie,
     FieldName::client_cert, FieldName::client_cert_chain, FieldName::forwarded, FieldName::via,
     FieldName::x_forwarded_for, FieldName::x_forwarded_host, FieldName::x_forwarded_port,
     FieldName::x_forwarded_proto, FieldName::x_real_ip, FieldName::x_request_id});

// RFC 9110 section 6.5.1 forbids what frames, routes, authenticates, modifies the request or says
// how to process the content. Of the names known here these three are none of that; the rest stay
// out.
constexpr FieldNames kTrailers =
    names_of({FieldName::etag, FieldName::last_modified, FieldName::proxy_status});

constexpr std::string_view kNoTrailers[] = {
    "Content-Disposition",     "Content-Language",          "Content-Location",
    "Content-Security-Policy", "Strict-Transport-Security", "Warning",
    "X-HTTP-Method-Override",
};

constexpr std::string_view kNoTrailerPrefixes[] = {"Proxy-", "X-Forwarded-", "Access-Control-"};

bool value_has_token(std::string_view list, std::string_view token) noexcept {
  while (!list.empty()) {
    if (ascii::iequals(next_element(list), token)) return true;
  }
  return false;
}

struct Named {
  FieldNames known = 0;
  bool others = false;
};

// What Connection names: the known ones as bits, so that the usual field is judged without
// comparing text.
Named named_by_connection(const Fields& fields) noexcept {
  Named named;
  if (!fields.has(FieldName::connection)) return named;
  for (const Field& field : fields) {
    if (field.known != FieldName::connection) continue;
    std::string_view list = field.value;
    while (!list.empty()) {
      const FieldName known = lookup(next_element(list));
      if (known == FieldName::unknown) named.others = true;
      named.known |= names_of({known});
    }
  }
  return named;
}

// A protocol that was offered without a version is offered in any.
bool offers(std::string_view list, std::string_view protocol) noexcept {
  const std::string_view name = protocol.substr(0, protocol.find('/'));
  while (!list.empty()) {
    const std::string_view offered = next_element(list);
    if (offered.empty()) continue;
    if (ascii::iequals(offered, protocol) || ascii::iequals(offered, name)) return true;
  }
  return false;
}

}  // namespace

std::string_view next_element(std::string_view& list) noexcept {
  const std::size_t comma = list.find(',');
  const std::string_view element = ascii::trim(list.substr(0, comma));
  list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  return element;
}

void remove_hop_by_hop(Fields& fields) {
  const Named named = named_by_connection(fields);
  const FieldNames known = kHopByHop | (named.known & ~kKept);
  if (named.others) {
    // Connection itself must still be there while the others are looked up in it.
    const Fields& list = fields;
    std::string_view doomed[kMostConnectionOptions];
    std::size_t count = 0;
    for (const Field& field : list) {
      if (field.known != FieldName::connection) continue;
      std::string_view rest = field.value;
      while (!rest.empty() && count < kMostConnectionOptions) {
        const std::string_view token = next_element(rest);
        if (!token.empty() && lookup(token) == FieldName::unknown) doomed[count++] = token;
      }
    }
    fields.remove_if([&](const Field& field) {
      if (field.known != FieldName::unknown) return false;
      for (std::size_t i = 0; i < count; ++i) {
        if (ascii::iequals(field.name, doomed[i])) return true;
      }
      return false;
    });
  }
  fields.remove_all(known);
}

bool list_has_token(const Fields& fields, FieldName field, std::string_view token) noexcept {
  if (!fields.has(field)) return false;
  for (const Field& candidate : fields) {
    if (candidate.known == field && value_has_token(candidate.value, token)) return true;
  }
  return false;
}

bool switches_as_offered(const Fields& fields, std::string_view offered) noexcept {
  bool named = false;
  for (const Field& field : fields) {
    if (field.known != FieldName::upgrade) continue;
    for (std::string_view list = field.value; !list.empty();) {
      const std::string_view protocol = next_element(list);
      if (protocol.empty()) continue;
      if (!offers(offered, protocol)) return false;
      named = true;
    }
  }
  return named;
}

bool allowed_in_trailer(const Field& field) noexcept {
  if (field.known != FieldName::unknown) return holds(kTrailers, field.known);
  for (std::string_view name : kNoTrailers) {
    if (ascii::iequals(field.name, name)) return false;
  }
  for (std::string_view prefix : kNoTrailerPrefixes) {
    if (ascii::iequals(field.name.substr(0, prefix.size()), prefix)) return false;
  }
  return true;
}

}  // namespace revproxyd::http
