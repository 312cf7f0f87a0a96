#pragma once
// One exchange of an HTTP/1 client connection.

#include <cstdint>
#include <memory>
#include <optional>

#include "http/h1/message_writer.h"
#include "http/h1/server_connection.h"
#include "revproxyd/http/stream.h"

namespace revproxyd::http::h1 {

class ServerStream final : public http::ServerStream {
 public:
  explicit ServerStream(ServerConnection& connection);
  ~ServerStream() override;

  /// The head that was parsed; makes the body.
  void accept(RequestHead&& head, std::size_t head_bytes);
  /// The request cannot be served; `line` is what came of the request line, or its beginning, and
  /// `version` what all of it names.
  void refuse(Error error, Bytes line, std::optional<Version> version, std::size_t head_bytes);

  Arena& arena() noexcept override { return arena_; }
  CancelScope& scope() noexcept override { return scope_; }
  const std::optional<Error>& refusal() const noexcept override { return refusal_; }
  Request take_request() override;
  void set_body_rules(const BodyRules& rules) noexcept override;
  void set_write_rules(Duration stall, std::uint64_t min_rate) noexcept override;
  Task<Result<void>> send_interim(const ResponseHead& head) override;
  void stage_head(const ResponseHead& head) override;
  Task<Result<void>> send_body(Piece piece) override;
  Task<Result<void>> flush() override;
  Task<Result<void>> finish(const Fields& trailers) override;
  PipeSink* pipe_sink() noexcept override { return message_.pipe_sink(); }
  void reset(Code reason) noexcept override;
  void end_connection() noexcept override { keep_alive_ = false; }
  bool head_sent() const noexcept override { return message_.begun(); }
  StreamBytes bytes() const noexcept override;

  /// All of an answer has been written, and no tunnel follows.
  bool answered() const noexcept { return message_.complete() && !upgrade_; }
  /// Some of the request's body has not been read.
  bool awaits_body() const noexcept { return reader_ != nullptr && !upgrade_ && !reader_->done(); }

 private:
  friend class ServerConnection;
  friend class RequestBody;

  Task<Result<Piece>> read_body();
  Task<Result<void>> receive_body(net::Pipe& pipe);
  void body_moved(Code failure) noexcept;
  bool can_keep_alive() const noexcept;
  void open_tunnel();

  ServerConnection& connection_;
  Arena arena_;
  CancelScope scope_;
  std::optional<Error> refusal_;
  std::optional<RequestHead> head_;
  std::unique_ptr<BodyReader> reader_;
  MessageWriter message_;
  Event tunnel_open_;
  std::size_t head_bytes_ = 0;
  Version version_ = Version::http11;
  bool head_request_ = false;
  bool keep_alive_ = false;
  bool upgrade_ = false;
  bool expects_continue_ = false;  // the client waits for a 100 before it sends its body
};

}  // namespace revproxyd::http::h1
