#pragma once
// A DNS server that says what a test wants it to, on port 53 of a network of the test's own.

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace revproxyd::testing {

/// One query, with what it asks for.
struct NameQuery {
  static constexpr std::uint16_t kA = 1;
  static constexpr std::uint16_t kAaaa = 28;

  std::string bytes;
  std::string name;  // in lower case
  std::uint16_t type = 0;
  bool tcp = false;

  /// Addresses for A, and none for all else.
  std::string answer(const std::vector<std::string>& addresses, std::uint32_t ttl) const;
  std::string failure(std::uint8_t code) const;
  /// Says that the answer does not fit and is to be asked for over TCP.
  std::string truncated() const;
  /// The bytes of its question.
  std::string_view question() const noexcept;
};

inline constexpr std::uint8_t kServerFailure = 2;
inline constexpr std::uint8_t kNoSuchName = 3;

/// What is sent in return; nothing for an empty text.
using NameScript = std::function<std::string(const NameQuery&)>;

/// Listens on 127.0.0.1, UDP and TCP.
class NameServer {
 public:
  explicit NameServer(NameScript script);
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  ~NameServer();

  void set_script(NameScript script);
  std::size_t queries() const noexcept { return queries_; }

 private:
  void run();
  void answer_datagram();
  void answer_connection();
  std::string reply_to(std::string bytes, bool tcp);

  int udp_ = -1;
  int tcp_ = -1;
  std::mutex mutex_;
  NameScript script_;
  std::atomic<std::size_t> queries_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace revproxyd::testing
