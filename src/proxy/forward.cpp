#include "proxy/forward.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include "proxy/attempt.h"
#include "proxy/held_body.h"
#include "proxy/max_forwards.h"
#include "proxy/record.h"
#include "proxy/upstream_request.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/random_source.h"
#include "revproxyd/http/hop_by_hop.h"
#include "revproxyd/pipeline/error_response.h"
#include "revproxyd/pipeline/grpc.h"
#include "revproxyd/proxy/snapshot.h"
#include "revproxyd/tls/random.h"

namespace revproxyd::proxy {

namespace {

using upstream::RetrySettings;

std::uint64_t seed_from_system() noexcept {
  std::array<std::uint8_t, 8> bytes;
  tls::fill_random(bytes);
  std::uint64_t seed = 0;
  for (std::uint8_t byte : bytes) seed = seed << 8 | byte;
  return seed;
}

// With its port where the client is the peer itself; a hop of X-Forwarded-For has none.
const net::Address& client_of(const pipeline::Exchange& exchange) noexcept {
  const net::Address& peer = exchange.client().peer;
  return !exchange.standing().trusted || peer.bytes() == exchange.address().bytes()
             ? peer
             : exchange.address();
}

bool retried_by_default(http::Method method) noexcept {
  return method == http::Method::get || method == http::Method::head ||
         method == http::Method::options;
}

// Handlers are shared by all workers; each draws from its own source.
RandomSource& random_source() noexcept {
  thread_local RandomSource source(seed_from_system());
  return source;
}

std::chrono::microseconds in_microseconds(Clock::duration time) noexcept {
  return std::chrono::duration_cast<std::chrono::microseconds>(time);
}

bool is_out_of_descriptors(const Error& error) noexcept {
  return error.code() == Code::system && (error.sys() == EMFILE || error.sys() == ENFILE);
}

// Blames no server, so that no other is tried.
constexpr Error kLate(Code::deadline_exceeded, Side::downstream, "grpc-timeout has passed");

/// How far a failed try got.
struct Failure {
  Error error{Code::none};
  bool sent = false;  // some of the request may have reached the server
  bool response_began = false;
  bool kept = false;         // it lost a kept connection, the first that this request has lost
  std::uint16_t status = 0;  // of a response whose status is listed for retry
  bool granted = false;      // another try has been decided
  bool over_budget = false;  // nothing else speaks against one
};

/// Everything that one request goes through until it has a response.
class Forwarding {
 public:
  Forwarding(pipeline::Exchange& exchange, const RouteSettings& route, upstream::Cluster& cluster);
  /// One try; empty when it failed.
  Task<std::optional<http::Response>> attempt();
  /// Asks after a failed try; error() when there is none.
  Task<bool> another_try();
  const Error& error() const noexcept { return failure_.error; }
  /// Puts the request's body back to its beginning.
  bool rewind() noexcept { return held_ == nullptr || held_->rewind(); }

 private:
  Task<upstream::Acquired> acquire(const upstream::Demand& wanted, Clock::duration& queued);
  Task<upstream::Acquired> acquire_in_time(const upstream::Demand& wanted, Clock::duration& queued);
  Attempt& begin(upstream::Lease lease);
  void fail(Attempt& attempt, const Error& error) noexcept;
  void excuse() noexcept;
  bool give_up(std::uint16_t status) noexcept;
  http::Response accept(Attempt& attempt, http::ResponseHead head);
  UpstreamRequest request_to(const upstream::Endpoint& endpoint);
  upstream::Demand demand() const;
  bool listed(std::uint16_t status) const noexcept;
  bool may_retry() noexcept;
  bool within_budget() noexcept;
  Task<bool> moves_away();
  bool late() const noexcept { return deadline_.count() > 0 && since_arrival() >= deadline_; }
  Duration since_arrival() const noexcept { return since(exchange_.notes.began); }
  Duration time_left() const noexcept;

  pipeline::Exchange& exchange_;
  const RouteSettings& route_;
  upstream::Cluster& cluster_;
  const upstream::UpstreamSettings& settings_;
  HeldBody* held_ = nullptr;  // the request's body, if it has one
  // The first tries_ are set; null for a try that got no server, or was none.
  std::array<const upstream::Endpoint*, upstream::RetrySettings::kMostAttempts> tried_;
  std::uint32_t tries_ = 0;
  std::uint32_t vain_ = 0;                        // of these, on connections that were about to end
  const upstream::Endpoint* endpoint_ = nullptr;  // of the last try; null when it got none
  const upstream::Endpoint* excused_ = nullptr;   // had the last try that was none
  Duration deadline_{0};                // for all tries, from the arrival of the request; 0: none
  std::optional<TimePoint> lost_kept_;  // when a try failed on a connection that had served before
  Failure failure_;
};

Forwarding::Forwarding(pipeline::Exchange& exchange, const RouteSettings& route,
                       upstream::Cluster& cluster)
    : exchange_(exchange), route_(route), cluster_(cluster), settings_(cluster.settings()) {
  exchange_.notes.upstream = settings_.name;
  settle_upgrade(exchange_, route_);
  if (pipeline::is_grpc(exchange_.head().fields))
    deadline_ = pipeline::grpc_timeout(exchange_.head().fields).value_or(Duration::zero());
  http::Request& request = exchange_.request();
  if (request.body != nullptr && request.head.length.framing != http::Framing::none) {
    // The exchange owns it: the pump goes on reading when this object is gone.
    auto held = std::make_unique<HeldBody>(std::move(request.body));
    held_ = held.get();
    request.body = std::move(held);
  }
}

upstream::Demand Forwarding::demand() const {
  upstream::Demand demand;
  demand.key = pick_key(exchange_, settings_.balance);
  demand.origin = {&client_of(exchange_), &exchange_.client().local,
                   !exchange_.head().upgrade.empty()};
  demand.reuse.recent = !retried_by_default(exchange_.head().method);
  // What has closed one kept connection may have closed the others.
  if (lost_kept_) demand.reuse.made_since = *lost_kept_;
  demand.tried = std::span(tried_).first(tries_);
  return demand;
}

// Empty when the try failed: failure_ says how.
Task<std::optional<http::Response>> Forwarding::attempt() {
  failure_ = Failure();
  const upstream::Demand wanted = demand();
  const TimePoint begun = loop_now();
  Clock::duration queued{0};
  auto acquired = co_await acquire(wanted, queued);
  exchange_.notes.queue += in_microseconds(queued);
  exchange_.notes.connect = in_microseconds(loop_now() - begun - queued);
  endpoint_ = acquired.endpoint;
  tried_[tries_++] = endpoint_;
  if (acquired.endpoint != nullptr) exchange_.notes.server = acquired.endpoint->url().text;
  if (!acquired.lease) {
    // Whoever gave up has learned nothing about the server, and whoever joined a connect nothing
    // that its maker does not tell.
    const bool ended = exchange_.scope().cancelled() || late();
    if (acquired.endpoint != nullptr && !acquired.told && !ended) {
      if (!acquired.joined) ++exchange_.notes.connect_failures;
      log_server_failure(settings_.name, exchange_.notes.server, acquired.lease.error());
    }
    failure_.error = late() ? kLate : acquired.lease.error();
    co_return std::nullopt;
  }
  Attempt& attempt = begin(std::move(*acquired.lease));
  auto head = co_await attempt.round_trip();
  if (!head) {
    fail(attempt, head.error());
    co_return std::nullopt;
  }
  if (listed(head->status) && give_up(head->status)) co_return std::nullopt;
  co_return accept(attempt, std::move(*head));
}

Duration Forwarding::time_left() const noexcept {
  if (deadline_.count() == 0) return Duration::zero();
  return std::max(deadline_ - since_arrival(), Duration(1));
}

Task<upstream::Acquired> Forwarding::acquire(const upstream::Demand& wanted,
                                             Clock::duration& queued) {
  return deadline_.count() == 0 ? cluster_.acquire(wanted, queued)
                                : acquire_in_time(wanted, queued);
}

Task<upstream::Acquired> Forwarding::acquire_in_time(const upstream::Demand& wanted,
                                                     Clock::duration& queued) {
  CancelScope scope(&exchange_.scope());
  Deadline deadline(scope);
  deadline.set(time_left(), Code::deadline_exceeded);
  auto acquiring = cluster_.acquire(wanted, queued);
  auto scoped = std::move(acquiring).under(scope);
  auto acquired = co_await std::move(scoped);
  co_return std::move(acquired);
}

Attempt& Forwarding::begin(upstream::Lease lease) {
  exchange_.notes.connected = true;
  ++(lease.stream().reused() ? exchange_.notes.reuses : exchange_.notes.connects);
  const UpstreamRequest request = request_to(lease.endpoint());
  auto owned = std::make_unique<Attempt>(std::move(lease), exchange_, request);
  Attempt& attempt = *owned;
  exchange_.keep(std::move(owned));
  return attempt;
}

void Forwarding::fail(Attempt& attempt, const Error& error) noexcept {
  // A client that leaves, fails or does not want to wait says nothing about the server.
  const bool client_failed =
      late() || exchange_.scope().cancelled() || attempt.downstream_error().code() != Code::none;
  const bool overtaken = attempt.stream().overtaken();
  failure_.error = late() ? kLate : error;
  failure_.sent = attempt.stream().request_started();
  if (overtaken) excuse();
  failure_.response_began = attempt.stream().response_started();
  failure_.kept = attempt.stream().reused() && !attempt.stream().reset_alone() &&
                  !failure_.response_began && !lost_kept_;
  if (failure_.kept) lost_kept_ = loop_now();
  // Servers close connections when they like: that has failed a request only where it cannot go on.
  if (client_failed || (overtaken && may_retry())) return;
  attempt.endpoint().count_failure();
  log_server_failure(settings_.name, exchange_.notes.server, error);
}

// The server has not looked at it, so there is no reason to leave it. One that does the same again
// may never look.
void Forwarding::excuse() noexcept {
  ++vain_;
  if (std::exchange(excused_, endpoint_) != endpoint_) tried_[tries_ - 1] = nullptr;
}

// For a status that is listed for retry. Asked once: a granted retry has been paid for. The
// request's body must be here whole, for this answer is given up.
bool Forwarding::give_up(std::uint16_t status) noexcept {
  failure_.error = Error(Code::reset, Side::upstream, "answered with a status that is retried");
  failure_.status = status;
  failure_.sent = true;
  failure_.granted = (held_ == nullptr || held_->complete()) && may_retry();
  return failure_.granted;
}

http::Response Forwarding::accept(Attempt& attempt, http::ResponseHead head) {
  if (held_ != nullptr) held_->let_go();
  exchange_.notes.ttfb = in_microseconds(loop_now() - exchange_.notes.began);
  exchange_.notes.answered = true;
  const std::string_view upgrade =
      head.status == 101 ? head.fields.get(http::FieldName::upgrade) : std::string_view();
  http::remove_hop_by_hop(head.fields);
  if (!upgrade.empty()) head.fields.set(http::FieldName::upgrade, upgrade);
  // Chunks tell a client the end from a break, and keep its connection.
  if (head.length.framing == http::Framing::until_close)
    head.length.framing = http::Framing::chunked;
  auto body = attempt.take_body(head);
  http::Response response(std::move(head));
  response.body = std::move(body);
  return response;
}

UpstreamRequest Forwarding::request_to(const upstream::Endpoint& endpoint) {
  http::Request& original = exchange_.request();
  UpstreamRequest request;
  request.target = upstream_target(exchange_);
  request.host = upstream_host(
      exchange_, route_.host_header ? *route_.host_header : settings_.host_header, endpoint);
  request.upgrade = !original.head.upgrade.empty();
  request.body = original.body.get();
  request.first_byte = settings_.timeouts.first_byte;
  request.idle = settings_.timeouts.idle;
  request.tunnel = exchange_.tunnel_timeout;
  request.deadline = time_left();
  // A call may be silent, and not be taken, for as long as a tunnel.
  if (pipeline::is_grpc(original.head.fields)) request.first_byte = request.idle = request.tunnel;
  return request;
}

bool Forwarding::listed(std::uint16_t status) const noexcept {
  for (std::uint16_t wanted : settings_.retry.statuses) {
    if (wanted == status) return true;
  }
  return false;
}

// The one place that decides about another try. What provably was not sent is safe for every method
// and costs no budget; what may have been processed is repeated only where repeating is harmless.
bool Forwarding::may_retry() noexcept {
  const RetrySettings& retry = settings_.retry;
  const Error& error = failure_.error;
  if (tries_ - vain_ >= retry.attempts || tries_ >= RetrySettings::kMostAttempts ||
      exchange_.scope().cancelled() || late())
    return false;
  if (held_ != nullptr && !held_->can_rewind()) return false;
  const http::Method method = exchange_.head().method;
  if (failure_.status != 0) return retried_by_default(method) && within_budget();
  if (error.side() != Side::upstream) return false;
  if (!failure_.sent) {
    return error.code() != Code::no_server && error.code() != Code::queue_full &&
           error.code() != Code::queue_timeout;
  }
  const bool lost = error.code() == Code::reset || error.code() == Code::end_of_stream;
  if (!lost || failure_.response_began || !retry.reset || !retried_by_default(method)) return false;
  // Servers close kept connections when they like (RFC 9112 section 9.5): that says nothing about
  // their load.
  return failure_.kept || within_budget();
}

bool Forwarding::within_budget() noexcept {
  failure_.over_budget = !cluster_.retry_budget().try_spend(loop_now());
  return !failure_.over_budget;
}

Task<bool> Forwarding::another_try() {
  if (failure_.granted || may_retry()) return Task<bool>::settled(true);
  const bool lost = failure_.over_budget && failure_.status == 0 && endpoint_ != nullptr;
  return lost ? moves_away() : Task<bool>::settled(false);
}

// The budget keeps retries from finishing off servers that are overloaded. When a server has died
// its requests go to the others all the same, however many there were at once.
Task<bool> Forwarding::moves_away() {
  auto gone = co_await cluster_.gone(*endpoint_);
  co_return gone && !exchange_.scope().cancelled() && !late();
}

}  // namespace

Forward::Forward(const RouteSettings& route, std::vector<ForwardTarget> targets)
    : route_(route), targets_(std::move(targets)) {
  for (const ForwardTarget& target : targets_) total_weight_ += target.weight;
}

std::size_t Forward::choose_upstream() const noexcept {
  if (targets_.size() == 1) return targets_.front().upstream;
  std::uint64_t point = random_source().below(total_weight_);
  for (const ForwardTarget& target : targets_) {
    if (point < target.weight) return target.upstream;
    point -= target.weight;
  }
  return targets_.back().upstream;
}

Task<http::Response> Forward::handle(pipeline::Exchange& exchange) const {
  if (!spend_forward(exchange)) co_return answer_as_last(exchange);
  upstream::Cluster& cluster = exchange.snapshot().cluster(choose_upstream());
  Forwarding forwarding(exchange, route_, cluster);
  cluster.retry_budget().record_request(loop_now());
  for (;;) {
    auto response = co_await forwarding.attempt();
    if (response) co_return std::move(*response);
    // The attempt's pump must be gone before the next one reads the same body, and its stream
    // before there may be room for a look at the server.
    co_await exchange.finish();
    auto again = co_await forwarding.another_try();
    if (!again) co_return pipeline::error_response(exchange, forwarding.error());
    ++exchange.notes.retries;
    // What is kept for requests to come must not fail one that is there.
    if (is_out_of_descriptors(forwarding.error())) exchange.snapshot().close_idle();
    if (!forwarding.rewind()) co_return pipeline::error_response(exchange, forwarding.error());
  }
}

}  // namespace revproxyd::proxy
