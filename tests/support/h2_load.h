#pragma once
// Steady traffic of clients of HTTP/2 beside what a test does, judged by what GOAWAY promises.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/h2_client.h"

namespace revproxyd::testing {

struct H2LoadPlan {
  std::uint16_t port = 0;
  std::optional<ClientTls> tls;  // by ALPN; without it by prior knowledge
  std::size_t depth = 8;         // requests under way at once
  std::size_t requests = 0;      // on one connection, 0 = until GOAWAY
  std::string path = "/";
  std::string body;         // not empty: POST
  bool until_gone = false;  // ends, rather than fails, when nobody listens any more
};

/// A thread for each plan, request after request, until stop(). A failure is every request that is
/// not answered as a whole with status 200, but for those that the server has not taken: behind the
/// last stream of its GOAWAY (RFC 9113 section 6.8), or on a connection of which it never said
/// anything. After GOAWAY a client asks no more, reads what is still answered, and connects anew.
class H2Load {
 public:
  explicit H2Load(std::vector<H2LoadPlan> plans);
  H2Load(const H2Load&) = delete;
  H2Load& operator=(const H2Load&) = delete;
  ~H2Load() { stop(); }

  void stop();
  std::size_t done() const noexcept { return done_; }
  std::size_t failed() const noexcept { return failed_; }
  /// Requests that were not taken.
  std::size_t refused() const noexcept { return refused_; }
  std::size_t connections() const noexcept { return connections_; }
  /// Connections on which it came.
  std::size_t goaways() const noexcept { return goaways_; }
  /// Threads that have not ended.
  std::size_t running() const noexcept { return running_; }
  /// What happened, for messages.
  std::string report() const;
  /// Waits for so many more requests.
  bool wait_more(std::size_t count) const;

 private:
  using Streams = std::set<std::uint32_t>;
  void run(const H2LoadPlan& plan);
  std::optional<H2Client> connect(const H2LoadPlan& plan);
  void converse(H2Client& client, const H2LoadPlan& plan);
  void ask(H2Client& client, const H2LoadPlan& plan, Streams& open);
  void settle(const H2State& state, Streams& open);
  void give_up(const H2State& state, const Streams& open, const std::string& why);
  void fail(const std::string& why);

  std::vector<H2LoadPlan> plans_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::size_t> done_ = 0;
  std::atomic<std::size_t> failed_ = 0;
  std::atomic<std::size_t> refused_ = 0;
  std::atomic<std::size_t> connections_ = 0;
  std::atomic<std::size_t> goaways_ = 0;
  std::atomic<std::size_t> running_ = 0;
  mutable std::mutex mutex_;
  std::string failures_;
  std::vector<std::thread> threads_;
};

}  // namespace revproxyd::testing
