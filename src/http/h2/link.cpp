#include "http/h2/link.h"

#include <algorithm>
#include <array>
#include <span>

#include "revproxyd/base/limits.h"

namespace revproxyd::http::h2 {

namespace {

// What is gathered before it is sent within the turn, and what may wait for the kernel; with a
// frame behind it, it fits the slab's largest block.
constexpr std::size_t kGathered = 47 * 1024;

// Answers to the peer's frames that may wait. More than those to PING and SETTINGS for which
// nghttp2 ends the connection, and than any peer needs that reads.
constexpr std::size_t kMostBacklog = 2000;

// Input of all connections of a thread goes through here: what must be kept is copied.
MutableBytes input_room() noexcept {
  static thread_local std::array<char, limits::kStreamRead> room;
  return room;
}

}  // namespace

Link::Link(std::unique_ptr<net::Transport> transport, Session& session, Owner& owner, Side side)
    : transport_(std::move(transport)),
      session_(session),
      owner_(owner),
      late_(*this, &Link::go_on),
      piece_(limits::kFirstRead),
      uptake_timer_(*this, &Link::look_at_uptake),
      side_(side),
      last_input_(loop_now()) {}

Link::~Link() { transport_->readiness().watch(nullptr); }

void Link::start(Bytes received) {
  auto& readiness = transport_->readiness();
  readiness.watch(this);
  take(received);
  input_left_ = !left_.empty() || readiness.readable || readiness.hangup || transport_->pending();
  produce();
  at_turn_end();
}

void Link::stop() noexcept {
  stopped_ = true;
  transport_->readiness().watch(nullptr);
  uptake_timer_.disarm();
  late_.forget();
  forget();
}

void Link::receive() noexcept {
  std::size_t budget = limits::kTurnBytes;
  input_left_ = false;
  if (write_wants_input_) write_wants_input_ = blocked_ = false;
  if (peer_left()) return;
  while (!stopped_ && !failed_) {
    if (budget == 0 || !takes_input()) {
      input_left_ = true;
      break;
    }
    if (!left_.empty()) {
      late_.at_turn_end();
      break;
    }
    const MutableBytes room = input_room().first(piece_);
    const net::IoResult result = transport_->try_read(room);
    if (result.status == net::IoStatus::done) {
      budget -= std::min(budget, result.bytes);
      take(Bytes(room.data(), result.bytes));
      if (result.bytes == room.size() && left_.empty())
        piece_ = std::min(2 * piece_, limits::kStreamRead);
      // A short read has emptied the socket: asking again would only be told so.
      const auto& readiness = transport_->readiness();
      const bool more = readiness.readable || readiness.hangup || transport_->pending();
      if (!more && left_.empty()) break;
      continue;
    }
    if (result.status == net::IoStatus::failed) return fail(result.error.at(side_));
    if (result.status == net::IoStatus::end)
      return fail(Error(Code::end_of_stream, side_, "the peer closed"));
    read_wants_room_ = result.status == net::IoStatus::want_write;
    break;
  }
  if (failed_ || stopped_) return;
  if (write_error_ && !input_left_ && left_.empty()) return fail(*write_error_);
  owner_.on_input_taken();
  if (takes_input() || !blocked_) at_turn_end();
}

// Not when the answers pile up: they are sent first.
bool Link::takes_input() const noexcept {
  return write_error_ || session_.backlog() < kMostBacklog;
}

// What is more than a turn takes is kept; while requests come in such numbers little is read at
// once.
void Link::take(Bytes bytes) noexcept {
  if (bytes.empty()) return;
  last_input_ = loop_now();
  const std::size_t taken = give(bytes);
  if (taken == bytes.size()) return;
  piece_ = limits::kFirstRead;
  left_.append(bytes.substr(taken));
}

std::size_t Link::give(Bytes bytes) noexcept {
  inside_ = true;
  const auto taken = session_.receive(bytes);
  inside_ = false;
  if (taken) return *taken;
  // Its GOAWAY says why, if the peer still listens.
  send();
  fail(taken.error().at(side_));
  return bytes.size();
}

void Link::go_on() noexcept {
  if (peer_left()) return;
  if (takes_input()) left_.consume(give(left_.held()));
  if (left_.empty()) left_.release();
  receive();
}

// A client that has closed reads no answers: what it still sent needs no work.
bool Link::peer_left() noexcept {
  if (side_ != Side::downstream || !transport_->readiness().hangup) return false;
  fail(Error(Code::end_of_stream, side_, "the peer closed"));
  return true;
}

void Link::produce() noexcept {
  if (failed_ || stopped_) return;
  at_turn_end();
  if (inside_ || blocked_) return;
  make_room();
  inside_ = true;
  const auto produced = session_.produce(out_, kGathered);
  inside_ = false;
  if (!produced) return fail(produced.error().at(side_));
  if (out_.size() >= kGathered) send();
}

// As much as was gathered lately: growing step by step copies what is there each time.
void Link::make_room() {
  if (out_.capacity() == 0) out_.reserve(std::max(usual_, limits::kFirstRead));
}

// Everything there is, as long as the kernel takes it.
void Link::send() noexcept {
  while (!failed_ && !blocked_) {
    if (session_.wants_write()) make_room();
    inside_ = true;
    const auto produced = session_.produce(out_, kGathered);
    inside_ = false;
    if (!produced) return fail(produced.error().at(side_));
    if (out_.empty()) break;
    usual_ = std::max(out_.size(), usual_ - usual_ / 64);
    write_out();
  }
}

void Link::write_out() noexcept {
  while (!out_.empty()) {
    const iovec piece = net::piece_of(out_.held());
    const net::IoResult result = transport_->try_write({&piece, 1});
    if (result.status == net::IoStatus::failed) return write_failed(result.error.at(side_));
    if (result.status == net::IoStatus::end)
      return write_failed(Error(Code::reset, side_, "closed while writing"));
    if (result.status != net::IoStatus::done) {
      blocked_ = true;
      write_wants_input_ = result.status == net::IoStatus::want_read;
      if (uptake_.waiting()) return;
      uptake_.wait_begins(net::unacknowledged(*transport_), sent_);
      if (!uptake_timer_.armed()) uptake_timer_.arm(uptake_.period());
      return;
    }
    if (uptake_.waiting()) uptake_.wait_ends();
    sent_ += result.bytes;
    out_.consume(result.bytes);
  }
  uptake_.all_taken();
}

// A server that closes may have answered before: what has come is read first, and its end or its
// failure ends the link, as RFC 9112 section 9.5 has it for HTTP/1.1.
void Link::write_failed(const Error& error) noexcept {
  if (side_ == Side::downstream) return fail(error);
  write_error_ = error;
  blocked_ = input_left_ = true;
  uptake_timer_.disarm();
  out_.release();
  // The event that tells of it may still be on its way.
  auto& readiness = transport_->readiness();
  readiness.readable = readiness.hangup = true;
  at_turn_end();
}

void Link::on_output() noexcept {
  if (write_error_) return;
  if (!blocked_ && !read_wants_room_) return;
  if (!write_wants_input_) blocked_ = false;
  input_left_ = input_left_ || read_wants_room_;
  read_wants_room_ = false;
  at_turn_end();
}

void Link::on_turn_end() noexcept {
  if (input_left_ && !failed_) receive();
  if (!failed_ && !stopped_) {
    send();
    if (out_.empty() && !session_.wants_write()) out_.release();
  }
  if (told_over_ || (!failed_ && !(session_.over() && out_.empty()))) return;
  told_over_ = true;
  owner_.on_link_over();
}

void Link::fail(const Error& error) noexcept {
  if (failed_) return;
  failed_ = true;
  late_.forget();
  uptake_timer_.disarm();
  out_.release();
  transport_->readiness().watch(nullptr);
  owner_.on_link_failed(error);
  at_turn_end();
}

// A peer that acknowledges is slow, but not gone; the kernel tells of room much later. Where it
// tells of it often the timer runs on, or a wait would never be looked at.
void Link::look_at_uptake() noexcept {
  if (!uptake_.waiting()) return;
  if (uptake_.look(net::unacknowledged(*transport_))) return uptake_timer_.arm(uptake_.period());
  // What the kernel holds would stay there for minutes.
  transport_->abort_on_close();
  fail(Error(stall_code_, side_, "the peer takes nothing of what is sent"));
}

}  // namespace revproxyd::http::h2
