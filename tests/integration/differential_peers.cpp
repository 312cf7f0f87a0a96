#include "tests/integration/differential_peers.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <functional>

namespace revproxyd::testing::differential {

namespace {

using Fields = h2::Fields;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// Of the connection, or of this one request.
bool is_left_out(const std::string& name) {
  static constexpr std::array<std::string_view, 7> kNames{
      "connection", "transfer-encoding", "host", "content-length", "x-row", "x-request-id", "date"};
  return std::ranges::find(kNames, name) != kNames.end();
}

// "1.0 fred, 1.1 anna" as " fred, anna", whichever versions it names.
std::string without_versions(const std::string& via) {
  std::string out;
  bool version = true;
  for (std::size_t at = 0; at < via.size(); ++at) {
    if (via[at] == ' ' && version) version = false;
    if (!version) out += via[at];
    if (via[at] != ',') continue;
    version = true;
    while (at + 1 < via.size() && via[at + 1] == ' ') ++at;
  }
  return out;
}

// RFC 9113 section 8.2.3: a cookie may come in crumbs, which mean the same as one field.
Fields with_joined_cookies(const Fields& fields) {
  Fields out;
  for (const auto& [name, value] : fields) {
    const auto crumb = std::ranges::find(out, "cookie", &Fields::value_type::first);
    if (name == "cookie" && crumb != out.end()) {
      crumb->second += "; " + value;
    } else {
      out.emplace_back(name, value);
    }
  }
  return out;
}

// The id of the request stands in the proxy's own answers.
std::string without_id(std::string body) {
  const std::size_t at = body.find("request id: ");
  if (at != std::string::npos) body.erase(at, body.find('\n', at) - at);
  return body;
}

std::string field_lines(const Fields& fields) {
  Fields lowered;
  for (const auto& [name, value] : fields) lowered.emplace_back(lower(name), value);
  std::string out;
  for (const auto& [name, value] : with_joined_cookies(lowered)) {
    if (name.starts_with(':') || is_left_out(name)) continue;
    out += name + ": " + (name == "via" ? without_versions(value) : value) + "\n";
  }
  return out;
}

std::string trailer_lines(const Fields& trailers) {
  std::string out;
  for (const auto& [name, value] : trailers) out += "trailer " + lower(name) + ": " + value + "\n";
  return out;
}

std::string start_lines(const std::string& method, const std::string& path,
                        const std::string& authority) {
  return ":method: " + method + "\n:path: " + path + "\n:authority: " + authority + "\n";
}

std::string body_line(const std::string& body) {
  return body.empty() ? "" : "body: " + body + "\n";
}

void add(std::string& head, const std::string& name, const std::string& value) {
  head += name + ": " + value + "\r\n";
}

bool waits_for_continue(const Asked& request) {
  return std::ranges::any_of(request.fields, [](const auto& field) {
    return lower(field.first) == "expect" && lower(field.second) == "100-continue";
  });
}

std::string head_text(const Asked& request) {
  std::string head = request.method + " " + request.path + " HTTP/1.1\r\n";
  if (request.has_authority) add(head, "Host", request.authority);
  for (const auto& [name, value] : request.fields) add(head, name, value);
  if (request.length == Length::known)
    add(head, "Content-Length", std::to_string(request.content().size()));
  if (request.length == Length::unknown) add(head, "Transfer-Encoding", "chunked");
  return head + "\r\n";
}

std::string chunk(const std::string& piece) {
  std::array<char, 20> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", piece.size());
  return size.data() + piece + "\r\n";
}

void send_content(RawClient& client, const Asked& request) {
  const bool chunked = request.length == Length::unknown;
  for (const std::string& piece : request.pieces) client.send(chunked ? chunk(piece) : piece);
  if (!chunked) return;
  std::string end = "0\r\n";
  for (const auto& [name, value] : request.trailers) add(end, name, value);
  client.send(end + "\r\n");
}

void take(Answer& answer, const Response& response) {
  answer.status = response.status;
  answer.body = response.body;
  answer.lines += ":status: " + std::to_string(response.status) + "\n";
  answer.lines += field_lines(response.fields);
  if (response.has("Content-Length"))
    answer.lines += "length: " + response.field("Content-Length") + "\n";
  answer.lines += body_line(without_id(response.body)) + trailer_lines(response.trailers);
}

// Interim answers, then the final one's head and content.
void read_answer(const std::function<Response()>& next, Answer& answer) {
  for (;;) {
    const Response response = next();
    if (response.status >= 200) {
      take(answer, response);
      answer.whole = true;
      return;
    }
    answer.lines += "interim " + std::to_string(response.status) + "\n";
  }
}

// What a client that waits before its content gets first: true when it may go on.
bool may_go_on(RawClient& client, const Asked& request, Answer& answer) {
  if (!waits_for_continue(request) || request.length == Length::none) return true;
  const Response first = client.response(request.method);
  if (first.status >= 200) {
    take(answer, first);
    return false;
  }
  answer.lines += "interim " + std::to_string(first.status) + "\n";
  return true;
}

Answer ask_http1(std::uint16_t port, const Asked& request) {
  Answer answer;
  RawClient client(port);
  try {
    client.send(head_text(request));
    if (!may_go_on(client, request, answer)) return answer;
    send_content(client, request);
    if (request.cut) client.stream().half_close();
  } catch (const Disconnected&) {
    // Refused; the answer may have come before.
  }
  try {
    read_answer([&] { return client.response(request.method); }, answer);
  } catch (const Disconnected&) {
    // The connection ended in place of an answer.
  }
  return answer;
}

MessageReader reader_of(std::string bytes) {
  return MessageReader([bytes]() mutable { return std::exchange(bytes, {}); });
}

int final_status(const std::string& bytes) {
  MessageReader reader = reader_of(bytes);
  int status = 0;
  while (status < 200) status = reader.response_head().status;
  return status;
}

Fields head_fields(const Asked& request) {
  Fields out{{":method", request.method}};
  if (request.has_scheme) out.emplace_back(":scheme", request.scheme);
  if (request.has_authority) out.emplace_back(":authority", request.authority);
  if (request.has_path) out.emplace_back(":path", request.path);
  out.insert(out.end(), request.fields.begin(), request.fields.end());
  if (request.length == Length::known)
    out.emplace_back("content-length", std::to_string(request.content().size()));
  return out;
}

void send_content(H2Client& client, std::uint32_t stream, const Asked& request) {
  for (std::size_t at = 0; at < request.pieces.size(); ++at)
    client.send_body(stream, request.pieces[at],
                     request.trailers.empty() && at + 1 == request.pieces.size());
  if (!request.trailers.empty()) {
    client.send(h2::headers(stream, request.trailers));
  } else if (request.pieces.empty()) {
    client.send_body(stream, {});
  }
}

Answer read_http2(const H2Message& message) {
  Answer answer;
  for (const Fields& interim : message.interim)
    answer.lines += "interim " + interim.front().second + "\n";
  answer.status = message.status();
  answer.body = message.body;
  answer.whole = message.ended;
  answer.reset = message.reset;
  answer.lines += ":status: " + std::to_string(answer.status) + "\n" + field_lines(message.fields);
  if (message.has("content-length"))
    answer.lines += "length: " + message.field("content-length") + "\n";
  answer.lines += body_line(without_id(message.body)) + trailer_lines(message.trailers);
  return answer;
}

Answer ask_http2(std::uint16_t port, const Asked& request) {
  H2Client client(port);
  const bool bare =
      request.length == Length::none || (request.length == Length::said && request.pieces.empty());
  const std::uint32_t stream = client.open(head_fields(request), bare);
  if (!bare && waits_for_continue(request)) {
    client.read_until([&](const H2State& state) {
      const H2Message& message = state.message(stream);
      return !message.interim.empty() || message.has_head() || message.reset;
    });
  }
  if (!bare && !client.state().message(stream).has_head()) send_content(client, stream, request);
  const Answer answer = read_http2(client.response(stream));
  // A stream that is refused leaves the connection as it was.
  if (!client.round_trip()) throw Disconnected("the connection ended with the stream");
  return answer;
}

}  // namespace

std::string lines_of(const Request& request) {
  std::string out = start_lines(request.method, request.target, request.field("Host"));
  out += field_lines(request.fields);
  if (request.chunked) out += "length: unknown\n";
  if (request.has("Content-Length")) out += "length: " + request.field("Content-Length") + "\n";
  return out + body_line(request.body) + trailer_lines(request.trailers);
}

std::string lines_of(const H2Message& request) {
  std::string out = start_lines(request.method(), request.path(), request.field(":authority"));
  out += field_lines(request.fields);
  if (request.has("content-length")) {
    out += "length: " + request.field("content-length") + "\n";
  } else if (!request.body.empty()) {
    out += "length: unknown\n";
  }
  return out + body_line(request.body) + trailer_lines(request.trailers);
}

bool shows(const std::string& lines, const std::string& line) {
  const std::string all = "\n" + lines;
  if (line.starts_with("no ")) return all.find("\n" + line.substr(3) + ":") == std::string::npos;
  return all.find("\n" + line + "\n") != std::string::npos;
}

std::string without(const std::string& lines, std::string_view name) {
  std::string out;
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', at), lines.size() - 1) + 1;
    const std::string line = lines.substr(at, end - at);
    if (!line.starts_with(std::string(name) + ":")) out += line;
    at = end;
  }
  return out;
}

Answer ask(std::uint16_t port, Spoken version, const Asked& request) {
  return version == Spoken::http1 ? ask_http1(port, request) : ask_http2(port, request);
}

Answer ask_until_end(std::uint16_t port, const std::string& version, const std::string& method,
                     const std::string& path) {
  RawClient client(port);
  client.send(method + " " + path + " HTTP/" + version +
              "\r\nHost: test\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n");
  const std::string bytes = client.last_words();
  Answer answer;
  try {
    MessageReader reader = reader_of(bytes);
    read_answer([&] { return reader.response(method); }, answer);
  } catch (const Disconnected&) {
    answer.status = final_status(bytes);
  }
  return answer;
}

}  // namespace revproxyd::testing::differential
