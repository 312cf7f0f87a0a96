#pragma once
// A transport in memory whose far end is the test: what arrives, how much the far end takes, when
// it ends, and what was read and written.
//
// Its readiness changes as an edge-triggered poller would make it: an edge when input arrives and
// when room appears, none for what is merely still there.

#include <algorithm>
#include <cassert>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "revproxyd/base/ready_queue.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::test {

/// The far end of one transport. Must outlive it.
class MemoryPeer {
 public:
  static constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

  MemoryPeer() = default;
  MemoryPeer(const MemoryPeer&) = delete;
  MemoryPeer& operator=(const MemoryPeer&) = delete;

  /// The near end; once.
  std::unique_ptr<net::Transport> transport();

  /// Bytes arrive at the transport, all with one edge.
  void send(std::string_view bytes) {
    input_.append(bytes);
    notify(true, false, false);
  }
  /// Bytes that the transport has taken already and holds, as TLS does with records: no edge tells
  /// of them, pending() does.
  void hold(std::string_view bytes) { held_.append(bytes); }
  /// Behind what was sent input never ends and is always there.
  void send_endlessly() {
    endless_ = true;
    notify(true, false, false);
  }
  /// Orderly end of what is sent.
  void end() {
    ended_ = true;
    notify(true, false, true);
  }
  /// The connection is cut: reads and writes fail, what was not read is lost.
  void reset() {
    input_.clear();
    fail(Error(Code::reset, "cut"));
  }
  /// The peer closes while bytes for it are on the way: writes fail, what it sent before can still
  /// be read.
  void refuse_writes() {
    write_error_ = Error(Code::reset, "cut");
    notify(false, true, false);
  }
  /// The transport may write so many more bytes.
  void take_only(std::size_t bytes) { room_ = bytes; }
  void take_more(std::size_t bytes) {
    room_ = room_ > kNoLimit - bytes ? kNoLimit : room_ + bytes;
    notify(false, true, false);
  }
  void take_all() { take_more(kNoLimit); }
  /// The end of the transport's output needs room as well, as close_notify does.
  void take_end_with_room() { end_needs_room_ = true; }
  /// Reads want room first, as for an answer that TLS owes to a message without data.
  void read_with_room() { reads_need_room_ = true; }
  /// No call moves more than so many bytes.
  void limit_calls(std::size_t bytes) { per_call_ = bytes; }
  /// The next writes take only so many bytes each.
  void shorten_writes(std::deque<std::size_t> sizes) { short_writes_ = std::move(sizes); }
  /// Do not keep what is written, only count it.
  void discard_received() { keep_ = false; }

  const std::string& received() const noexcept { return output_; }
  std::string take_received() { return std::exchange(output_, std::string()); }
  std::uint64_t received_bytes() const noexcept { return written_; }
  /// Sent bytes that nobody has read yet.
  std::size_t unread() const noexcept { return input_.size(); }
  /// Calls that moved bytes.
  std::size_t reads() const noexcept { return reads_; }
  std::size_t writes() const noexcept { return writes_; }
  /// The memory that reads were to fill and that writes began with.
  const std::set<const void*>& buffers() const noexcept { return buffers_; }
  bool saw_end() const noexcept { return saw_end_; }  // of our input: FIN
  bool closed() const noexcept { return closed_; }    // the transport is gone
  bool aborted() const noexcept { return aborted_; }  // it was closed with a reset

 private:
  friend class MemoryTransport;

  void notify(bool input, bool output, bool ended) {
    if (readiness_ != nullptr) readiness_->notify(input, output, ended);
  }
  void fail(Error error) {
    read_error_ = write_error_ = error;
    notify(true, true, true);
  }

  net::Readiness* readiness_ = nullptr;
  std::string held_;
  std::string input_;
  std::string output_;
  std::optional<Error> read_error_;
  std::optional<Error> write_error_;
  std::deque<std::size_t> short_writes_;
  std::set<const void*> buffers_;
  std::size_t room_ = kNoLimit;
  std::size_t per_call_ = kNoLimit;
  std::size_t reads_ = 0;
  std::size_t writes_ = 0;
  std::uint64_t written_ = 0;
  bool endless_ = false;
  bool ended_ = false;
  bool keep_ = true;
  bool saw_end_ = false;
  bool end_needs_room_ = false;
  bool reads_need_room_ = false;
  bool closed_ = false;
  bool aborted_ = false;
};

class MemoryTransport final : public net::Transport {
 public:
  explicit MemoryTransport(MemoryPeer& peer) noexcept : peer_(peer) {
    peer_.readiness_ = &readiness_;
    readiness_.readable = !peer_.input_.empty() || peer_.endless_;
    readiness_.hangup = peer_.ended_ || peer_.read_error_;
  }
  ~MemoryTransport() override {
    peer_.readiness_ = nullptr;
    peer_.closed_ = true;
  }

  net::IoResult try_read(MutableBytes into) noexcept override {
    assert(!into.empty());
    note_buffer(into.data());
    if (!peer_.held_.empty()) return give_held(into);
    if (!readiness_.readable && !readiness_.hangup) return net::IoResult::wants(net::Want::read);
    if (peer_.reads_need_room_ && peer_.room_ == 0) return no_room();
    const std::size_t asked = std::min(into.size(), peer_.per_call_);
    const std::size_t held = std::min(asked, peer_.input_.size());
    const std::size_t got = peer_.endless_ ? asked : held;
    if (got == 0) return read_nothing();
    std::memcpy(into.data(), peer_.input_.data(), held);
    std::memset(into.data() + held, 'x', got - held);
    peer_.input_.erase(0, held);
    ++peer_.reads_;
    readiness_.after_read(asked, got);
    ReadyQueue::current().charge(got);
    return net::IoResult::moved(got);
  }

  net::IoResult try_write(std::span<const iovec> pieces) noexcept override {
    if (!readiness_.writable) return net::IoResult::wants(net::Want::write);
    if (peer_.write_error_) return net::IoResult::failure(*peer_.write_error_);
    std::size_t limit = std::min(peer_.room_, peer_.per_call_);
    if (!peer_.short_writes_.empty()) {
      limit = std::min(limit, peer_.short_writes_.front());
      peer_.short_writes_.pop_front();
    }
    if (limit == 0) return no_room();
    note_buffer(pieces.front().iov_base);
    const std::size_t sent = take(pieces, limit);
    ++peer_.writes_;
    ReadyQueue::current().charge(sent);
    return net::IoResult::moved(sent);
  }

  net::IoResult try_shutdown() noexcept override {
    if (peer_.end_needs_room_ && peer_.room_ == 0) return no_room();
    peer_.saw_end_ = true;
    return net::IoResult::moved(0);
  }
  void abort_on_close() noexcept override { peer_.aborted_ = true; }
  bool pending() const noexcept override { return !peer_.held_.empty(); }
  net::Readiness& readiness() noexcept override { return readiness_; }
  int fd() const noexcept override { return -1; }

 private:
  // Enough to see which memory is in use; a long run would only repeat it.
  void note_buffer(const void* memory) {
    if (peer_.buffers_.size() < 64) peer_.buffers_.insert(memory);
  }

  net::IoResult no_room() noexcept {
    readiness_.writable = false;
    return net::IoResult::wants(net::Want::write);
  }

  net::IoResult give_held(MutableBytes into) noexcept {
    const std::size_t got = std::min(into.size(), peer_.held_.size());
    std::memcpy(into.data(), peer_.held_.data(), got);
    peer_.held_.erase(0, got);
    return net::IoResult::moved(got);
  }

  net::IoResult read_nothing() noexcept {
    if (peer_.read_error_) return net::IoResult::failure(*peer_.read_error_);
    if (peer_.ended_) return net::IoResult::ended();
    readiness_.readable = readiness_.hangup = false;
    return net::IoResult::wants(net::Want::read);
  }

  std::size_t take(std::span<const iovec> pieces, std::size_t limit) {
    std::size_t taken = 0;
    for (const iovec& piece : pieces) {
      const std::size_t size = std::min(piece.iov_len, limit - taken);
      if (peer_.keep_) peer_.output_.append(static_cast<const char*>(piece.iov_base), size);
      taken += size;
    }
    if (peer_.room_ != MemoryPeer::kNoLimit) peer_.room_ -= taken;
    peer_.written_ += taken;
    return taken;
  }

  MemoryPeer& peer_;
  net::Readiness readiness_;
};

inline std::unique_ptr<net::Transport> MemoryPeer::transport() {
  return std::make_unique<MemoryTransport>(*this);
}

}  // namespace revproxyd::test
