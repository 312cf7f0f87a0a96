#pragma once
// A scripted HTTP/2 server, by prior knowledge or under TLS: many requests at once on one
// connection, answered from any thread.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/h2_state.h"
#include "tests/support/origin.h"

namespace revproxyd::testing {

/// One connection of the origin. For any thread; what is sent behind its end throws Disconnected.
class H2Link {
 public:
  H2Link(Stream& stream, const H2StateOptions& options, std::size_t number);

  /// Frames of h2_frames.h, or anything else.
  void send(std::string_view bytes);
  void settings(const h2::Settings& list);
  void goaway(std::uint32_t last, std::uint32_t code = h2::kNoError);
  /// DATA as the windows permit; waits for them. Disconnected when the stream is reset meanwhile,
  /// TimedOut.
  void send_data(std::uint32_t stream, std::string_view bytes, bool end);
  void close();

  /// Waits for frames that make it hold; false when the connection ends or `patience` is over
  /// first.
  bool wait(const std::function<bool(const H2State&)>& holds, Milliseconds patience = kPatience);
  H2Message message(std::uint32_t stream) const;
  bool is_closed() const;
  /// Counted from 0 over all connections of the origin.
  std::size_t number() const noexcept { return number_; }

 private:
  friend class H2Origin;
  using OnRequest = std::function<void(std::uint32_t stream)>;
  void run(const h2::Settings& settings, const OnRequest& on_request);
  void end();
  std::string receive();

  const std::size_t number_;
  const bool tls_;
  std::mutex send_mutex_;     // under TLS also over receiving
  Stream* stream_;            // null once it has ended
  mutable std::mutex mutex_;  // over all below
  std::condition_variable changed_;
  H2State state_;
  bool closed_ = false;
};

/// One request with its answer. For any thread; may be kept.
class H2Exchange {
 public:
  H2Exchange(std::shared_ptr<H2Link> link, std::uint32_t stream)
      : link_(std::move(link)), stream_(stream) {}

  /// As far as it has come.
  H2Message request() const { return link_->message(stream_); }
  /// Waits until it holds; false when the connection ends or `patience` is over first.
  bool wait(const std::function<bool(const H2Message&)>& holds, Milliseconds patience = kPatience);
  /// The body once it is whole; throws Disconnected when it does not come to that.
  std::string read_body();
  /// Code of the RST_STREAM that comes within `patience`.
  std::optional<std::uint32_t> wait_reset(Milliseconds patience = kPatience);

  void interim(int status, const h2::Fields& fields = {});
  void head(int status, const h2::Fields& fields = {}, bool end = false);
  void data(std::string_view bytes, bool end = false) { link_->send_data(stream_, bytes, end); }
  void trailers(const h2::Fields& fields);
  /// Head with content-length, and the body; without it for HEAD.
  void respond(std::string_view body, int status = 200, const h2::Fields& fields = {});
  void reset(std::uint32_t code);

  H2Link& link() noexcept { return *link_; }
  std::uint32_t stream() const noexcept { return stream_; }

 private:
  std::shared_ptr<H2Link> link_;
  std::uint32_t stream_;
};

using H2Request = std::shared_ptr<H2Exchange>;
using H2Script = std::function<void(const H2Request&)>;

struct H2OriginOptions {
  std::optional<ServerTls> tls;
  h2::Settings settings;  // its first SETTINGS
  Milliseconds settings_delay{0};
  H2StateOptions state;
  /// The script is called on the thread that reads the connection, and must not wait for what comes
  /// on it; otherwise each request has a thread of its own.
  bool on_reader = false;
};

/// Listens on 127.0.0.1, port 0, from the start. The script is called when a request's head has
/// come. Fails the test when it is sent something that is no HTTP/2.
class H2Origin {
 public:
  /// Answers 200 with this body, once the request's is whole.
  explicit H2Origin(std::string body = "ok");
  explicit H2Origin(H2Script script, H2OriginOptions options = {});
  H2Origin(const H2Origin&) = delete;
  H2Origin& operator=(const H2Origin&) = delete;
  ~H2Origin();

  std::uint16_t port() const noexcept { return origin_.port(); }
  std::string address() const { return origin_.address(); }
  /// h2c://ADDRESS or https://ADDRESS.
  std::string url() const;

  void set_script(H2Script script);

  /// Refuses connections and ends those it has; start() listens on the same port again.
  void stop() { origin_.stop(); }
  void start() { origin_.start(); }

  /// All requests so far as far as they have come, in the order of their heads.
  std::vector<H2Message> requests() const;
  /// Throws when there are fewer.
  H2Message request(std::size_t index = 0) const;
  std::size_t request_count() const;
  bool wait_requests(std::size_t count, Milliseconds patience = kPatience) const;
  /// Scripts that ran at the same time.
  std::size_t most_requests_at_once() const noexcept { return most_at_once_; }

  /// All that were ever opened.
  std::vector<std::shared_ptr<H2Link>> links() const;
  std::size_t connections() const { return links().size(); }
  std::size_t open_connections() const { return origin_.open_connections(); }
  std::size_t failed_handshakes() const noexcept { return origin_.failed_handshakes(); }
  std::vector<std::string> server_names() const { return origin_.server_names(); }

 private:
  class Threads;
  void converse(OriginExchange& connection);
  void run_script(const H2Request& request);

  H2OriginOptions options_;
  mutable std::mutex mutex_;  // over all below
  H2Script script_;
  std::vector<std::shared_ptr<H2Link>> links_;
  std::vector<H2Request> requests_;
  std::vector<std::string> problems_;
  std::atomic<std::size_t> active_ = 0;
  std::atomic<std::size_t> most_at_once_ = 0;
  Origin origin_;  // last: its threads use all of this
};

}  // namespace revproxyd::testing
