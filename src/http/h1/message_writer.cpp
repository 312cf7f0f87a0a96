#include "http/h1/message_writer.h"

#include <algorithm>

#include "http/framing.h"
#include "http/h1/serializer.h"
#include "revproxyd/base/limits.h"

namespace revproxyd::http::h1 {

namespace {

// Pieces up to this size are copied behind what is staged rather than written on their own.
constexpr std::size_t kSmallPiece = 2048;

}  // namespace

void MessageWriter::begin(BodyLength length) noexcept {
  length_ = length;
  sent_ = 0;
  begun_ = true;
  complete_ = false;
}

Task<Result<void>> MessageWriter::send(Piece piece) {
  using Sent = Task<Result<void>>;
  if (length_.framing == Framing::none) piece.bytes = {};
  if (auto counted = count(piece.bytes.size(), piece.last); !counted) return Sent::settled(counted);
  if (stage(piece)) return Sent::settled(Result<void>());
  const bool chunked = length_.framing == Framing::chunked;
  Bytes tail;
  if (chunked && !piece.bytes.empty()) {
    write_chunk_size(piece.bytes.size(), out_);
    tail = piece.last ? Bytes("\r\n0\r\n\r\n") : Bytes("\r\n");
  } else if (chunked && piece.last) {
    tail = "0\r\n\r\n";
  }
  Pieces pieces{net::piece_of(out_.held()), net::piece_of(piece.bytes), net::piece_of(tail)};
  mark_ = writer_.sent();
  auto left = writer_.write_now(pieces);
  if (!left) return Sent::settled(take_back(left.error(), piece.bytes.size()));
  if (!left->empty())
    return send_rest(pieces, static_cast<std::size_t>(left->data() - pieces.data()), piece);
  sent_whole(piece.last);
  return Sent::settled(Result<void>());
}

Task<Result<void>> MessageWriter::send_rest(Pieces pieces, std::size_t first, Piece piece) {
  auto written = co_await writer_.write(std::span<iovec>(pieces).subspan(first));
  if (!written) co_return take_back(written.error(), piece.bytes.size());
  sent_whole(piece.last);
  co_return {};
}

void MessageWriter::sent_whole(bool last) noexcept {
  out_.clear();
  staged_ = 0;
  complete_ = last;
}

Result<void> MessageWriter::count(std::size_t bytes, bool last) noexcept {
  auto checked = check_sent(length_, sent_ + bytes, last);
  if (checked) sent_ += bytes;
  return checked;
}

// A write of what is staged and `size` body bytes failed: those that did not go out were not sent.
// Of staged chunks the framing counts as if it stood in front.
Error MessageWriter::take_back(const Error& error, std::size_t size) noexcept {
  const std::uint64_t written = writer_.sent() - mark_;
  const std::uint64_t head = std::min<std::uint64_t>(written, out_.size());
  sent_ -= std::min<std::uint64_t>(out_.size() - head, staged_);
  sent_ -= size - std::min<std::uint64_t>(written - head, size);
  staged_ = 0;
  return error;
}

bool MessageWriter::stage(const Piece& piece) {
  if (piece.last || piece.bytes.size() > kSmallPiece ||
      out_.size() + piece.bytes.size() > limits::kGather)
    return false;
  if (piece.bytes.empty()) return true;
  const bool chunked = length_.framing == Framing::chunked;
  if (chunked) write_chunk_size(piece.bytes.size(), out_);
  out_.append(piece.bytes);
  staged_ += piece.bytes.size();
  if (chunked) out_.append("\r\n");
  return true;
}

Task<Result<void>> MessageWriter::flush() {
  return out_.empty() ? Task<Result<void>>::settled(Result<void>()) : write_staged();
}

Task<Result<void>> MessageWriter::write_staged() {
  iovec staged = net::piece_of(out_.held());
  std::span<iovec> all(&staged, 1);
  mark_ = writer_.sent();
  auto written = co_await writer_.write(all);
  if (!written) co_return take_back(written.error(), 0);
  sent_whole(false);
  co_return {};
}

Task<Result<void>> MessageWriter::send_from(net::Pipe& pipe, bool last) {
  if (auto counted = count(pipe.size(), last); !counted) co_return counted.error();
  auto written = co_await writer_.write_from(pipe);
  if (!written) {
    sent_ -= pipe.size();
    co_return written.error();
  }
  complete_ = last;
  co_return {};
}

Task<Result<void>> MessageWriter::finish(const Fields& trailers) {
  if (auto checked = check_sent(length_, sent_, true); !checked) co_return checked.error();
  if (length_.framing == Framing::chunked) write_last_chunk(&trailers, out_);
  auto flushed = co_await flush();
  if (!flushed) co_return flushed.error();
  complete_ = true;
  co_return {};
}

}  // namespace revproxyd::http::h1
