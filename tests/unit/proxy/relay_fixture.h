#pragma once
// One attempt between a client and a server that are both in memory, with the HTTP/1 codec on both
// sides.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "proxy/attempt.h"
#include "proxy/send_response.h"
#include "revproxyd/http/connection.h"
#include "revproxyd/pipeline/error_response.h"
#include "revproxyd/proxy/snapshot.h"
#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::proxy::testing {

class Relay : public ::testing::Test, private http::ClientConnection::Owner {
 protected:
  Relay() {
    times.first_byte = std::chrono::seconds(60);
    times.idle = std::chrono::seconds(60);
    times.tunnel = std::chrono::hours(1);
    upstream::UpstreamSettings settings;
    settings.name = "u";
    settings.servers.resize(1);
    settings.servers[0].url.text = "http://server";
    settings.servers[0].url.host = "server";
    auto shared = std::make_shared<upstream::Shared>(std::move(settings), nullptr);
    cluster_ = std::make_shared<upstream::Cluster>(std::move(shared), nullptr, 1);
    auto plan = std::make_shared<const Plan>(PlanSettings(), std::vector<PlanUpstream>());
    snapshot_ = std::make_unique<Snapshot>(std::move(plan), nullptr, 1);
    server_ = http::open_server_connection(client.transport(), "", http::ServerConnectionSettings(),
                                           runner.scope());
    http::ClientConnection::Owner& owner = *this;
    upstream_ = http::open_client_connection(origin.transport(), "",
                                             http::ClientConnectionSettings(), owner);
  }
  void TearDown() override { runner.stop(); }

  /// A request whose body begins so.
  static std::string post(std::size_t length, std::string_view body) {
    return "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n" +
           std::string(body);
  }
  /// The client sends `bytes`, and its first request is relayed.
  void request(std::string_view bytes) {
    client.send(bytes);
    runner.spawn(relay());
  }
  void respond(std::string_view bytes) {
    origin.send(bytes);
    runner.settle();
  }
  void client_sends(std::string_view bytes) {
    client.send(bytes);
    runner.settle();
  }
  /// What the client got after the head of the final response.
  std::string body() const {
    const std::size_t end = client.received().rfind("\r\n\r\n");
    return end == std::string::npos ? std::string() : client.received().substr(end + 4);
  }
  /// The part of what the server got that follows the head.
  std::string upload() const {
    const std::size_t end = origin.received().find("\r\n\r\n");
    return end == std::string::npos ? std::string() : origin.received().substr(end + 4);
  }
  bool got(std::string_view text) const {
    return client.received().find(text) != std::string::npos;
  }
  /// The server's connection can serve another request.
  bool server_is_kept() const { return upstream_->capacity() != 0; }

  Task<void> relay() {
    auto next = co_await server_->next_stream();
    if (!next.has_stream()) co_return;
    auto stream = next.take();
    pipeline::Exchange exchange(*stream, who_, *snapshot_);
    stream->set_body_rules(body_rules);
    auto answering = answer(exchange);
    auto scoped = std::move(answering).under(exchange.scope());
    auto response = co_await std::move(scoped);
    auto sending = send_response(*stream, response, exchange);
    auto scoped_sending = std::move(sending).under(exchange.scope());
    auto sent = co_await std::move(scoped_sending);
    if (!sent) stream->reset(sent.error().code());
    co_await exchange.finish();
    outcome = sent ? response.error.code() : sent.error().code();
    ended = true;
  }

  test::MemoryPeer client;
  test::MemoryPeer origin;
  test::HandRunner runner;
  UpstreamRequest times;  // only its times are used
  http::BodyRules body_rules;
  bool ended = false;         // the exchange is over
  Code outcome = Code::none;  // what it ended with

 private:
  void on_stream_closed(http::ClientConnection&) noexcept override {}
  void on_idle_input(http::ClientConnection&) noexcept override {}

  Task<http::Response> answer(pipeline::Exchange& exchange) {
    upstream::Lease lease(*cluster_, *cluster_->shared().endpoints()[0], upstream_->open_stream());
    UpstreamRequest wanted = times;
    wanted.target = exchange.head().raw_target;
    wanted.host = exchange.head().authority;
    wanted.body = exchange.request().body.get();
    wanted.upgrade = !exchange.head().upgrade.empty();
    auto owned = std::make_unique<Attempt>(std::move(lease), exchange, wanted);
    Attempt& attempt = *owned;
    exchange.keep(std::move(owned));
    auto head = co_await attempt.round_trip();
    if (!head) co_return pipeline::error_response(exchange, head.error());
    auto pulled = attempt.take_body(*head);
    http::Response response(std::move(*head));
    response.body = std::move(pulled);
    co_return std::move(response);
  }

  pipeline::Client who_;
  std::shared_ptr<upstream::Cluster> cluster_;
  std::unique_ptr<Snapshot> snapshot_;
  std::unique_ptr<http::ServerConnection> server_;
  std::unique_ptr<http::ClientConnection> upstream_;
};

}  // namespace revproxyd::proxy::testing
