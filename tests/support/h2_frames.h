#pragma once
// Frames of HTTP/2 as bytes (RFC 9113 section 4): whatever a test asks for, valid or not.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace revproxyd::testing::h2 {

using Fields = std::vector<std::pair<std::string, std::string>>;
using Settings = std::vector<std::pair<std::uint16_t, std::uint32_t>>;

/// What a client sends first.
inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames.
inline constexpr std::uint8_t kData = 0;
inline constexpr std::uint8_t kHeaders = 1;
inline constexpr std::uint8_t kPriority = 2;
inline constexpr std::uint8_t kRstStream = 3;
inline constexpr std::uint8_t kSettings = 4;
inline constexpr std::uint8_t kPushPromise = 5;
inline constexpr std::uint8_t kPing = 6;
inline constexpr std::uint8_t kGoaway = 7;
inline constexpr std::uint8_t kWindowUpdate = 8;
inline constexpr std::uint8_t kContinuation = 9;
inline constexpr std::uint8_t kPriorityUpdate = 16;  // RFC 9218

// Flags.
inline constexpr std::uint8_t kNone = 0;
inline constexpr std::uint8_t kAck = 0x01;
inline constexpr std::uint8_t kEndStream = 0x01;
inline constexpr std::uint8_t kEndHeaders = 0x04;
inline constexpr std::uint8_t kPadded = 0x08;
inline constexpr std::uint8_t kHasPriority = 0x20;
inline constexpr std::uint8_t kEndBoth = kEndStream | kEndHeaders;

// Settings.
inline constexpr std::uint16_t kHeaderTableSize = 1;
inline constexpr std::uint16_t kEnablePush = 2;
inline constexpr std::uint16_t kMaxConcurrentStreams = 3;
inline constexpr std::uint16_t kInitialWindowSize = 4;
inline constexpr std::uint16_t kMaxFrameSize = 5;
inline constexpr std::uint16_t kMaxHeaderListSize = 6;
inline constexpr std::uint16_t kEnableConnectProtocol = 8;  // RFC 8441
inline constexpr std::uint16_t kNoRfc7540Priorities = 9;    // RFC 9218

// Error codes.
inline constexpr std::uint32_t kNoError = 0;
inline constexpr std::uint32_t kProtocolError = 1;
inline constexpr std::uint32_t kInternalError = 2;
inline constexpr std::uint32_t kFlowControlError = 3;
inline constexpr std::uint32_t kSettingsTimeout = 4;
inline constexpr std::uint32_t kStreamClosed = 5;
inline constexpr std::uint32_t kFrameSizeError = 6;
inline constexpr std::uint32_t kRefusedStream = 7;
inline constexpr std::uint32_t kCancel = 8;
inline constexpr std::uint32_t kCompressionError = 9;
inline constexpr std::uint32_t kConnectError = 10;
inline constexpr std::uint32_t kEnhanceYourCalm = 11;
inline constexpr std::uint32_t kInadequateSecurity = 12;
inline constexpr std::uint32_t kHttp11Required = 13;

inline constexpr std::size_t kFrameHead = 9;
/// Largest payload and first window of who has said nothing else.
inline constexpr std::size_t kDefaultFrameSize = 16384;
inline constexpr std::int64_t kDefaultWindow = 65535;

struct Frame {
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;
  std::string payload;

  bool has(std::uint8_t flag) const noexcept { return (flags & flag) != 0; }
};

/// Any frame; its length is that of the payload.
std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                  std::string_view payload);

std::string settings(const Settings& list = {});
std::string settings_ack();

/// HPACK (RFC 7541): every field a literal that is not indexed, never Huffman; nothing is checked.
std::string literals(const Fields& fields);
/// A HEADERS frame and, where the block is larger than a frame, the CONTINUATION frames.
std::string headers(std::uint32_t stream, const Fields& fields, std::uint8_t flags = kEndBoth);
/// One frame with this block.
std::string headers_block(std::uint32_t stream, std::string_view block,
                          std::uint8_t flags = kEndBoth);
std::string continuation(std::uint32_t stream, std::string_view block,
                         std::uint8_t flags = kEndHeaders);
/// One DATA frame; `padding` bytes behind where it is given.
std::string data(std::uint32_t stream, std::string_view bytes, bool end = false,
                 std::optional<std::uint8_t> padding = std::nullopt);
std::string rst_stream(std::uint32_t stream, std::uint32_t code);
std::string ping(std::string_view opaque, bool ack = false);
std::string goaway(std::uint32_t last, std::uint32_t code, std::string_view debug = {});
std::string window_update(std::uint32_t stream, std::uint32_t increment);
/// `weight` as on the wire, one less than it means.
std::string priority(std::uint32_t stream, std::uint32_t dependency, std::uint8_t weight = 15,
                     bool exclusive = false);
std::string priority_update(std::uint32_t prioritized, std::string_view value);

/// A number of four bytes at `at`; throws when they are not there.
std::uint32_t number_at(std::string_view bytes, std::size_t at);

/// Takes the first frame out of `buffer`; nothing when it is not whole.
std::optional<Frame> cut_frame(std::string& buffer);

}  // namespace revproxyd::testing::h2
