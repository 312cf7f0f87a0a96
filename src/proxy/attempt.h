#pragma once
// One try to get a request answered by one server: its stream, and the pump that sends the
// request's body beside the wait for the head.

#include <memory>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/event.h"
#include "revproxyd/base/task_group.h"
#include "revproxyd/pipeline/exchange.h"
#include "revproxyd/upstream/cluster.h"

namespace revproxyd::proxy {

/// How a request goes upstream; views live as long as the exchange.
struct UpstreamRequest {
  std::string_view target;
  std::string_view host;
  http::Body* body = nullptr;  // null when there is none
  bool upgrade = false;        // the body is a tunnel that 101 opens
  Duration first_byte{0};
  Duration idle{0};
  Duration tunnel{0};
  Duration deadline{0};  // until all of the exchange must be over; 0: none
};

/// Kept by the exchange until it is over. The pump is joined before the stream goes.
class Attempt final : public pipeline::Running {
 public:
  Attempt(upstream::Lease lease, pipeline::Exchange& exchange, const UpstreamRequest& request);

  /// Sends the request, passes interim responses on, and returns the final head. On 101 the tunnel
  /// is open.
  Task<Result<http::ResponseHead>> round_trip() { return exchange_heads().under(scope_); }
  /// The response's body after the head; views this attempt, which the exchange keeps.
  std::unique_ptr<http::Body> take_body(const http::ResponseHead& head);

  bool ended() const noexcept override { return pump_.size() == 0; }
  Task<void> finish() override;
  http::ClientStream& stream() noexcept { return lease_.stream(); }
  upstream::Endpoint& endpoint() noexcept { return lease_.endpoint(); }
  /// The client's body failed, so no other server will do better. Code::none if it did not.
  const Error& downstream_error() const noexcept { return downstream_error_; }

 private:
  friend class UpstreamBody;
  friend class TunnelBody;

  Task<Result<http::ResponseHead>> exchange_heads();
  Task<void> pump();
  Task<void> end_clients_side();
  Task<Result<void>> pump_pieces();
  Task<bool> may_go_on();
  bool may_pause(const Error& error) noexcept;
  Task<Result<http::ResponseHead>> pass_interim(http::ResponseHead head);
  const Error& to_blame(const Error& error) const noexcept;
  std::uint64_t uploaded() const noexcept;  // bytes of the body that came from the client
  void touch_tunnel() noexcept;
  void deadline_passed();

  upstream::Lease lease_;
  pipeline::Exchange& exchange_;
  UpstreamRequest request_;
  CancelScope scope_;
  TaskGroup pump_;
  Deadline tunnel_deadline_;
  MemberTimer<Attempt> deadline_{*this, &Attempt::deadline_passed};
  Event go_on_;  // the origin asked for the body
  Error downstream_error_{Code::none};
  Error pause_{Code::none};  // why the client would have been given up, had it no answer
  std::uint64_t paused_at_ = 0;
  bool awaits_continue_ = false;
  bool tunnel_ = false;
  bool answered_ = false;  // the final head has been taken
  bool ending_ = false;    // the client's side of the tunnel has ended
};

}  // namespace revproxyd::proxy
