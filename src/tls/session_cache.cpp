#include "tls/session_cache.h"

#include <utility>

namespace revproxyd::tls {

void SessionCache::put(const std::string& server, SessionPtr session) {
  const std::lock_guard lock(mutex_);
  if (sessions_.size() >= kServers && !sessions_.contains(server))
    sessions_.erase(sessions_.begin());
  auto& of_server = sessions_[server];
  if (!of_server.empty() && of_server.back() == session) return;
  of_server.push_back(std::move(session));
  if (of_server.size() > kSessionsOfServer) of_server.pop_front();
}

SessionPtr SessionCache::take(const std::string& server) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(server);
  if (found == sessions_.end()) return nullptr;
  auto& of_server = found->second;
  while (!of_server.empty()) {
    SSL_SESSION* const newest = of_server.back().get();
    const bool good = SSL_SESSION_is_resumable(newest) == 1 && !outlived_certificate(newest);
    if (good && SSL_SESSION_get_protocol_version(newest) != TLS1_3_VERSION) {
      SSL_SESSION_up_ref(newest);
      return SessionPtr(newest);
    }
    SessionPtr session = std::move(of_server.back());
    of_server.pop_back();
    if (good) return session;
  }
  sessions_.erase(found);
  return nullptr;
}

}  // namespace revproxyd::tls
