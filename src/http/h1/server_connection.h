#pragma once
// The client's side of HTTP/1: one exchange after the other on one transport.

#include <cstdint>
#include <memory>
#include <optional>

#include "http/h1/body_reader.h"
#include "http/h1/parser.h"
#include "http/h1/writer.h"
#include "revproxyd/base/buffer.h"
#include "revproxyd/base/event.h"
#include "revproxyd/http/connection.h"

namespace revproxyd::http::h1 {

class ServerStream;

/// Alone in reading the client. Between exchanges it waits without a buffer, and is taken apart
/// when that lasts; while the backend works it watches for the client to leave and keeps pipelined
/// bytes up to header_bytes.
class ServerConnection final : public http::ServerConnection,
                               private net::Watcher,
                               private IdleList::Entry {
 public:
  /// `received`: what was read from the transport already.
  ServerConnection(std::unique_ptr<net::Transport> transport,
                   const ServerConnectionSettings& settings, CancelScope& scope,
                   Buffer received = {});
  ~ServerConnection() override;

  Task<Next> next_stream() override;
  void drain() noexcept override;
  void retire() noexcept override { retired_ = true; }
  Task<void> finish() override;
  Resting rest() noexcept override { return {std::move(transport_), served_}; }
  net::Transport& transport() noexcept override { return *transport_; }

 private:
  friend class ServerStream;

  void on_input() noexcept override;
  void on_long_idle() noexcept override;
  Task<Result<void>> discard_unread();
  /// Those of the listener, until an exchange has its own.
  void reset_write_rules() noexcept {
    writer_.set_rules({{settings_.write, settings_.min_rate}, Code::write_timeout});
  }
  void begin_idle() noexcept;
  void release_buffers() noexcept;
  /// 0: nothing has come, or nothing but empty lines, and the client is idle still.
  Task<Result<std::size_t>> receive_head();
  Task<Result<std::size_t>> await_head(net::Want want);
  /// The size of a head that is here, or what is wrong with it; empty: more must come, and `want`
  /// is what to wait for.
  std::optional<Result<std::size_t>> take_head(net::Want& want);
  bool drop_empty_lines() noexcept;
  bool woken_for_nothing(net::Want want) noexcept;
  Next no_request(Code code) noexcept;
  Next no_head(const Error& error);
  Next admit_stream(std::size_t head_size);
  Next refuse_stream(Error error);
  bool request_waits() noexcept;
  void watch_client() noexcept;
  void leave_if_cut_short() noexcept;
  void client_left() noexcept;
  void cut(Code reason) noexcept;
  void stream_ended(ServerStream& stream) noexcept;
  bool last_exchange() const noexcept {
    return draining_ || retired_ || (settings_.requests != 0 && served_ >= settings_.requests);
  }

  std::unique_ptr<net::Transport> transport_;
  CancelScope& scope_;
  CancelScope idle_scope_;  // of the wait for a request: drain() ends it
  ServerConnectionSettings settings_;
  HeadLimits limits_;
  HeadScanner scanner_;
  Writer writer_;
  Buffer in_;
  Buffer ahead_;  // what the client sent behind a request whose last body piece may still be viewed
                  // in in_
  Buffer out_;
  Event stream_gone_;
  ServerStream* stream_ = nullptr;
  std::unique_ptr<BodyReader> unread_;  // what the last exchange left of its request
  std::uint64_t served_ = 0;
  Code failure_ = Code::none;  // how the client ended it within an exchange
  bool resting_ = false;       // it was asked to
  bool closing_ = false;       // no exchange after this one
  bool draining_ = false;      // as asked from outside
  bool retired_ = false;       // no exchange after the next one
  bool failed_ = false;        // it is to end without ceremony
  bool linger_ = false;        // the client may still be sending
};

}  // namespace revproxyd::http::h1
