#pragma once
// Fields that end at this hop (RFC 9110 section 7.6.1) and fields that must not come as trailers
// (section 6.5.1).

#include <cstddef>
#include <string_view>

#include "revproxyd/http/fields.h"

namespace revproxyd::http {

/// Options that Connection may name in one message; the parser refuses a head with more. It bounds
/// the work of matching each option against each field.
inline constexpr std::size_t kMostConnectionOptions = 64;

/// Cuts the first element off a comma-separated list without quoted strings (RFC 9110 section
/// 5.6.1); it may be empty.
std::string_view next_element(std::string_view& list) noexcept;

/// Removes Connection and every field that it names, Keep-Alive, Proxy-Connection, TE, Trailer,
/// Transfer-Encoding, Upgrade, HTTP2-Settings, Proxy-Authenticate and Proxy-Authorization. Names in
/// Connection that must not be dropped on a peer's word (Host, Content-Length, Authorization,
/// Cookie and the forwarding fields) are kept.
void remove_hop_by_hop(Fields& fields);

/// True when Connection (or the list `value`) names `token`, case-insensitively.
bool list_has_token(const Fields& fields, FieldName field, std::string_view token) noexcept;

/// True when the Upgrade of a 101 names a protocol, and none that is not in the list `offered` by
/// the request (RFC 9110 section 7.8).
bool switches_as_offered(const Fields& fields, std::string_view offered) noexcept;

/// True for a field that may be passed on in a trailer section.
bool allowed_in_trailer(const Field& field) noexcept;

}  // namespace revproxyd::http
