#pragma once
// Looks at frames that nghttp2 skips without a word although they break the rules: PRIORITY, which
// RFC 9113 has deprecated, and what comes for streams that are closed.

#include <array>
#include <cstddef>
#include <cstdint>

#include "http/h2/terms.h"
#include "revproxyd/base/bytes.h"

namespace revproxyd::http::h2 {

/// Follows the frames of one direction across any division into pieces.
class FrameScan {
 public:
  struct Frame {
    std::uint8_t type;
    std::size_t length;  // of the payload
  };

  class Finder {
   public:
    /// A frame that begins `at` bytes into what is scanned; 0 when it began before. False: not now;
    /// the scan ends, and goes on when what begins there is scanned again.
    virtual bool on_frame(const Frame& frame, std::size_t at) noexcept = 0;
    /// PRIORITY of stream 0, or of a stream that depends on itself (RFC 9113 section 6.3, RFC 7540
    /// section 5.3.1).
    virtual void on_bad_priority() noexcept = 0;
    /// HEADERS that begins `at` bytes into what is scanned; 0 when it began before.
    virtual void on_request_head(std::uint32_t stream, std::size_t at) noexcept = 0;
    /// DATA that begins `at` bytes into what is scanned; 0 when it began before.
    virtual void on_data_head(std::uint32_t stream, std::size_t at) noexcept = 0;
    /// A frame without a use: DATA without bytes that does not end a stream, a type that nobody
    /// knows.
    virtual void on_idle_head() noexcept = 0;
    /// RFC 9113 section 6.9.
    virtual void on_empty_update(std::uint32_t stream) noexcept = 0;
    /// What follows is of no importance any more.
    virtual bool done() const noexcept = 0;

   protected:
    ~Finder() = default;
  };

  /// `preface`: bytes in front of the first frame.
  explicit FrameScan(std::size_t preface) noexcept : skip_(preface) {}

  void scan(Bytes bytes, Finder& finder) noexcept;

 private:
  static constexpr std::size_t kSeen = kFrameHead + 4;  // with the first number of the payload

  void look(Finder& finder, std::size_t at, bool numbered) const noexcept;
  std::size_t wanted() const noexcept;

  std::array<std::uint8_t, kSeen> seen_{};
  std::size_t have_ = 0;
  std::size_t skip_;
};

}  // namespace revproxyd::http::h2
