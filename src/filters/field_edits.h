#pragma once
// `headers`: what the configuration removes, sets and adds in a head. Whoever reads the
// configuration asks editable() and acceptable_value() first; apply() does as it is told.

#include <string_view>

#include "revproxyd/filters/settings.h"
#include "revproxyd/http/fields.h"

namespace revproxyd::filters {

/// False for what is no field name, and for the fields that belong to the proxy itself: those that
/// delimit the message (Content-Length, Transfer-Encoding), that end at this hop (RFC 9110
/// section 7.6.1: Connection, Keep-Alive, Proxy-Connection, TE, Trailer, Upgrade, HTTP2-Settings,
/// Proxy-Authenticate, Proxy-Authorization), Expect, whose handshake the proxy takes part in, and
/// Host, which `host_header` sets.
bool editable(std::string_view name) noexcept;

/// True for a value that may be written: no control characters but tab, no white space at its ends
/// (RFC 9110 section 5.5).
bool acceptable_value(std::string_view value) noexcept;

/// Removes, then sets, then adds. `edits` must outlive the arena of `fields`, which views its
/// texts.
void apply(const FieldEdits& edits, http::Fields& fields);

}  // namespace revproxyd::filters
