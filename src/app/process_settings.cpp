// Reading of the settings that belong to the process: logs, admin socket, shutdown, route tests.

#include "app/settings_types.h"
#include "revproxyd/base/ascii.h"
#include "revproxyd/config/record.h"
#include "revproxyd/config/scalars.h"

namespace revproxyd::app {

namespace {

using config::Node;
using config::Reader;
using config::Record;
using config::Value;

/// `path: off` and `access_log: off` say the same.
config::Type<AccessLogSettings> log_path() {
  const config::Type<std::string> text =
      config::file_path("off, '-' or the path of a file", {"off", "-", "stdout", "stderr"});
  config::Type<AccessLogSettings> type;
  type.schema = text.schema;
  type.read = [text](Reader& reader, const Node& node, AccessLogSettings& out) {
    std::string path;
    if (!text.read(reader, node, path)) return false;
    if (path == "stdout" || path == "stderr")
      return reader.error(node, Reader::shown(node) + " is not the path of a log",
                          "write '-' for standard output");
    out.enabled = path != "off";
    if (out.enabled) out.path = path;
    return true;
  };
  type.write = [text](const AccessLogSettings& log) {
    return text.write(log.enabled ? log.path : "off");
  };
  return type;
}

config::Type<RouteTest> test_request() {
  config::Type<RouteTest> type;
  type.schema = config::string_schema("a method and a URL: GET https://example.com/path");
  type.read = [](Reader& reader, const Node& node, RouteTest& out) {
    const std::string* text = reader.scalar(node, "a method and a URL");
    if (text == nullptr) return false;
    const std::size_t blank = text->find(' ');
    out.method = text->substr(0, blank);
    out.url = blank == std::string::npos ? std::string() : text->substr(blank + 1);
    out.secret = node.secret;
    const bool url = (out.url.starts_with("http://") || out.url.starts_with("https://")) &&
                     out.url.find(' ') == std::string::npos;
    if (ascii::is_token(out.method) && url) return true;
    return reader.error(node, Reader::shown(node) + " is not a request",
                        "write \"GET https://example.com/path\"");
  };
  type.write = [](const RouteTest& test) { return Value::of_text(test.method + " " + test.url); };
  return type;
}

config::Type<std::string> client_address() {
  return config::checked<std::string>(
      config::text("an address"), [](Reader& reader, const Node& node, const std::string& text) {
        return net::Address::ip(text, 0).has_value() ||
               reader.error(node, Reader::shown(node) + " is not an address",
                            "write 192.0.2.1 or \"2001:db8::1\"");
      });
}

config::Type<RouteTest> test_expectation() {
  return Record<RouteTest>()
      .field("route", &RouteTest::route, config::optional(config::name_text("a name")),
             "The name of the route that is chosen.")
      .field("status", &RouteTest::status,
             config::optional(config::integer<std::uint16_t>(100, 599)),
             "The status, where the proxy itself answers.")
      .later({"cache"})
      .check([](Reader& reader, const Node& node, RouteTest& test) {
        return test.route || test.status ||
               reader.error(node, "nothing is expected", "add route or status");
      })
      .type();
}

}  // namespace

config::Type<AccessLogSettings> access_log() {
  using A = AccessLogSettings;
  const auto query = [](auto& log) -> auto& { return log.mask_query; };
  const auto headers = [](auto& log) -> auto& { return log.mask_headers; };
  const config::Type<A> mask =
      Record<A>()
          .field("query", query, config::list(config::text("a name"), {"query parameters"}),
                 "Query parameters whose values are hidden.")
          .field("headers", headers, config::list(config::token("a header name"), {"header names"}),
                 "Fields whose values are hidden.")
          .type();
  const config::Type<A> map =
      Record<A>()
          .whole("path", log_path(), "off, '-' for standard output, or a file.")
          .field("format", &A::format,
                 config::enumeration<AccessFormat>(
                     {{"json", AccessFormat::json}, {"combined", AccessFormat::combined}}),
                 "json, or the classic combined line.")
          .whole("mask", mask, "What is never written.")
          .later({"rotate"})
          .type();
  config::Type<A> type = map;
  type.schema = config::any_of({config::word_schema("off"), map.schema});
  type.read = [map](Reader& reader, const Node& node, A& out) {
    if (!node.is_scalar() || node.text != "off") return map.read(reader, node, out);
    out.enabled = false;
    return true;
  };
  return type;
}

config::Type<LogSettings> log() {
  return Record<LogSettings>()
      .field("level", &LogSettings::level,
             config::enumeration<LogLevel>({{"debug", LogLevel::debug},
                                            {"info", LogLevel::info},
                                            {"warn", LogLevel::warn},
                                            {"error", LogLevel::error}}),
             "The least important messages that are written.")
      .field("path", &LogSettings::path,
             config::checked<std::string>(
                 config::file_path("stderr or the path of a file", {"stderr", "stdout", "-"}),
                 [](Reader& reader, const Node& node, const std::string& path) {
                   const bool good = path != "-" && path != "stdout";
                   return good ||
                          reader.error(node, Reader::shown(node) + " is not the path of a log",
                                       "write stderr or the path of a file");
                 }),
             "stderr or a file.")
      .type();
}

config::Type<AdminSettings> admin() {
  config::Type<AdminSettings> type =
      Record<AdminSettings>()
          .field("socket", &AdminSettings::socket,
                 config::checked<std::string>(
                     config::text("the path of a socket"),
                     [](Reader& reader, const Node& node, const std::string& path) {
                       const bool good = path.front() == '/' && path.size() <= 107;
                       return good ||
                              reader.error(node,
                                           "the path must be absolute and have at most 107 bytes");
                     }),
                 "The UNIX socket that `ctl` talks to.")
          .later({"listen", "allow", "auth"})
          .type();
  type.read = [read = type.read](Reader& reader, const Node& node, AdminSettings& out) {
    const bool good = read(reader, node, out);
    out.configured = good && node.find("socket") != nullptr;
    return good;
  };
  type.write = [write = type.write](const AdminSettings& admin) {
    return admin.configured ? write(admin) : Value::none();
  };
  return type;
}

config::Type<ShutdownSettings> shutdown() {
  const auto time = config::duration(config::Zero::allowed);
  return Record<ShutdownSettings>()
      .field("drain", &ShutdownSettings::drain, time,
             "How long requests may go on once a stop is asked for.")
      .field(
          "streams", &ShutdownSettings::streams, time,
          "After a reload, how long requests of routes that are gone may go on; after an upgrade, "
          "how long the old process may.")
      .field("upgrade", &ShutdownSettings::upgrade, config::duration(config::Zero::refused),
             "How long a new binary may take until it is ready.")
      .type();
}

config::Type<RouteTest> route_test() {
  config::Type<RouteTest> type =
      Record<RouteTest>("test")
          .whole("request", test_request(), "A method and a URL.")
          .required()
          .field("from", &RouteTest::from, client_address(), "The address of the client.")
          .whole("expect", test_expectation(), "What must become of it.")
          .required()
          .type();
  type.read = [read = type.read](Reader& reader, const Node& node, RouteTest& out) {
    out.mark = node.mark;
    return read(reader, node, out);
  };
  return type;
}

}  // namespace revproxyd::app
