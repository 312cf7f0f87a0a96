#pragma once
// Sessions that servers gave us, to be resumed on the next connection.

#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tls/openssl.h"

namespace revproxyd::tls {

/// Safe to use from several threads. Bounded: of a server the newest few sessions, of servers
/// kServers, any of which then makes room.
class SessionCache {
 public:
  static constexpr std::size_t kServers = 256;
  static constexpr std::size_t kSessionsOfServer = 8;

  void put(const std::string& server, SessionPtr session);
  /// The newest session of that server, or null; none whose certificate has expired. A TLS 1.3
  /// session is taken out, because its ticket is to be used once (RFC 8446 appendix C.4).
  SessionPtr take(const std::string& server);

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::deque<SessionPtr>> sessions_;  // newest last
};

}  // namespace revproxyd::tls
