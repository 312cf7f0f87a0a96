#pragma once
// One exchange of an HTTP/2 client connection.

#include <cstdint>
#include <memory>
#include <optional>

#include "http/h2/body_reader.h"
#include "http/h2/header_map.h"
#include "http/h2/message_writer.h"
#include "http/h2/server_connection.h"
#include "revproxyd/http/stream.h"

namespace revproxyd::http::h2 {

class ServerStream final : public http::ServerStream, private SessionStream {
 public:
  ServerStream(ServerConnection& connection, StreamId id);
  ~ServerStream() override;

  SessionStream& session_side() noexcept { return *this; }
  StreamId id() const noexcept { return id_; }
  /// The request cannot be served, and nothing can be sent any more.
  void refuse(const Error& error) noexcept;

  Arena& arena() noexcept override { return arena_; }
  CancelScope& scope() noexcept override { return scope_; }
  const std::optional<Error>& refusal() const noexcept override { return refusal_; }
  Request take_request() override;
  void set_body_rules(const BodyRules& rules) noexcept override { reader_.set_rules(rules); }
  void set_write_rules(Duration stall, std::uint64_t min_rate) noexcept override;
  Task<Result<void>> send_interim(const ResponseHead& head) override;
  void stage_head(const ResponseHead& head) override;
  Task<Result<void>> send_body(Piece piece) override;
  Task<Result<void>> flush() override;
  Task<Result<void>> finish(const Fields& trailers) override;
  void reset(Code reason) noexcept override;
  bool head_sent() const noexcept override { return writer_.begun(); }
  StreamBytes bytes() const noexcept override;

 private:
  class RequestBody;
  friend class ServerConnection;

  void on_fields_begin() override { section_.open(SectionKind::request_trailers); }
  void on_field(std::string_view name, std::string_view value) override;
  void on_fields_end(bool last) override;
  void on_body(Bytes bytes) override;
  void on_body_end() override;
  void on_malformed(const char* why) override;
  void on_closed(ErrorCode code) override;
  Outgoing take_body(std::size_t most) noexcept override { return writer_.take(most); }

  void settle_head(bool last);
  void end_with_trailers();
  Task<Result<Piece>> read_body();
  Task<Result<Piece>> read_when_open();
  void open_tunnel();

  ServerConnection& connection_;
  StreamId id_;
  Arena arena_;
  CancelScope scope_;
  Section section_;
  BodyReader reader_;
  MessageWriter writer_;
  std::optional<RequestHead> head_;
  std::optional<Error> refusal_;
  Error fault_{Code::client_gone, Side::downstream, "the stream was reset"};  // if it is cut
  Event tunnel_open_;
  std::size_t head_bytes_ = 0;
  std::size_t sent_head_bytes_ = 0;
  bool head_known_ = false;  // the request's head is complete
  bool head_request_ = false;
  bool upgrade_ = false;
  bool has_body_ = false;
  bool expects_continue_ = false;
  bool closed_ = false;     // the session knows the stream no more
  bool abandoned_ = false;  // reset() was called
};

}  // namespace revproxyd::http::h2
