#include "proxy/record.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <unordered_set>

#include "revproxyd/base/log.h"
#include "revproxyd/pipeline/error_response.h"

namespace revproxyd::proxy {

namespace {

using std::chrono::microseconds;

std::string_view proto_text(http::Version version) noexcept {
  switch (version) {
    case http::Version::http10: return "HTTP/1.0";
    case http::Version::http11: return "HTTP/1.1";
    case http::Version::http2: return "HTTP/2";
    case http::Version::http3: return "HTTP/3";
  }
  return "";
}

std::uint16_t logged_status(const http::Response& response, const Result<void>& sent,
                            const http::ServerStream& stream) noexcept {
  if (!sent && !stream.head_sent()) return pipeline::status_of(sent.error());
  return response.head.status;
}

// A target that was refused has not been taken apart, and what it holds is to be masked all the
// same: parameters, and what may be a password before a host.
void fill_raw_target(AccessRecord& record, std::string_view target, Arena& arena) {
  const std::size_t user = target.starts_with('/') ? std::string_view::npos : target.rfind('@');
  if (user != std::string_view::npos) target = arena.copy("***" + std::string(target.substr(user)));
  const std::size_t end = std::min(target.find_first_of("?#"), target.size());
  record.path = target.substr(0, end);
  record.query = target.substr(std::min(end + 1, target.size()));
}

void fill_request(AccessRecord& record, pipeline::Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  record.id = exchange.id();
  if (head.version_known) record.proto = proto_text(head.version);
  record.method = head.method_text;
  record.scheme = exchange.scheme() == net::Scheme::https ? "https" : "http";
  record.host = head.host;
  record.path = head.target.path;
  record.query = head.target.query;
  if (record.path.empty()) fill_raw_target(record, head.raw_target, exchange.arena());
  record.referer = exchange.notes.referer;
  record.user_agent = exchange.notes.user_agent;
}

void fill_upstream(AccessRecord& record, const pipeline::Exchange& exchange) {
  const pipeline::Notes& notes = exchange.notes;
  if (exchange.route != nullptr) record.route = exchange.route->settings->name;
  record.upstream = notes.upstream;
  record.server = notes.server;
  record.retries = notes.retries;
  if (notes.upstream.empty()) return;
  record.t_queue = notes.queue;
  if (notes.connected) record.t_connect = notes.connect;
  if (notes.answered) record.t_ttfb = notes.ttfb;
}

// What is wrong with a request that was refused: its client is told the word alone.
void log_refusal(pipeline::Exchange& exchange, const http::ServerStream& stream,
                 const Error& ended) {
  const bool refused =
      ended.code() >= Code::malformed_request && ended.code() <= Code::encoded_slash;
  if (!refused || !log::enabled(log::Level::debug)) return;
  // Of a stream that was reset for what came behind its head, `ended` is about what that cut.
  const std::optional<Error>& behind = stream.refusal();
  const Error& why = behind && behind->code() == ended.code() ? *behind : ended;
  log::Line(log::Level::debug, name(why.code()))
      << "listener " << exchange.standing().listener << ": request " << exchange.id() << " from "
      << exchange.address_text() << " refused: " << why;
}

// The wall clock's reading at `moment`. What lies between the two clocks is read once a turn of the
// loop, not for each request: often enough for a wall clock that is set.
std::chrono::system_clock::time_point wall_time(TimePoint moment) noexcept {
  struct Offset {
    TimePoint turn = TimePoint::min();
    std::chrono::system_clock::duration size{};
  };
  thread_local Offset offset;
  if (offset.turn != loop_now()) {
    offset.turn = loop_now();
    offset.size =
        std::chrono::system_clock::now().time_since_epoch() - Clock::now().time_since_epoch();
  }
  return std::chrono::system_clock::time_point(moment.time_since_epoch() + offset.size);
}

}  // namespace

RecordedExchange::RecordedExchange(pipeline::Exchange& exchange, Runtime& worker) noexcept
    : exchange_(exchange), worker_(worker), removed_(exchange.scope()) {
  worker_.counts->requests.add();
  worker_.counts->requests_active.add();
  next_ = worker_.exchanges;
  if (next_ != nullptr) next_->previous_ = this;
  worker_.exchanges = this;
}

RecordedExchange::~RecordedExchange() {
  worker_.counts->requests_active.subtract();
  (previous_ != nullptr ? previous_->next_ : worker_.exchanges) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

void end_removed_routes(Runtime& worker, Duration streams) {
  std::unordered_set<std::string_view> names;
  for (const RouteSettings& route : worker.snapshot->plan().settings().routes)
    names.insert(route.name);
  for (RecordedExchange* one = worker.exchanges; one != nullptr; one = one->next_) {
    const Route* route = one->exchange_.route;
    if (route == nullptr || names.contains(route->settings->name)) {
      one->removed_.disarm();
    } else if (!one->removed_.armed()) {
      one->removed_.set(streams, Code::drain_timeout);
    }
  }
}

bool RecordedExchange::logged() const noexcept {
  return worker_.access_log != nullptr && exchange_.snapshot().plan().settings().access_log;
}

// The request was touched last when it was forwarded, hundreds of others ago.
void RecordedExchange::fetch_ahead() const {
  if (!logged()) return;
  const http::RequestHead& head = exchange_.head();
  for (std::string_view text : {exchange_.id(), exchange_.address_text(), head.host,
                                head.target.path, exchange_.notes.user_agent})
    __builtin_prefetch(text.data());
  worker_.access_log->fetch_ahead();
}

void RecordedExchange::finish(const http::Response& response, const Result<void>& sent,
                              const http::ServerStream& stream) const {
  const Code why = sent ? exchange_.notes.why : word_for(sent.error());
  const http::StreamBytes bytes = stream.bytes();
  auto& counts = *worker_.counts;
  const std::uint16_t status = logged_status(response, sent, stream);
  counts.responses[stream.head_sent() && status < 600 ? status / 100 : 0].add();
  counts.reasons[static_cast<std::size_t>(why)].add();
  counts.bytes_in.add(bytes.in);
  counts.bytes_out.add(bytes.out);
  const pipeline::Notes& notes = exchange_.notes;
  counts.retries.add(notes.retries);
  counts.upstream_connects.add(notes.connects);
  counts.upstream_reuses.add(notes.reuses);
  counts.upstream_connect_failures.add(notes.connect_failures);
  if (notes.queue.count() > 0) counts.queue_waits.add();
  const bool answered = sent || response.error.code() != Code::none;
  log_refusal(exchange_, stream, answered ? response.error : sent.error());
  // That a server broke off inside its answer; what came before it was told by who tried it.
  if (!sent && sent.error().side() == Side::upstream && !exchange_.scope().cancelled())
    log_server_failure(notes.upstream, notes.server, sent.error());
  if (!logged()) return;
  const PlanSettings& settings = exchange_.snapshot().plan().settings();
  AccessRecord record;
  fill_request(record, exchange_);
  fill_upstream(record, exchange_);
  const auto total = std::chrono::duration_cast<microseconds>(Clock::now() - exchange_.notes.began);
  record.ts = wall_time(exchange_.notes.began);
  record.client = exchange_.address_text();
  record.listener = exchange_.standing().listener;
  if (const net::TlsInfo* tls = exchange_.client().tls; tls != nullptr) {
    record.tls = tls->version;
    record.sni = tls->server_name;
  }
  record.status = status;
  record.bytes_in = bytes.body_in;
  record.bytes_out = bytes.body_out;
  record.t_total = total;
  if (why != Code::none) record.why = name(why);
  Buffer& line = worker_.access_log->line(room_for(record));
  if (settings.access_json) {
    format_json(record, settings.mask, line);
  } else {
    format_combined(record, settings.mask, line);
  }
  worker_.access_log->line_done();
}

Code word_for(const Error& error) noexcept {
  const bool left = error.side() == Side::downstream &&
                    (error.code() == Code::reset || error.code() == Code::end_of_stream);
  return left ? Code::client_gone : error.code();
}

void log_server_failure(std::string_view upstream, std::string_view server, const Error& why) {
  const std::string key = std::string(server) + ' ' + std::string(name(why.code()));
  log::Line(log::Level::warn, key)
      << "upstream " << upstream << ": server " << server << ": " << why;
}

void record_failure(const Connection& client, const Error& why, Runtime& worker) {
  worker.counts->connections_failed[static_cast<std::size_t>(why.code())].add();
  // That clients go away, or are slow, is no news.
  const bool abuse = why.code() >= Code::protocol_error && why.code() <= Code::header_flood;
  log::Line(abuse ? log::Level::warn : log::Level::debug, name(why.code()))
      << "listener " << client.listener << ": connection from " << client.peer.host()
      << " ended: " << why;
}

}  // namespace revproxyd::proxy
