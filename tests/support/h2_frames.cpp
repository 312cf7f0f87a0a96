#include "tests/support/h2_frames.h"

#include <stdexcept>

namespace revproxyd::testing::h2 {

namespace {

constexpr std::uint32_t kStreamBits = 0x7fffffff;
constexpr std::size_t kLengthPrefix = 127;  // seven bits, RFC 7541 section 5.1

std::string bytes_of(std::uint32_t value, std::size_t count) {
  std::string out;
  for (std::size_t i = count; i > 0; --i)
    out += static_cast<char>((value >> (8 * (i - 1))) & 0xffU);
  return out;
}

std::string literal_text(std::string_view text) {
  std::string out;
  std::size_t rest = text.size();
  if (rest < kLengthPrefix) {
    out += static_cast<char>(rest);
  } else {
    out += static_cast<char>(kLengthPrefix);
    for (rest -= kLengthPrefix; rest >= 128; rest /= 128)
      out += static_cast<char>(0x80U | (rest & 0x7fU));
    out += static_cast<char>(rest);
  }
  return out.append(text);
}

}  // namespace

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                  std::string_view payload) {
  std::string out = bytes_of(static_cast<std::uint32_t>(payload.size()), 3);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  return (out + bytes_of(stream, 4)).append(payload);
}

std::string settings(const Settings& list) {
  std::string payload;
  for (const auto& [id, value] : list) payload += bytes_of(id, 2) + bytes_of(value, 4);
  return frame(kSettings, kNone, 0, payload);
}

std::string settings_ack() { return frame(kSettings, kAck, 0, {}); }

std::string literals(const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    out += '\0';  // a literal without indexing, with a new name
    out += literal_text(name) + literal_text(value);
  }
  return out;
}

std::string headers(std::uint32_t stream, const Fields& fields, std::uint8_t flags) {
  const std::string block = literals(fields);
  if (block.size() <= kDefaultFrameSize) return headers_block(stream, block, flags);
  std::string_view rest = block;
  std::string out = headers_block(stream, rest.substr(0, kDefaultFrameSize),
                                  static_cast<std::uint8_t>(flags & ~kEndHeaders));
  for (rest.remove_prefix(kDefaultFrameSize); rest.size() > kDefaultFrameSize;
       rest.remove_prefix(kDefaultFrameSize)) {
    out += continuation(stream, rest.substr(0, kDefaultFrameSize), kNone);
  }
  return out + continuation(stream, rest, flags & kEndHeaders);
}

std::string headers_block(std::uint32_t stream, std::string_view block, std::uint8_t flags) {
  return frame(kHeaders, flags, stream, block);
}

std::string continuation(std::uint32_t stream, std::string_view block, std::uint8_t flags) {
  return frame(kContinuation, flags, stream, block);
}

std::string data(std::uint32_t stream, std::string_view bytes, bool end,
                 std::optional<std::uint8_t> padding) {
  const std::uint8_t flags = end ? kEndStream : kNone;
  if (!padding) return frame(kData, flags, stream, bytes);
  std::string payload(1, static_cast<char>(*padding));
  payload.append(bytes).append(*padding, '\0');
  return frame(kData, flags | kPadded, stream, payload);
}

std::string rst_stream(std::uint32_t stream, std::uint32_t code) {
  return frame(kRstStream, kNone, stream, bytes_of(code, 4));
}

std::string ping(std::string_view opaque, bool ack) {
  return frame(kPing, ack ? kAck : kNone, 0, opaque);
}

std::string goaway(std::uint32_t last, std::uint32_t code, std::string_view debug) {
  return frame(kGoaway, kNone, 0, (bytes_of(last, 4) + bytes_of(code, 4)).append(debug));
}

std::string window_update(std::uint32_t stream, std::uint32_t increment) {
  return frame(kWindowUpdate, kNone, stream, bytes_of(increment, 4));
}

std::string priority(std::uint32_t stream, std::uint32_t dependency, std::uint8_t weight,
                     bool exclusive) {
  const std::uint32_t first = exclusive ? dependency | ~kStreamBits : dependency;
  return frame(kPriority, kNone, stream, bytes_of(first, 4) + static_cast<char>(weight));
}

std::string priority_update(std::uint32_t prioritized, std::string_view value) {
  return frame(kPriorityUpdate, kNone, 0, bytes_of(prioritized, 4).append(value));
}

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
  if (bytes.size() < at + 4) throw std::runtime_error("a frame is too short");
  std::uint32_t value = 0;
  for (const char byte : bytes.substr(at, 4)) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

std::optional<Frame> cut_frame(std::string& buffer) {
  if (buffer.size() < kFrameHead) return std::nullopt;
  const std::size_t size = number_at(buffer, 0) >> 8;
  if (buffer.size() < kFrameHead + size) return std::nullopt;
  Frame out;
  out.type = static_cast<std::uint8_t>(buffer[3]);
  out.flags = static_cast<std::uint8_t>(buffer[4]);
  out.stream = number_at(buffer, 5) & kStreamBits;
  out.payload = buffer.substr(kFrameHead, size);
  buffer.erase(0, kFrameHead + size);
  return out;
}

}  // namespace revproxyd::testing::h2
