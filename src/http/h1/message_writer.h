#pragma once
// The sending half of one HTTP/1 message: framing around body pieces, gathered with the head into
// as few writes as can be.

#include <array>
#include <cstdint>

#include "http/h1/writer.h"
#include "revproxyd/base/buffer.h"
#include "revproxyd/http/body.h"
#include "revproxyd/http/head.h"
#include "revproxyd/http/splice.h"

namespace revproxyd::http::h1 {

/// `out` holds what is staged: the head, which the caller serialises into it, and small pieces.
class MessageWriter final : public PipeSink {
 public:
  MessageWriter(Buffer& out, Writer& writer) noexcept : out_(out), writer_(writer) {}

  /// The head is in `out`; `length` is the framing that it announced. Framing::none: pieces are
  /// dropped, the last one still ends the message.
  void begin(BodyLength length) noexcept;
  bool begun() const noexcept { return begun_; }
  /// Only the connection's end delimits the message.
  bool ends_with_connection() const noexcept { return length_.framing == Framing::until_close; }

  Task<Result<void>> send(Piece piece);
  Task<Result<void>> flush();
  /// Ends with a trailer section where the framing has one; other framings drop it.
  Task<Result<void>> finish(const Fields& trailers);
  /// This, if the body's bytes go out as they are.
  PipeSink* pipe_sink() noexcept {
    return begun_ && length_.framing == Framing::length && writer_.splices() ? this : nullptr;
  }
  Task<Result<void>> send_from(net::Pipe& pipe, bool last) override;

  /// Body bytes taken so far, without framing; after a write that failed those that went out.
  std::uint64_t body_bytes() const noexcept { return sent_; }
  /// The whole message has been handed to the kernel.
  bool complete() const noexcept { return complete_; }

 private:
  using Pieces = std::array<iovec, 3>;  // what is staged, the body's bytes, the framing behind them

  bool stage(const Piece& piece);
  Task<Result<void>> send_rest(Pieces pieces, std::size_t first, Piece piece);
  void sent_whole(bool last) noexcept;
  Task<Result<void>> write_staged();
  Result<void> count(std::size_t bytes, bool last) noexcept;
  Error take_back(const Error& error, std::size_t size) noexcept;

  Buffer& out_;
  Writer& writer_;
  BodyLength length_;
  std::uint64_t sent_ = 0;
  std::uint64_t mark_ = 0;  // what the writer had written before what is being written
  std::size_t staged_ = 0;  // body bytes in out_
  bool begun_ = false;
  bool complete_ = false;
};

}  // namespace revproxyd::http::h1
