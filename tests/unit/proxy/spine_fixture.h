#pragma once
// A worker's share of serving without a worker: a plan, counters, a log to read, and connections in
// memory.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/log_writer.h"
#include "revproxyd/proxy/serve.h"
#include "tests/support/memory_transport.h"
#include "tests/unit/proxy/router_fixture.h"

namespace revproxyd::proxy::testing {

/// A route that answers by itself.
inline RouteSettings respond_route(std::string name, std::vector<std::string_view> paths,
                                   std::string body) {
  RouteSettings out = route(std::move(name), {}, std::move(paths));
  out.respond = RespondSettings{200, {}, std::move(body)};
  return out;
}

inline RouteSettings forward_route(std::string name, std::vector<std::string_view> paths,
                                   std::string upstream) {
  RouteSettings out = route(std::move(name), {}, std::move(paths));
  out.targets = {{std::move(upstream), 1}};
  out.upgrade = {"websocket"};
  return out;
}

inline PlanSettings plan_of(std::vector<RouteSettings> routes) {
  PlanSettings settings;
  settings.routes = std::move(routes);
  return settings;
}

/// Make it where the loop is, if there are upstreams.
class Spine {
 public:
  explicit Spine(PlanSettings settings, std::vector<PlanUpstream> upstreams = {}) {
    LogWriterOptions options;
    options.path = "/dev/null";
    writer_ = std::move(*LogWriter::open(options));
    batch_ = std::make_unique<LogBatch>(*writer_);
    runtime_.counts = &counts_;
    runtime_.access_log = batch_.get();
    runtime_.connections = &connections_;
    client_.peer = *net::Address::ip("192.0.2.1", 1234);
    client_.local = *net::Address::ip("192.0.2.80", 80);
    client_.listener = "main";
    client_.settings = std::make_shared<const ListenerSettings>();
    install(std::move(settings), std::move(upstreams));
  }

  /// As a reload does.
  void install(PlanSettings settings, std::vector<PlanUpstream> upstreams = {}) {
    auto plan = std::make_shared<const Plan>(std::move(settings), std::move(upstreams));
    const SnapshotPtr previous = runtime_.snapshot;
    runtime_.snapshot = std::make_shared<const Snapshot>(std::move(plan), previous.get(), 7);
  }

  Runtime& runtime() noexcept { return runtime_; }
  Connection& client() noexcept { return client_; }
  const metrics::WorkerCounts& counts() const noexcept { return counts_; }
  std::uint64_t answers_with(Code why) const noexcept {
    return counts_.reasons[static_cast<std::size_t>(why)].value();
  }
  /// The access log so far.
  std::string log() { return std::string(batch_->line(0).held()); }

  /// Serves one HTTP/1 client until it ends.
  Task<void> serve(test::MemoryPeer& peer) {
    CancelScope* parent = co_await current_scope();
    CancelScope scope(parent);
    auto connection = http::open_server_connection(peer.transport(), "", bounds, scope);
    co_await serve_connection(*connection, client_, runtime_);
  }
  Task<void> serve(http::ServerConnection& connection) {
    co_await serve_connection(connection, client_, runtime_);
  }

  http::ServerConnectionSettings bounds;

 private:
  metrics::WorkerCounts counts_;
  std::unique_ptr<LogWriter> writer_;
  std::unique_ptr<LogBatch> batch_;
  ConnectionList connections_;
  Runtime runtime_;
  Connection client_;
};

/// Responses as they came over a connection, one after the other; they all announce a length.
struct Answer {
  std::uint16_t status = 0;
  std::string head;
  std::string body;
};
inline std::vector<Answer> answers_in(std::string_view bytes) {
  std::vector<Answer> out;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos || bytes.size() < 12) {
      ADD_FAILURE() << "no response: " << bytes;
      return out;
    }
    Answer answer;
    answer.head = bytes.substr(0, end + 4);
    answer.status = static_cast<std::uint16_t>(std::stoi(answer.head.substr(9, 3)));
    bytes.remove_prefix(end + 4);
    const std::size_t told = answer.head.find("Content-Length: ");
    const std::size_t size =
        told == std::string::npos ? 0 : std::stoul(answer.head.substr(told + 16));
    answer.body = bytes.substr(0, size);
    bytes.remove_prefix(std::min(size, bytes.size()));
    out.push_back(std::move(answer));
  }
  return out;
}

}  // namespace revproxyd::proxy::testing
