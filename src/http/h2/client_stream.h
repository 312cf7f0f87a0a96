#pragma once
// One exchange on an HTTP/2 connection to an origin.

#include <cstdint>
#include <optional>
#include <vector>

#include "http/h2/body_reader.h"
#include "http/h2/client_connection.h"
#include "http/h2/header_map.h"
#include "http/h2/message_writer.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/http/stream.h"

namespace revproxyd::http::h2 {

class ClientStream final : public http::ClientStream, private SessionStream {
 public:
  explicit ClientStream(ClientConnection& connection);
  ~ClientStream() override;

  void stage_head(const RequestHead& head, std::string_view target, std::string_view host) override;
  Task<Result<void>> send_body(Piece piece) override;
  Task<Result<void>> flush() override;
  Task<Result<void>> finish(const Fields& trailers) override;
  void set_write_limit(Duration limit) noexcept override;
  void hold_write_limit(bool held) noexcept override { writer_.hold_stall(held); }
  void await_response(Duration limit) noexcept override;
  Task<Result<ResponseHead>> read_head(Arena& arena) override;
  Body& body() noexcept override { return reader_; }
  void set_body_rules(const BodyRules& rules) noexcept override { reader_.set_rules(rules); }
  bool reused() const noexcept override { return !first_; }
  bool response_started() const noexcept override { return response_started_; }
  bool request_started() const noexcept override { return request_started_; }
  bool overtaken() const noexcept override { return reused() && !request_started_ && !refused_; }
  bool reset_alone() const noexcept override { return closed_; }
  void reset(Code reason) noexcept override;

 private:
  friend class ClientConnection;

  void on_fields_begin() override;
  void on_field(std::string_view name, std::string_view value) override;
  void on_fields_end(bool last) override;
  void on_body(Bytes bytes) override { reader_.add(bytes); }
  void on_body_end() override { reader_.end(); }
  void on_malformed(const char* why) override;
  void on_closed(ErrorCode code) override;
  Outgoing take_body(std::size_t most) noexcept override { return writer_.take(most); }
  void on_request_leaves() noexcept override {
    request_started_ = true;
    writer_.head_leaves();
  }

  void take_head(bool last);
  void fail(const Error& error) noexcept;
  void late() noexcept;

  /// Tells the connection last of all: its owner may destroy it then, and the other members still
  /// need it.
  struct Membership {
    explicit Membership(ClientStream& member) noexcept : stream(member) {}
    ~Membership() { stream.connection_.stream_ended(stream); }
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;
    ClientStream& stream;
  };

  ClientConnection& connection_;
  ClientStream* previous_ = nullptr;  // among the connection's
  ClientStream* next_ = nullptr;
  Membership membership_;
  StreamId id_ = 0;
  std::optional<Section> section_;
  BodyReader reader_;
  MessageWriter writer_;
  MemberTimer<ClientStream> first_byte_;
  TimePoint awaits_since_{};
  Event changed_;
  std::vector<ResponseHead> interim_;  // that nobody has read yet
  std::optional<ResponseHead> final_;
  std::optional<Error> error_;
  Method method_ = Method::get;
  std::uint32_t interim_seen_ = 0;
  bool first_;
  bool head_seen_ = false;  // the final one
  bool in_fields_ = false;  // between the first and the last of a section
  bool request_started_ = false;
  bool refused_ = false;  // by itself, not with all that is behind a GOAWAY
  bool response_started_ = false;
  bool closed_ = false;
};

}  // namespace revproxyd::http::h2
