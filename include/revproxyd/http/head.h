#pragma once
// Request and response heads as values, the same for every version of HTTP.

#include <cstdint>
#include <string_view>

#include "revproxyd/http/fields.h"
#include "revproxyd/http/target.h"

namespace revproxyd::http {

enum class Version : std::uint8_t { http10, http11, http2, http3 };

/// Methods that the proxy treats in a way of their own; every other token is `other` and is
/// forwarded as it came.
enum class Method : std::uint8_t {
  get,
  head,
  post,
  put,
  delete_,
  options,
  patch,
  connect,
  trace,
  other
};

Method lookup_method(
    std::string_view token) noexcept;  // methods are case-sensitive (RFC 9110 section 9.1)

/// Safe (RFC 9110 section 9.2.1): GET, HEAD, OPTIONS, TRACE.
bool is_safe(Method method) noexcept;

/// How a message's body is delimited on the wire; decided once, in framing.h. `none` in a response:
/// nothing follows its head, no trailers either; that there is no content is said where it may be.
enum class Framing : std::uint8_t { none, length, chunked, until_close, tunnel };

struct BodyLength {
  Framing framing = Framing::none;
  std::uint64_t bytes = 0;  // with Framing::length

  /// There is no content, whether or not that is said.
  bool empty() const noexcept {
    return framing == Framing::none || (framing == Framing::length && bytes == 0);
  }
  bool operator==(const BodyLength&) const = default;
};

/// Everything viewed lives in the arena of the exchange.
struct RequestHead {
  explicit RequestHead(Arena& arena) noexcept : fields(arena) {}

  Method method = Method::get;
  Version version = Version::http11;
  bool version_known = true;     // false: it was refused, and names none of these
  bool keep_alive = true;        // the client is ready for another exchange on this connection (h1)
  bool expect_continue = false;  // Expect: 100-continue, which HTTP/1.0 does not know
  bool accepts_trailers = false;  // TE: trailers (RFC 9110 section 10.1.4)
  std::string_view method_text;
  std::string_view raw_target;
  Target target;
  std::string_view authority;  // effective: of the absolute form, else Host; as sent; empty when an
                               // HTTP/1.0 client names none
  std::string_view host;       // lower case, without port and trailing dot
  std::uint16_t port = 0;      // 0 when the authority names none
  std::string_view path;       // normalised
  bool encoded_slash = false;  // the path holds %2F or %5C
  std::string_view upgrade;    // value of Upgrade when Connection names it, else empty
  /// The request is nothing without that upgrade: any 2xx would say that it took place (extended
  /// CONNECT, RFC 8441 section 5).
  bool needs_upgrade = false;
  Fields fields;
  BodyLength length;
};

struct ResponseHead {
  explicit ResponseHead(Arena& arena) noexcept : fields(arena) {}

  std::uint16_t status = 200;
  Version version = Version::http11;
  bool keep_alive = true;   // the origin is ready for another exchange on this connection (h1)
  std::string_view reason;  // may be empty
  Fields fields;
  /// The one truth about the body; only serializers write framing fields.
  BodyLength length;
};

}  // namespace revproxyd::http
