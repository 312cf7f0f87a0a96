#include "http/framing.h"

#include <cstdint>
#include <limits>
#include <optional>

#include "revproxyd/base/ascii.h"

namespace revproxyd::http {

namespace {

Error refuse_request(const char* text) noexcept {
  return Error(Code::malformed_request, Side::downstream, text);
}

Error refuse_response(const char* text) noexcept {
  return Error(Code::malformed_response, Side::upstream, text);
}

using Refuse = Error (*)(const char*) noexcept;

// RFC 9110 section 8.6: digits and nothing else. Longer runs of leading zeros than any real number
// needs are refused too.
std::optional<std::uint64_t> read_length(std::string_view text) noexcept {
  constexpr std::size_t kMostDigits = 19;
  if (text.empty() || text.size() > kMostDigits) return std::nullopt;
  std::uint64_t value = 0;
  for (char c : text) {
    if (!ascii::is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  // 19 digits fit 64 bits unsigned; offsets and counters downstream are signed.
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return std::nullopt;
  return value;
}

// What the two framing fields say, or nothing when neither is there. RFC 9112 section 6.3 lets a
// recipient repair some of what is refused here; the next reader may repair it another way, which
// is what request smuggling lives on.
Result<std::optional<BodyLength>> declared_length(Version version, const Fields& fields,
                                                  Refuse refuse) {
  using Declared = std::optional<BodyLength>;
  const bool coded = fields.has(FieldName::transfer_encoding);
  if (!coded && !fields.has(FieldName::content_length)) return Declared();
  if (coded) {
    if (fields.has(FieldName::content_length))
      return refuse("content-length beside transfer-encoding");
    if (version != Version::http11)
      return refuse("transfer-encoding in a version other than HTTP/1.1");
    if (fields.count(FieldName::transfer_encoding) > 1)
      return refuse("several transfer-encoding fields");
    if (!ascii::iequals(fields.get(FieldName::transfer_encoding), "chunked")) {
      return refuse("transfer coding other than a single chunked");
    }
    return Declared(BodyLength{Framing::chunked, 0});
  }
  if (fields.count(FieldName::content_length) > 1) return refuse("repeated content-length");
  const auto length = read_length(fields.get(FieldName::content_length));
  if (!length) return refuse("content-length is not a number");
  return Declared(BodyLength{Framing::length, *length});
}

constexpr bool carries_content(const std::optional<BodyLength>& declared) noexcept {
  return declared && (declared->framing != Framing::length || declared->bytes != 0);
}

}  // namespace

// clang-format off
// | RFC 9112 section 6.3 | what is there                  | request | response    |
// |----------------------|--------------------------------|---------|-------------|
// | 1                    | HEAD, 204, 304                 |         | none        |
// | 1                    | 1xx; 101                       |         | none; tunnel|
// | 2                    | 2xx to CONNECT                 |         | tunnel      |
// | 3                    | both fields                    | refused | refused     |
// | 4                    | Transfer-Encoding: chunked     | chunked | chunked     |
// | 4                    | any other coding, or HTTP/1.0  | refused | refused     |
// | 5                    | Content-Length bad or repeated | refused | refused     |
// | 6                    | Content-Length                 | length  | length      |
// | 7, 8                 | neither                        | none    | until close |
// clang-format on
Result<BodyLength> request_length(Version version, const Fields& fields) {
  auto declared = declared_length(version, fields, refuse_request);
  if (!declared) return declared.error();
  return declared->value_or(BodyLength{});
}

Result<BodyLength> response_length(Version version, std::uint16_t status, const Fields& fields,
                                   Method method) {
  // RFC 9110 section 9.3.6: a client ignores both fields in a 2xx answer to CONNECT.
  if (method == Method::connect && status >= 200 && status < 300)
    return BodyLength{Framing::tunnel, 0};
  auto declared = declared_length(version, fields, refuse_response);
  if (!declared) return declared.error();
  if (status < 200) {
    // Bytes behind such a head could be its content or the final response: nobody can tell.
    if (carries_content(*declared))
      return refuse_response("interim response that announces content");
    return BodyLength{status == 101 ? Framing::tunnel : Framing::none, 0};
  }
  if (status == 204 || status == 304 || method == Method::head) return BodyLength{};
  return declared->value_or(BodyLength{Framing::until_close, 0});
}

Result<void> check_sent(const BodyLength& announced, std::uint64_t total, bool last) {
  if (announced.framing != Framing::length) return {};
  if (total > announced.bytes) return Error(Code::internal, "body longer than announced");
  if (last && total < announced.bytes) return Error(Code::internal, "body shorter than announced");
  return {};
}

}  // namespace revproxyd::http
