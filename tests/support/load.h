#pragma once
// Steady traffic beside what a test does.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/stream.h"

namespace revproxyd::testing {

struct LoadPlan {
  std::uint16_t port = 0;
  bool keep = true;  // one connection for many requests, or a new one for each
  std::optional<ClientTls> tls;
  std::string path = "/";
};

/// A thread for each plan, GET after GET, until stop(). Anything but a whole answer with status 200
/// is a failure.
class Load {
 public:
  explicit Load(std::vector<LoadPlan> plans);
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  ~Load() { stop(); }

  void stop();
  std::size_t done() const noexcept { return done_; }
  std::size_t failed() const noexcept { return failed_; }
  /// The first of the failures, for messages.
  std::string failures() const;
  /// Waits for so many more requests.
  bool wait_more(std::size_t count) const;

 private:
  void run(const LoadPlan& plan);
  void fail(const std::string& why);

  std::vector<LoadPlan> plans_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::size_t> done_ = 0;
  std::atomic<std::size_t> failed_ = 0;
  mutable std::mutex mutex_;
  std::string failures_;
  std::vector<std::thread> threads_;
};

}  // namespace revproxyd::testing
