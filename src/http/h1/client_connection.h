#pragma once
// The origin's side of HTTP/1: a connection that is kept between exchanges.

#include <memory>
#include <optional>

#include "http/h1/body_reader.h"
#include "http/h1/message_writer.h"
#include "http/h1/parser.h"
#include "http/h1/writer.h"
#include "revproxyd/base/buffer.h"
#include "revproxyd/http/connection.h"

namespace revproxyd::http::h1 {

class ClientStream;

class ClientConnection final : public http::ClientConnection, private net::Watcher {
 public:
  ClientConnection(std::unique_ptr<net::Transport> transport,
                   const ClientConnectionSettings& settings, Owner& owner);
  ~ClientConnection() override;

  std::size_t capacity() const noexcept override { return stream_ == nullptr && usable_ ? 1 : 0; }
  std::size_t active() const noexcept override { return stream_ == nullptr ? 0 : 1; }
  std::unique_ptr<http::ClientStream> open_stream() override;
  bool alive() noexcept override;
  net::Transport& transport() noexcept override { return *transport_; }

 private:
  friend class ClientStream;
  void on_input() noexcept override { owner_.on_idle_input(*this); }
  void stream_ended(bool reusable) noexcept;
  bool has_input() noexcept;

  std::unique_ptr<net::Transport> transport_;
  Owner& owner_;
  HeadLimits limits_;
  Writer writer_;
  Buffer in_;
  Buffer out_;
  ClientStream* stream_ = nullptr;
  std::uint64_t served_ = 0;
  bool usable_ = true;
};

class ClientStream final : public http::ClientStream {
 public:
  explicit ClientStream(ClientConnection& connection) noexcept;
  ~ClientStream() override;

  void stage_head(const RequestHead& head, std::string_view target, std::string_view host) override;
  Task<Result<void>> send_body(Piece piece) override;
  Task<Result<void>> flush() override;
  Task<Result<void>> finish(const Fields& trailers) override;
  PipeSink* pipe_sink() noexcept override { return message_.pipe_sink(); }
  Task<Result<void>> half_close() override { return net::shutdown(*connection_.transport_); }
  void set_write_limit(Duration limit) noexcept override;
  void hold_write_limit(bool held) noexcept override { connection_.writer_.hold_stall(held); }
  void await_response(Duration limit) noexcept override;
  Task<Result<ResponseHead>> read_head(Arena& arena) override;
  Body& body() noexcept override { return *reader_; }
  void set_body_rules(const BodyRules& rules) noexcept override;
  bool reused() const noexcept override { return connection_.served_ > 1; }
  bool response_started() const noexcept override { return response_started_; }
  bool request_started() const noexcept override {
    return request_started_ && connection_.writer_.sent() != 0;
  }
  void reset(Code reason) noexcept override;

 private:
  bool may_start() noexcept;
  static Error left_early() noexcept;
  void let_go_of_buffers() noexcept;
  Error head_error(const Error& error) const noexcept;
  Error closed_early() const noexcept;
  Result<ResponseHead> parse(std::size_t size, Arena& arena);

  ClientConnection& connection_;
  HeadScanner scanner_;
  MessageWriter message_;
  std::optional<BodyReader> reader_;
  Method method_ = Method::get;
  std::string_view upgrade_;  // what the request offers; of its exchange
  std::uint32_t interim_ = 0;
  bool request_started_ = false;
  bool response_started_ = false;
  bool keep_alive_ = false;
  bool reset_ = false;
};

}  // namespace revproxyd::http::h1
