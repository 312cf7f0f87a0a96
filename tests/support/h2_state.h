#pragma once
// What the frames of one connection add up to: messages, windows, settings. No input and output
// here, so that the client and the origin share it.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/h2_frames.h"

using nghttp2_hd_inflater = struct nghttp2_hd_inflater;

namespace revproxyd::testing {

/// A request or a response as far as it has come.
struct H2Message {
  std::vector<h2::Fields> interim;  // heads of status 1xx
  h2::Fields fields;                // pseudo-fields too, in order, as they came
  h2::Fields trailers;
  std::string body;
  bool ended = false;                  // END_STREAM has come
  std::optional<std::uint32_t> reset;  // code of RST_STREAM

  bool has_head() const noexcept { return !fields.empty(); }
  /// Values of the name, joined with ", "; names are compared as they are.
  std::string field(std::string_view name) const;
  std::string trailer(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  bool has(std::string_view name) const { return count(name) > 0; }
  /// 0 without a head.
  int status() const;
  std::string method() const { return field(":method"); }
  std::string path() const { return field(":path"); }
};

struct H2Goaway {
  std::uint32_t last = 0;
  std::uint32_t code = 0;
  std::string debug;
};

struct H2StateOptions {
  bool answer = true;       // SETTINGS and PING
  bool give_window = true;  // back for every DATA frame, at once
};

/// Not for several threads.
class H2State {
 public:
  using Options = H2StateOptions;

  explicit H2State(const Options& options = {});
  H2State(const H2State&) = delete;
  H2State& operator=(const H2State&) = delete;
  ~H2State();

  /// Takes a frame that has come; the bytes that answer it, mostly none. Throws when the frame is
  /// not one that may come.
  std::string take(const h2::Frame& frame);
  /// Settings that were sent; they hold from their acknowledgement on.
  void note_sent(const h2::Settings& settings);

  /// Empty for a stream of which nothing has come.
  const H2Message& message(std::uint32_t stream) const;
  /// Streams in the order of their numbers.
  std::vector<std::uint32_t> streams() const;

  /// What may be sent on the stream as DATA now.
  std::size_t window(std::uint32_t stream) const;
  void spend(std::uint32_t stream, std::size_t size);

  std::size_t max_frame_size() const;
  /// Nothing while the peer has not said it.
  std::optional<std::uint32_t> setting(std::uint16_t id) const;
  bool settings_came() const noexcept { return settings_came_; }
  bool settings_acknowledged() const noexcept { return unacknowledged_.empty(); }
  /// Frames of the type that have come.
  std::size_t frames(std::uint8_t type) const;
  /// The last one.
  const std::optional<H2Goaway>& goaway() const noexcept { return goaway_; }

 private:
  std::string take_data(const h2::Frame& frame);
  void take_block(const h2::Frame& frame, std::string_view fragment);
  std::string take_settings(const h2::Frame& frame);
  void take_window(const h2::Frame& frame);
  void finish_block();
  h2::Fields decode(std::string_view block);
  std::int64_t first_window() const;

  Options options_;
  nghttp2_hd_inflater* inflater_ = nullptr;
  std::map<std::uint32_t, H2Message> messages_;
  std::map<std::uint16_t, std::uint32_t> settings_;
  bool settings_came_ = false;
  std::vector<h2::Settings> unacknowledged_;
  std::map<std::uint32_t, std::int64_t> windows_;  // of streams; changes only, from the first one
  std::int64_t connection_window_ = h2::kDefaultWindow;
  std::optional<H2Goaway> goaway_;
  std::map<std::uint8_t, std::size_t> frames_;
  std::uint32_t block_stream_ = 0;  // a block that CONTINUATION goes on with
  bool block_ends_ = false;
  std::string block_;
};

}  // namespace revproxyd::testing
