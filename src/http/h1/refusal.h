#pragma once
// How a malformed message is reported, by the side that it came from.

#include "http/h1/parser.h"
#include "revproxyd/base/error.h"

namespace revproxyd::http::h1 {

inline Error malformed(Kind kind, const char* text) noexcept {
  if (kind == Kind::request) return Error(Code::malformed_request, Side::downstream, text);
  return Error(Code::malformed_response, Side::upstream, text);
}

/// A limit was passed. A client is told which one; of a backend it only matters that its head is
/// too large.
inline Error too_large(Kind kind, Code code, const char* text) noexcept {
  if (kind == Kind::request) return Error(code, Side::downstream, text);
  return Error(Code::response_header_too_large, Side::upstream, text);
}

}  // namespace revproxyd::http::h1
