#include "upstream/health_settings.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "revproxyd/config/record.h"
#include "revproxyd/config/scalars.h"
#include "revproxyd/net/settings_types.h"

namespace revproxyd::upstream {

namespace {

using config::Node;
using config::Reader;
using config::Record;
using config::Value;

config::Type<std::string> host() {
  return config::checked<std::string>(config::text("a host"), [](Reader& reader, const Node& node,
                                                                 const std::string& text) {
    return net::is_authority(text) || reader.error(node, Reader::shown(node) + " is not a host");
  });
}

bool parse_status(std::string_view text, std::uint16_t& out) {
  const char* end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, out);
  return failure == std::errc() && rest == end && text.size() == 3 && out >= 100 && out <= 599;
}

/// "200" or "200-399".
config::Type<StatusRange> status_range() {
  config::Type<StatusRange> type;
  type.schema = config::any_of({config::string_schema("a status or a range: 200, 200-399"),
                                Value::map({{"type", Value::of_text("integer")}})});
  type.read = [](Reader& reader, const Node& node, StatusRange& out) {
    const std::string* text = reader.scalar(node, "a status or a range of statuses");
    if (text == nullptr) return false;
    const std::size_t dash = text->find('-');
    const std::string_view low = std::string_view(*text).substr(0, dash);
    const std::string_view high =
        dash == std::string::npos ? low : std::string_view(*text).substr(dash + 1);
    if (parse_status(low, out.low) && parse_status(high, out.high) && out.low <= out.high)
      return true;
    return reader.error(node, Reader::shown(node) + " is not a status or a range of statuses",
                        "write 200 or 200-399");
  };
  type.write = [](const StatusRange& range) {
    if (range.low == range.high) return Value::of_number(range.low);
    return Value::of_word(std::to_string(range.low) + "-" + std::to_string(range.high));
  };
  return type;
}

/// `expect`: statuses, or a map with status, body and header.
config::Type<HealthSettings> expect() {
  const auto status = config::list(status_range(), {"statuses", true, true});
  const config::Type<HealthSettings> map =
      Record<HealthSettings>()
          .field("status", &HealthSettings::status, status, "Statuses that count as healthy.")
          .field("body", &HealthSettings::body, config::long_text("a text"),
                 "Text that the first 64 KiB of the body must hold.")
          .field("header", &HealthSettings::header,
                 config::named(config::token("a header name"), config::field_value(), "headers"),
                 "Fields that the answer must have; an empty value = any.")
          .type();
  config::Type<HealthSettings> type;
  type.schema = config::any_of({status.schema, map.schema});
  type.read = [status, map](Reader& reader, const Node& node, HealthSettings& out) {
    return node.is_map() ? map.read(reader, node, out) : status.read(reader, node, out.status);
  };
  type.write = [map](const HealthSettings& health) {
    return health.type == HealthType::http ? map.write(health) : Value::none();
  };
  return type;
}

config::Type<std::string> probe_path() {
  return config::checked<std::string>(
      config::text("a path"), [](Reader& reader, const Node& node, const std::string& path) {
        for (char c : path) {
          if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F ||
              c == '#')
            return reader.error(node, Reader::shown(node) + " is not a path",
                                "encode blanks and letters beyond ASCII");
        }
        return path.front() == '/' ||
               reader.error(node, Reader::shown(node) + " is not a path", "it begins with '/'");
      });
}

/// A key that only checks of `types` have, and the others therefore do not print.
config::Type<HealthSettings> only(std::vector<HealthType> types,
                                  std::string HealthSettings::*member,
                                  const config::Type<std::string>& inner) {
  config::Type<HealthSettings> type;
  type.schema = inner.schema;
  type.read = [member, inner](Reader& reader, const Node& node, HealthSettings& out) {
    return inner.read(reader, node, out.*member);
  };
  type.write = [types, member, inner](const HealthSettings& health) {
    const bool has = std::find(types.begin(), types.end(), health.type) != types.end();
    return has ? inner.write(health.*member) : Value::none();
  };
  return type;
}

/// For messages: which types of check have that key; empty for all.
std::string_view types_of(std::string_view key, HealthType type) {
  if (type != HealthType::http && (key == "path" || key == "expect")) return "http";
  if (type == HealthType::tcp && key == "host") return "http and grpc";
  if (type != HealthType::grpc && key == "service") return "grpc";
  return {};
}

bool check_health(Reader& reader, const Node& node, HealthSettings& health) {
  bool good = true;
  for (const config::Entry& entry : node.entries) {
    const std::string_view types = types_of(entry.key, health.type);
    if (!types.empty())
      good = reader.error(
          entry.mark, "'" + entry.key + "' is for checks of type " + std::string(types) + " only");
  }
  return good;
}

}  // namespace

config::Type<HealthSettings> health_settings() {
  using H = HealthSettings;
  return Record<H>()
      .field(
          "type", &H::type,
          config::enumeration<HealthType>(
              {{"http", HealthType::http}, {"tcp", HealthType::tcp}, {"grpc", HealthType::grpc}}),
          "A request, only a connection, or the health service of gRPC.")
      .whole("path", only({HealthType::http}, &H::path, probe_path()),
             "The path that is asked for.")
      .whole("service", only({HealthType::grpc}, &H::service, config::text("a service")),
             "The service that is asked about; without it the server as a whole.")
      .whole("host", only({HealthType::http, HealthType::grpc}, &H::host, host()),
             "Host of the request; without it that of the server's URL.")
      .whole("expect", expect(), "What a healthy answer looks like.")
      .field("interval", &H::interval, config::duration(),
             "From the start of one check to the next, with jitter.")
      .field("timeout", &H::timeout, config::duration(), "Of a check as a whole.")
      .field("rise", &H::rise, config::integer<std::uint32_t>(1, 1000),
             "Good checks in a row that bring a server back.")
      .field("fall", &H::fall, config::integer<std::uint32_t>(1, 1000),
             "Bad checks in a row that take it out.")
      .check(check_health)
      .type();
}

}  // namespace revproxyd::upstream
