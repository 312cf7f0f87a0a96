#include "upstream/probe_grpc.h"

#include <algorithm>
#include <utility>

#include "revproxyd/base/ascii.h"

namespace revproxyd::upstream {

namespace {

constexpr std::string_view kPath = "/grpc.health.v1.Health/Check";
constexpr std::string_view kContentType = "application/grpc";
// A flag that says "compressed", and the length in four bytes.
constexpr std::size_t kFrameHead = 5;
// Of an answer; the message proper has two bytes.
constexpr std::size_t kMostAnswer = 4096;

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  out += static_cast<char>(value);
}

// Reads what protobuf writes. Every call takes from the front, and says false when there is less
// than it needs.
class Message {
 public:
  explicit Message(Bytes bytes) noexcept : rest_(bytes) {}

  bool empty() const noexcept { return rest_.empty(); }

  bool varint(std::uint64_t& value) noexcept {
    value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) return false;  // more than 64 bits
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool skip(std::uint64_t wire_type) noexcept {
    std::uint64_t size = 0;
    switch (wire_type) {
      case 0: return varint(size);
      case 1: size = 8; break;
      case 2:
        if (!varint(size)) return false;
        break;
      case 5: size = 4; break;
      default: return false;  // groups, which proto3 does not have
    }
    if (size > rest_.size()) return false;
    rest_.remove_prefix(static_cast<std::size_t>(size));
    return true;
  }

 private:
  Bytes rest_;
};

// The message inside the frame that is all of `body`.
std::optional<Bytes> unframed(Bytes body) noexcept {
  if (body.size() < kFrameHead || body.front() != '\0') return std::nullopt;
  std::size_t size = 0;
  for (std::size_t i = 1; i < kFrameHead; ++i)
    size = size << 8 | static_cast<std::uint8_t>(body[i]);
  body.remove_prefix(kFrameHead);
  return body.size() == size ? std::optional(body) : std::nullopt;
}

std::string_view name_of(Serving status) noexcept {
  switch (status) {
    case Serving::unknown: return "UNKNOWN";
    case Serving::serving: return "SERVING";
    case Serving::not_serving: return "NOT_SERVING";
    case Serving::service_unknown: return "SERVICE_UNKNOWN";
  }
  return "of a kind that is not known";
}

// The codes that checks meet in practice.
std::string_view meaning_of(std::string_view status) noexcept {
  if (status == "5") return ": the service is not known";
  if (status == "12") return ": the server has no health service";
  return {};
}

// Empty when the call went well.
std::string status_problem(const http::Field* status) {
  if (status == nullptr) return "no grpc-status";
  const std::string_view value = status->value;
  if (value == "0") return {};
  const bool number = !value.empty() && value.size() <= 3 &&
                      std::all_of(value.begin(), value.end(), ascii::is_digit);
  if (!number) return "malformed grpc-status";
  return "grpc-status " + std::string(value) + std::string(meaning_of(value));
}

// Empty when the answer may go on. A head that has the status is an answer without a message.
std::string head_problem(const http::ResponseHead& head) {
  if (head.status != 200) return "status " + std::to_string(head.status);
  if (!head.fields.get(http::FieldName::content_type).starts_with(kContentType))
    return "the answer is not gRPC";
  const http::Field* status = head.fields.find("grpc-status");
  if (status == nullptr) return {};
  std::string problem = status_problem(status);
  return problem.empty() ? "no message" : problem;
}

std::string body_problem(Bytes body) {
  const std::optional<Serving> status = grpc_serving_status(body);
  if (!status) return "malformed message";
  if (*status == Serving::serving) return {};
  return "the service is " + std::string(name_of(*status));
}

// From the head on.
Task<ProbeResult> judge_rest(http::ClientStream& stream) {
  std::string message;
  for (bool last = false; !last;) {
    auto piece = co_await stream.body().read();
    if (!piece) co_return ProbeResult(false, text_of(piece.error()));
    if (message.size() + piece->bytes.size() > kMostAnswer)
      co_return ProbeResult(false, "the message is too long");
    message.append(piece->bytes);
    last = piece->last;
  }
  const http::Fields* trailers = stream.body().trailers();
  const http::Field* status = trailers == nullptr ? nullptr : trailers->find("grpc-status");
  std::string problem = status_problem(status);
  if (problem.empty()) problem = body_problem(message);
  const bool well = problem.empty();
  co_return ProbeResult(well, std::move(problem));
}

// For grpc-timeout, which has at most eight digits.
std::string timeout_text(Duration timeout) {
  constexpr std::int64_t kMost = 99'999'999;
  return std::to_string(std::min<std::int64_t>(timeout.count(), kMost)) + "m";
}

http::RequestHead check_head(const Endpoint& endpoint, const HealthSettings& settings,
                             std::size_t body_size, Arena& arena) {
  http::RequestHead head(arena);
  head.method = http::Method::post;
  head.method_text = "POST";
  head.authority = arena.copy(probe_authority(endpoint.url(), settings));
  head.length = {http::Framing::length, body_size};
  head.fields.add(http::FieldName::content_type, kContentType);
  head.fields.add(http::FieldName::te, "trailers");
  head.accepts_trailers = true;
  head.fields.add(http::FieldName::user_agent, "revproxyd-health-check");
  head.fields.add("grpc-timeout", arena.copy(timeout_text(settings.timeout)));
  return head;
}

}  // namespace

std::string grpc_check_message(std::string_view service) {
  std::string request;
  if (!service.empty()) {
    request += '\x0A';  // field 1, length-delimited
    put_varint(request, service.size());
    request += service;
  }
  std::string frame(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8)
    frame += static_cast<char>((request.size() >> shift) & 0xFF);
  return frame + request;
}

std::optional<Serving> grpc_serving_status(Bytes body) noexcept {
  const std::optional<Bytes> framed = unframed(body);
  if (!framed) return std::nullopt;
  Message message(*framed);
  std::uint64_t status = 0;  // of a message without the field (proto3)
  while (!message.empty()) {
    std::uint64_t tag = 0;
    if (!message.varint(tag) || tag >> 3 == 0 || tag > 0xFFFFFFFF) return std::nullopt;
    const bool is_status = tag >> 3 == 1;
    if (is_status && (tag & 7) != 0) return std::nullopt;
    if (is_status ? !message.varint(status) : !message.skip(tag & 7)) return std::nullopt;
  }
  return static_cast<Serving>(status);
}

Task<ProbeResult> ask_grpc(http::ClientConnection& connection, const Endpoint& endpoint,
                           const HealthSettings& settings) {
  Arena arena;
  const std::string message = grpc_check_message(settings.service);
  const http::RequestHead request = check_head(endpoint, settings, message.size(), arena);
  auto stream = connection.open_stream();
  stream->stage_head(request, kPath, request.authority);
  const http::Piece whole(message, true);
  auto sent = co_await stream->send_body(whole);
  if (!sent) co_return ProbeResult(false, text_of(sent.error()));
  for (;;) {
    auto head = co_await stream->read_head(arena);
    if (!head) co_return ProbeResult(false, text_of(head.error()));
    if (head->status < 200) continue;
    std::string problem = head_problem(*head);
    if (problem.empty() && head->length.framing == http::Framing::none) problem = "no grpc-status";
    if (!problem.empty()) co_return ProbeResult(false, std::move(problem));
    break;
  }
  auto result = co_await judge_rest(*stream);
  co_return std::move(result);
}

}  // namespace revproxyd::upstream
