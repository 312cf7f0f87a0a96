#pragma once
// A server on loopback that lives on the loop of the test and does what the test says.

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/task_group.h"
#include "revproxyd/net/listener.h"
#include "revproxyd/net/transport.h"
#include "revproxyd/upstream/settings.h"
#include "tests/support/loop_runner.h"

namespace revproxyd::proxy::testing {

class LoopOrigin {
 public:
  explicit LoopOrigin(test::LoopRunner& runner) : runner_(runner) {
    net::BindAddress where;
    where.host = "127.0.0.1";
    auto socket = net::bind_listener(where, false, 16);
    port_ = net::local_address(socket->get()).port();
    listener_ = std::move(*net::Listener::open(std::move(*socket)));
    tasks_.spawn(accept());
  }
  ~LoopOrigin() {
    tasks_.cancel(Code::cancelled);
    EXPECT_TRUE(runner_.run_until([this] { return tasks_.size() == 0; }));
  }
  LoopOrigin(const LoopOrigin&) = delete;
  LoopOrigin& operator=(const LoopOrigin&) = delete;

  /// How an upstream names it.
  upstream::ServerSettings server() const {
    upstream::ServerSettings settings;
    settings.url.host = "127.0.0.1";
    settings.url.port = port_;
    settings.url.text = "http://127.0.0.1:" + std::to_string(port_);
    return settings;
  }
  net::Address address() const { return *net::Address::ip("127.0.0.1", port_); }

  /// Answers each request head at once with `response`; empty: nothing is said.
  void answer_with(std::string response) { response_ = std::move(response); }
  /// Closes each connection as soon as a request head has come.
  void close_on_request() { closing_ = true; }

  /// Closes each connection as soon as its second request head has come.
  void close_on_second_request() { closing_on_second_ = true; }

  std::size_t connections() const noexcept { return clients_.size(); }
  const std::string& received(std::size_t index) const { return clients_.at(index)->input; }
  /// Request heads over all connections.
  std::size_t requests() const {
    std::size_t count = 0;
    for (const auto& client : clients_) count += client->heads;
    return count;
  }
  /// The proxy has closed its side of the connection.
  bool left(std::size_t index) const { return clients_.at(index)->left; }
  void send(std::size_t index, std::string_view bytes) { write(*clients_.at(index), bytes); }
  void close(std::size_t index) { clients_.at(index)->scope.cancel(Code::cancelled); }
  /// Nothing more is taken from new connections, nor made: connects are refused.
  void stop_listening() {
    tasks_.cancel(Code::cancelled);
    EXPECT_TRUE(runner_.run_until([this] { return tasks_.size() == 0; }));
    listener_.reset();
  }

 private:
  struct Client {
    explicit Client(CancelScope& parent) : scope(&parent) {}
    std::unique_ptr<net::Transport> transport;
    CancelScope scope;
    std::string input;
    std::size_t heads = 0;
    std::size_t scanned = 0;
    bool left = false;
  };

  Task<void> accept() {
    for (;;) {
      auto accepted = co_await listener_->accept();
      if (!accepted) co_return;
      clients_.push_back(std::make_unique<Client>(tasks_.scope()));
      clients_.back()->transport =
          std::move(*net::make_socket_transport(accepted->socket.release()));
      tasks_.spawn(serve(*clients_.back()));
    }
  }
  Task<void> serve(Client& client) {
    auto reading = read(client);
    auto scoped = std::move(reading).under(client.scope);
    co_await std::move(scoped);
    client.transport.reset();
  }
  Task<void> read(Client& client) {
    std::array<char, 16384> room;
    for (;;) {
      const MutableBytes into(room);
      auto got = co_await net::read_some(*client.transport, into);
      if (!got || *got == 0) {
        client.left = got || got.error().code() != Code::cancelled;
        co_return;
      }
      client.input.append(room.data(), *got);
      if (!on_input(client)) co_return;
    }
  }
  bool on_input(Client& client) {
    for (;;) {
      const std::size_t end = client.input.find("\r\n\r\n", client.scanned);
      if (end == std::string::npos) return true;
      client.scanned = end + 4;
      ++client.heads;
      if (closing_on_second_ && client.heads == 2) return false;
      if (!response_.empty()) write(client, response_);
      if (closing_) return false;
    }
  }
  static void write(Client& client, std::string_view bytes) {
    const iovec piece = net::piece_of(bytes);
    const net::IoResult result = client.transport->try_write({&piece, 1});
    EXPECT_EQ(result.bytes, bytes.size());
  }

  test::LoopRunner& runner_;
  std::uint16_t port_ = 0;
  std::unique_ptr<net::Listener> listener_;
  TaskGroup tasks_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::string response_;
  bool closing_ = false;
  bool closing_on_second_ = false;
};

}  // namespace revproxyd::proxy::testing
