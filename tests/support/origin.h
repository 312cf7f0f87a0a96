#pragma once
// A scripted HTTP/1.1 server: a thread for each connection, a function that answers.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/message.h"
#include "tests/support/stream.h"
#include "tests/support/waiting.h"

namespace revproxyd::testing {

class Origin;

/// One request on its connection, as the script sees it.
class OriginExchange {
 public:
  /// The head; the body once read_body() was called.
  const Request& request() const noexcept { return *request_; }

  /// Reads what the framing announces. Called after the script when it did not.
  const std::string& read_body();
  /// The same without keeping it; its size.
  std::size_t discard_body();

  OriginExchange& send(std::string_view bytes);
  /// A response with Content-Length; `fields` are lines with their ends.
  void respond(std::string_view body, int status = 200, std::string_view fields = {});
  /// A response that the end of the connection ends comes from send() and close().
  void close();
  void reset();

  /// True when the proxy closes or resets this connection within `patience`.
  bool peer_closes(Milliseconds patience = kPatience);

  Stream& stream() noexcept { return stream_; }
  MessageReader& reader() noexcept { return reader_; }
  /// Counted from 0 over all connections of the origin.
  std::size_t connection() const noexcept { return connection_; }

 private:
  friend class Origin;
  OriginExchange(Origin& origin, Stream& stream, MessageReader& reader, std::size_t connection);
  Origin& origin_;
  Stream& stream_;
  MessageReader& reader_;
  std::size_t connection_;
  std::shared_ptr<Request> request_;
  bool body_read_ = false;
};

using OriginScript = std::function<void(OriginExchange&)>;

struct OriginOptions {
  std::optional<ServerTls> tls;
  bool raw = false;        // the script is called once for each connection, with an empty request
  std::string unix_path;   // not empty: an AF_UNIX socket
  int receive_buffer = 0;  // of its sockets, 0 = the system's
};

/// Listens on 127.0.0.1, port 0, from the start. Fails the test when it is sent something that is
/// no HTTP.
class Origin {
 public:
  /// Answers 200 with this body.
  explicit Origin(std::string body = "ok");
  explicit Origin(OriginScript script, OriginOptions options = {});
  Origin(const Origin&) = delete;
  Origin& operator=(const Origin&) = delete;
  ~Origin();

  std::uint16_t port() const noexcept { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// http://ADDRESS, https://ADDRESS or unix:PATH.
  std::string url() const;

  void set_script(OriginScript script);

  /// Refuses connections and ends those it has; start() listens on the same port again.
  void stop();
  void start();

  /// All requests so far, in the order in which their heads came.
  std::vector<Request> requests() const;
  Request request(std::size_t index = 0) const;
  std::size_t request_count() const;
  bool wait_requests(std::size_t count, Milliseconds patience = kPatience) const;
  /// The same of those for `target`.
  bool wait_requests_for(std::string_view target, std::size_t count = 1) const;
  /// Every byte of each connection (the first MiB of it), by connection.
  std::vector<std::string> received() const;

  std::size_t connections() const;
  std::size_t open_connections() const;
  std::size_t most_requests_at_once() const noexcept { return most_at_once_; }
  /// Why TLS handshakes failed.
  std::size_t failed_handshakes() const noexcept { return failed_handshakes_; }
  std::vector<std::string> server_names() const;
  std::size_t resumed_handshakes() const noexcept { return resumed_; }

 private:
  friend class OriginExchange;
  void listen();
  void accept_loop(int listener);
  void serve(int fd, std::size_t number);
  void converse(Stream& stream, std::size_t number);
  bool handshake(Stream& stream);
  void record(std::size_t connection, std::string_view bytes);
  void run_script(OriginExchange& exchange);

  OriginOptions options_;
  std::shared_ptr<SSL_CTX> context_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::thread acceptor_;
  std::vector<std::thread> threads_;
  mutable std::mutex mutex_;  // over all below
  OriginScript script_;
  std::vector<Stream*> open_;
  std::vector<std::shared_ptr<Request>> requests_;
  std::vector<std::string> received_;
  std::vector<std::string> problems_;
  std::vector<std::string> server_names_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::size_t> active_ = 0;
  std::atomic<std::size_t> most_at_once_ = 0;
  std::atomic<std::size_t> failed_handshakes_ = 0;
  std::atomic<std::size_t> resumed_ = 0;
};

/// "HTTP/1.1 200 OK" and so on with Content-Length.
std::string response_text(std::string_view body, int status = 200, std::string_view fields = {});

}  // namespace revproxyd::testing
