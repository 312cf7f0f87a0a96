#include "http/h1/parser.h"

#include <optional>
#include <utility>

#include "http/field_text.h"
#include "http/framing.h"
#include "http/h1/refusal.h"
#include "http/request_rules.h"
#include "revproxyd/base/ascii.h"
#include "revproxyd/http/hop_by_hop.h"

namespace revproxyd::http::h1 {

namespace {

constexpr std::string_view kVersionShape = "HTTP/1.1";

// RFC 9112 section 2.3. A higher minor version is read as the highest one known here (RFC 9110
// section 2.5).
Result<Version> read_version(std::string_view text, Kind kind) noexcept {
  if (text == kVersionShape) return Version::http11;
  const bool shaped = text.size() == kVersionShape.size() && text.starts_with("HTTP/") &&
                      ascii::is_digit(text[5]) && text[6] == '.' && ascii::is_digit(text[7]);
  if (!shaped) return malformed(kind, "malformed HTTP version");
  if (text[5] != '1') {
    if (kind == Kind::response) return malformed(kind, "response in a version other than HTTP/1");
    return Error(Code::unsupported_version, Side::downstream, "version other than HTTP/1");
  }
  return text[7] == '0' ? Version::http10 : Version::http11;
}

struct StartLine {
  std::string_view line;
  Bytes rest;
};

// The first line without its CRLF. Other control characters in it are for its reader to find.
Result<StartLine> cut_start_line(Bytes block, Kind kind, const HeadLimits& limits) noexcept {
  const char* const end = block.data() + block.size();
  const char* const control = find_control(block.data(), end);
  const auto size = static_cast<std::size_t>(control - block.data());
  // Nearly every line has none before its CRLF.
  if (end - control >= 2 && control[0] == '\r' && control[1] == '\n' && size <= limits.start_line)
    return StartLine{block.substr(0, size), block.substr(size + 2)};
  const std::size_t feed = block.find('\n');
  if (feed == Bytes::npos) return malformed(kind, "head without a line end");
  if (feed > limits.start_line + 1) {
    return too_large(kind, Code::request_line_too_long, "start line longer than allowed");
  }
  if (feed == 0 || block[feed - 1] != '\r') return malformed(kind, "bare LF in the start line");
  const std::string_view line = block.substr(0, feed - 1);
  if (line.find('\r') != std::string_view::npos)
    return malformed(kind, "bare CR in the start line");
  return StartLine{line, block.substr(feed + 1)};
}

// RFC 9112 section 3: exactly two spaces and no other white space.
Result<void> read_request_line(std::string_view line, RequestHead& head) noexcept {
  const std::size_t first = line.find(' ');
  head.method_text = line.substr(0, first);
  if (!ascii::is_token(head.method_text))
    return malformed(Kind::request, "method that is no token");
  if (first == std::string_view::npos)
    return malformed(Kind::request, "request line without a target");
  const std::string_view rest = line.substr(first + 1);
  const std::size_t second = rest.find(' ');
  if (second == 0) return malformed(Kind::request, "request line with more than two spaces");
  if (second == std::string_view::npos)
    return malformed(Kind::request, "request line without a version (HTTP/0.9)");
  if (rest.find(' ', second + 1) != std::string_view::npos) {
    return malformed(Kind::request, "request line with more than two spaces");
  }
  const auto version = read_version(rest.substr(second + 1), Kind::request);
  if (!version) return version.error();
  head.version = *version;
  head.method = lookup_method(head.method_text);
  head.raw_target = rest.substr(0, second);
  return {};
}

struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
};

Result<ConnectionOptions> read_connection(const Fields& fields, Kind kind) noexcept {
  ConnectionOptions options;
  if (!fields.has(FieldName::connection)) return options;
  std::size_t count = 0;
  for (const Field& field : fields) {
    if (field.known != FieldName::connection) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      if (++count > kMostConnectionOptions)
        return malformed(kind, "more than 64 connection options");
      const std::string_view option = next_element(rest);
      options.close |= ascii::iequals(option, "close");
      options.keep_alive |= ascii::iequals(option, "keep-alive");
      options.upgrade |= ascii::iequals(option, "upgrade");
    }
  }
  return options;
}

// RFC 9112 section 9.3.
bool persists(Version version, const ConnectionOptions& options) noexcept {
  return !options.close && (version != Version::http10 || options.keep_alive);
}

// All Upgrade fields as one list; of HTTP/1.0 it is ignored (RFC 9110 section 7.8).
std::string_view upgrade_list(const RequestHead& head) {
  if (head.version == Version::http10) return {};
  return head.fields.join(FieldName::upgrade, ", ");
}

// RFC 9112 section 4: "HTTP/1.1 200 OK". Some servers that send no reason leave out the space
// before it as well; nothing can be misread by that, so both forms are taken.
Result<void> read_status_line(std::string_view line, ResponseHead& head) noexcept {
  constexpr std::size_t kStatusAt = kVersionShape.size() + 1;
  constexpr std::size_t kStatusEnd = kStatusAt + 3;
  const auto version = read_version(line.substr(0, kVersionShape.size()), Kind::response);
  if (!version) return version.error();
  head.version = *version;
  if (line.size() < kStatusEnd || line[kStatusAt - 1] != ' ')
    return malformed(Kind::response, "malformed status line");
  unsigned status = 0;
  for (char c : line.substr(kStatusAt, 3)) {
    if (!ascii::is_digit(c)) return malformed(Kind::response, "status that is not three digits");
    status = status * 10 + static_cast<unsigned>(c - '0');
  }
  if (status < 100 || status > 599)
    return malformed(Kind::response, "status outside of 100 to 599");
  head.status = static_cast<std::uint16_t>(status);
  if (line.size() == kStatusEnd) return {};
  if (line[kStatusEnd] != ' ') return malformed(Kind::response, "status that is not three digits");
  head.reason = line.substr(kStatusEnd + 1);
  for (char c : head.reason) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
      return malformed(Kind::response, "control character in the reason");
  }
  return {};
}

// A 204 that announces content may be followed by it; whatever comes next on that connection cannot
// be trusted.
bool announces_content_it_cannot_have(const ResponseHead& head) noexcept {
  if (head.status != 204) return false;
  if (head.fields.has(FieldName::transfer_encoding)) return true;
  const std::string_view length = head.fields.get(FieldName::content_length);
  return length.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

Result<RequestHead> parse_request(Bytes block, Arena& arena, const HeadLimits& limits) {
  const auto start = cut_start_line(block, Kind::request, limits);
  if (!start) return start.error();
  RequestHead head(arena);
  if (auto line = read_request_line(start->line, head); !line) return line.error();
  if (auto fields = parse_fields(start->rest, Kind::request, head.fields, limits); !fields)
    return fields.error();
  if (auto target = read_target(head, arena); !target) return target.error();
  const auto length = request_length(head.version, head.fields);
  if (!length) return length.error();
  head.length = *length;
  const auto options = read_connection(head.fields, Kind::request);
  if (!options) return options.error();
  head.keep_alive = persists(head.version, *options);
  if (options->upgrade) head.upgrade = upgrade_list(head);
  head.accepts_trailers = list_has_token(head.fields, FieldName::te, "trailers");
  if (auto expectation = read_expectation(head); !expectation) return expectation.error();
  return head;
}

std::optional<Version> version_of(std::string_view request_line) noexcept {
  const std::size_t space = request_line.rfind(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto version = read_version(request_line.substr(space + 1), Kind::request);
  return version ? std::optional(*version) : std::nullopt;
}

Result<ResponseHead> parse_response(Bytes block, Method method, Arena& arena,
                                    const HeadLimits& limits) {
  const auto start = cut_start_line(block, Kind::response, limits);
  if (!start) return start.error();
  ResponseHead head(arena);
  if (auto line = read_status_line(start->line, head); !line) return line.error();
  if (auto fields = parse_fields(start->rest, Kind::response, head.fields, limits); !fields)
    return fields.error();
  const auto length = response_length(head.version, head.status, head.fields, method);
  if (!length) return length.error();
  if (!length->empty()) head.length = *length;
  const auto options = read_connection(head.fields, Kind::response);
  if (!options) return options.error();
  const bool ends_connection =
      head.length.framing == Framing::until_close || head.length.framing == Framing::tunnel;
  head.keep_alive = persists(head.version, *options) && !ends_connection &&
                    !announces_content_it_cannot_have(head);
  return head;
}

}  // namespace revproxyd::http::h1
