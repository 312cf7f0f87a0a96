#pragma once
// Pulls an HTTP/1 body out of a connection: the same for requests and responses.

#include <cstdint>
#include <optional>

#include "http/h1/chunked.h"
#include "http/large_reads.h"
#include "http/rate_meter.h"
#include "revproxyd/base/buffer.h"
#include "revproxyd/http/body.h"
#include "revproxyd/http/head.h"
#include "revproxyd/http/splice.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::http::h1 {

/// Reads from `input` first and then from the transport into it; views handed out point into
/// `input` and die at the next read(). What lies behind the body's end stays in `input`.
class BodyReader final : public Body, public PipeSource {
 public:
  BodyReader(net::Transport& transport, Buffer& input, BodyLength length, Kind kind,
             const HeadLimits& limits);

  void set_rules(const BodyRules& rules) noexcept { rules_ = rules; }
  /// Where trailers may be kept; without it they are dropped.
  void keep_trailers_in(Arena* arena) noexcept { arena_ = arena; }
  /// From now on every byte is the body's, until the peer ends (after 101).
  void become_tunnel() noexcept {
    length_.framing = Framing::tunnel;
    done_ = false;
  }

  Task<Result<Piece>> read() override;
  bool ready() const noexcept override;
  PipeSource* pipe_source() noexcept override;
  Task<Result<void>> receive_into(net::Pipe& pipe) override;
  bool ended() const noexcept override { return done_; }
  const Fields* trailers() const noexcept override { return trailers_ ? &*trailers_ : nullptr; }

  void release() noexcept override {
    release_view();
    if (input_.empty()) input_.release();
  }
  /// The last piece is no longer looked at: its bytes leave `input`.
  void release_view() noexcept {
    input_.consume(viewed_);
    viewed_ = 0;
  }
  /// The end of the message has been read.
  bool done() const noexcept { return done_; }
  /// Bytes still to come when that is known.
  std::optional<std::uint64_t> left() const noexcept;
  /// It is certain by now that the body ends within so many bytes: by its length, or since its end
  /// has been received.
  bool ends_within(std::size_t bytes) const;
  /// Bytes that have been received and not handed out.
  std::size_t waiting() const noexcept { return input_.size() - viewed_; }
  /// Body bytes handed out so far.
  std::uint64_t received() const noexcept { return received_; }

 private:
  Task<Result<Piece>> read_more();
  Result<std::optional<Piece>>
  take();  // a piece out of `input`, or nothing when more input is needed
  Result<std::optional<Piece>> take_length();
  Result<std::optional<Piece>> take_chunked();
  Result<std::optional<Piece>> take_rest();
  Result<Piece> count(Piece piece);
  Result<void> end_chunked();
  Result<Piece> at_end();
  Task<Result<std::size_t>> fill();
  Task<Result<void>> wait(net::Want want);
  std::size_t next_read_size() noexcept;

  net::Transport& transport_;
  Buffer& input_;
  BodyLength length_;
  Kind kind_;
  BodyRules rules_;
  std::optional<ChunkedDecoder> decoder_;  // with chunked framing
  std::optional<Fields> trailers_;
  Arena* arena_ = nullptr;
  std::size_t viewed_ = 0;  // bytes at the front of `input` that the last piece views
  std::uint64_t received_ = 0;
  RateMeter rate_;
  LargeReads large_;
  bool done_ = false;
};

}  // namespace revproxyd::http::h1
