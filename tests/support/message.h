#pragma once
// HTTP/1.1 messages as a test sees them: read by their framing, nothing corrected, nothing
// forgiven.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/stream.h"

namespace revproxyd::testing {

/// What two messages have in common.
struct Message {
  std::vector<std::pair<std::string, std::string>> fields;  // in order, names as they came
  std::vector<std::pair<std::string, std::string>> trailers;
  std::string head;      // every byte up to the empty line
  std::string body;      // without its chunks
  std::string raw_body;  // as it came
  bool chunked = false;

  /// The field's value, its lines joined with ", "; empty when there is none.
  std::string field(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  bool has(std::string_view name) const { return count(name) > 0; }
  std::string trailer(std::string_view name) const;
};

struct Request : Message {
  std::string method;
  std::string target;
  std::string version;
};

struct Response : Message {
  int status = 0;
  std::string version;
  std::string reason;
  bool until_close = false;
};

/// Takes bytes from a stream and cuts messages out of them.
class MessageReader {
 public:
  using More = std::function<std::string()>;

  /// `more` returns further bytes, "" at the end.
  explicit MessageReader(More more) : more_(std::move(more)) {}

  /// The head alone; nothing at the end of the stream. A stream that ends inside a head is
  /// Disconnected.
  std::optional<Request> request_head();
  void read_body(Request& request);

  /// A response with its body; `method` is that of its request. Interim responses are responses
  /// too.
  Response response(std::string_view method = "GET");
  /// The head alone, for tests that look at the body's bytes themselves.
  Response response_head();

  /// Exactly so many bytes; throws Disconnected when the stream ends before.
  std::string bytes(std::size_t count);
  std::string until_end();
  /// Up to and including `end`.
  std::string until(std::string_view end);

  bool has_buffered() const noexcept { return !buffer_.empty(); }
  std::string take_buffered() { return std::exchange(buffer_, {}); }

 private:
  bool fill();
  void read_chunks(Message& message);
  std::string head_text();

  More more_;
  std::string buffer_;
};

bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace revproxyd::testing
