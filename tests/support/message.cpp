#include "tests/support/message.h"

#include <strings.h>

#include <charconv>

namespace revproxyd::testing {

namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

std::string joined(const Fields& fields, std::string_view name) {
  std::string out;
  bool first = true;
  for (const auto& [key, value] : fields) {
    if (!equal_ignoring_case(key, name)) continue;
    if (!first) out += ", ";
    out += value;
    first = false;
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Takes the line in front, without its end.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find("\r\n");
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
  return line;
}

void add_field(Fields& fields, std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos)
    throw std::runtime_error("field without colon: " + std::string(line));
  fields.emplace_back(line.substr(0, colon), trimmed(line.substr(colon + 1)));
}

std::size_t number(std::string_view text, int base) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw std::runtime_error("not a number: '" + std::string(text) + "'");
  }
  return value;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string Message::field(std::string_view name) const { return joined(fields, name); }

std::size_t Message::count(std::string_view name) const {
  std::size_t found = 0;
  for (const auto& entry : fields) found += equal_ignoring_case(entry.first, name) ? 1 : 0;
  return found;
}

std::string Message::trailer(std::string_view name) const { return joined(trailers, name); }

bool MessageReader::fill() {
  const std::string more = more_();
  buffer_ += more;
  return !more.empty();
}

std::string MessageReader::until(std::string_view end) {
  std::size_t from = 0;
  for (;;) {
    const std::size_t at = buffer_.find(end, from);
    if (at != std::string::npos) return bytes(at + end.size());
    from = buffer_.size() < end.size() ? 0 : buffer_.size() - end.size();
    if (!fill()) throw Disconnected("the stream ended after: '" + buffer_ + "'");
  }
}

std::string MessageReader::bytes(std::size_t count) {
  while (buffer_.size() < count) {
    if (!fill()) {
      throw Disconnected("the stream ended after " + std::to_string(buffer_.size()) + " of " +
                         std::to_string(count) + " bytes");
    }
  }
  std::string out = buffer_.substr(0, count);
  buffer_.erase(0, count);
  return out;
}

std::string MessageReader::until_end() {
  while (fill()) {
  }
  return std::exchange(buffer_, {});
}

std::string MessageReader::head_text() { return until("\r\n\r\n"); }

std::optional<Request> MessageReader::request_head() {
  if (buffer_.empty() && !fill()) return std::nullopt;
  Request request;
  request.head = head_text();
  std::string_view rest = request.head;
  const std::string_view line = take_line(rest);
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    throw std::runtime_error("bad request line: " + std::string(line));
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  request.version = line.substr(last + 1);
  while (rest != "\r\n") add_field(request.fields, take_line(rest));
  request.chunked = equal_ignoring_case(request.field("Transfer-Encoding"), "chunked");
  return request;
}

void MessageReader::read_body(Request& request) {
  if (request.chunked) return read_chunks(request);
  if (request.has("Content-Length")) {
    request.body = request.raw_body = bytes(number(request.field("Content-Length"), 10));
  }
}

void MessageReader::read_chunks(Message& message) {
  for (;;) {
    const std::string line = until("\r\n");
    message.raw_body += line;
    const std::size_t size =
        number(std::string_view(line).substr(0, line.find_first_of(";\r")), 16);
    if (size == 0) break;
    const std::string chunk = bytes(size);
    const std::string end = bytes(2);
    if (end != "\r\n") throw std::runtime_error("a chunk without its end");
    message.body += chunk;
    message.raw_body += chunk + end;
  }
  for (;;) {
    const std::string line = until("\r\n");
    message.raw_body += line;
    if (line == "\r\n") return;
    add_field(message.trailers, std::string_view(line).substr(0, line.size() - 2));
  }
}

Response MessageReader::response_head() {
  Response response;
  response.head = head_text();
  std::string_view rest = response.head;
  const std::string_view line = take_line(rest);
  if (line.size() < 12 || !line.starts_with("HTTP/1."))
    throw std::runtime_error("bad status line: " + std::string(line));
  response.version = line.substr(0, 8);
  response.status = static_cast<int>(number(line.substr(9, 3), 10));
  response.reason = line.size() > 13 ? line.substr(13) : "";
  while (rest != "\r\n") add_field(response.fields, take_line(rest));
  response.chunked = equal_ignoring_case(response.field("Transfer-Encoding"), "chunked");
  return response;
}

Response MessageReader::response(std::string_view method) {
  Response response = response_head();
  const int status = response.status;
  if (method == "HEAD" || status < 200 || status == 204 || status == 304) return response;
  if (response.chunked) {
    read_chunks(response);
  } else if (response.has("Content-Length")) {
    response.body = response.raw_body = bytes(number(response.field("Content-Length"), 10));
  } else {
    response.until_close = true;
    response.body = response.raw_body = until_end();
  }
  return response;
}

}  // namespace revproxyd::testing
