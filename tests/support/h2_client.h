#pragma once
// A client that speaks HTTP/2 as correctly or as wrongly as a test tells it to.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/h2_state.h"
#include "tests/support/raw_client.h"

namespace revproxyd::testing {

struct H2ClientOptions {
  bool open = true;       // preface and SETTINGS are sent at once
  h2::Settings settings;  // those
  H2StateOptions state;
};

/// For one thread. Frames that come are taken while one of the reading calls waits, and answered
/// as the options say.
class H2Client {
 public:
  /// By prior knowledge.
  explicit H2Client(std::uint16_t port, const H2ClientOptions& options = {});
  /// By ALPN: throws TlsError when the other side does not choose h2.
  H2Client(std::uint16_t port, ClientTls tls, const H2ClientOptions& options = {});
  /// Over a connection that exists already.
  explicit H2Client(RawClient connected, const H2ClientOptions& options = {});

  /// Frames of h2_frames.h, or anything else.
  H2Client& send(std::string_view bytes);
  /// SETTINGS that are to hold for what comes, too.
  H2Client& settings(const h2::Settings& list);

  /// The pseudo-fields for this connection and the host `test`, and `more`.
  h2::Fields fields(const std::string& method, const std::string& path,
                    const h2::Fields& more = {}) const;
  /// HEADERS on the next stream; its number.
  std::uint32_t open(const h2::Fields& fields, bool end = true);
  std::uint32_t next_stream() noexcept;
  /// As the windows permit; waits for them. Returns early when the stream is reset.
  void send_body(std::uint32_t stream, std::string_view body, bool end = true);

  H2Message get(const std::string& path, const h2::Fields& more = {});
  H2Message request(const h2::Fields& fields, std::string_view body = {});

  /// The next frame; nothing at the end of the connection. Throws TimedOut.
  std::optional<h2::Frame> read_frame(Milliseconds patience = kPatience);
  /// Reads until it holds; false when the connection ends or `patience` is over first.
  bool read_until(const std::function<bool(const H2State&)>& holds,
                  Milliseconds patience = kPatience);
  /// The message on the stream once it has ended or was reset; Disconnected when the connection
  /// ends before, TimedOut.
  H2Message response(std::uint32_t stream);
  /// The same as soon as its head is there.
  H2Message response_head(std::uint32_t stream);
  /// The next that comes, or the last that came; throws as response().
  H2Goaway goaway();
  /// Code of RST_STREAM on the stream, nothing when the message ends or the connection does.
  std::optional<std::uint32_t> reset_code(std::uint32_t stream);
  /// Sends PING and reads up to its answer: whatever was sent before has been seen. False when the
  /// connection ends.
  bool round_trip();
  /// True when the connection ends within `patience`; frames may come before.
  bool closes(Milliseconds patience = kPatience);
  /// True when no frame comes, and no end, for so long.
  bool stays_quiet(Milliseconds duration);

  const H2State& state() const noexcept { return *state_; }
  Stream& stream() noexcept { return raw_.stream(); }

 private:
  H2Message await(std::uint32_t stream, const std::function<bool(const H2Message&)>& there);

  RawClient raw_;
  std::string scheme_;
  std::unique_ptr<H2State> state_;
  std::string buffer_;
  std::uint32_t next_ = 1;
  std::uint64_t pings_ = 0;
};

}  // namespace revproxyd::testing
