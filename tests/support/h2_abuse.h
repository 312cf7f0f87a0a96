#pragma once
// Clients that cost the daemon work and get nothing out of it, and what comes of that.

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "tests/support/h2_proxy.h"

namespace revproxyd::testing {

/// A limit that is soon reached, with time to see that it is.
inline constexpr std::string_view kFewResets = "limits: { h2_resets: 50/10s }\n";

/// In front of a server that answers `/held` only after release(), and everything else at once.
struct AbusedProxy {
  explicit AbusedProxy(std::string_view more = kFewResets);
  AbusedProxy(const AbusedProxy&) = delete;
  AbusedProxy& operator=(const AbusedProxy&) = delete;
  ~AbusedProxy() { release(); }

  H2Client connect(const H2ClientOptions& options = {}) const { return proxy.connect(options); }
  void release() { held.open(); }
  /// Requests `/held`; its stream once the server has it.
  std::uint32_t open_held(H2Client& client) const;

  Gate held;
  H2Proxy proxy;
};

/// `connections_failed` of `ctl stats` for the code.
std::size_t failed_connections(const Daemon& daemon, const std::string& code);
/// So many connections get counted under the code, and the log warns of it.
bool blamed(const Daemon& daemon, const std::string& code, std::size_t count = 1);

/// One batch: at most 40 offences.
using Attack = std::function<void(H2Client&)>;

/// Batch after batch, each with a GET that is well-behaved, until GOAWAY comes.
bool provoke_goaway(H2Client& client, const Attack& attack);
/// Goes on with it until the connection ends.
bool provoke_end(H2Client& client, const Attack& attack);

/// Checks all that h2_resets means for an attack: GOAWAY first, while requests under way are still
/// answered; the end for who carries on, with the same or with something else; what is counted and
/// logged; and that a connection beside them is served.
void expect_sent_away(const std::string& code, const Attack& attack);
void expect_sent_away(const std::string& code, const Attack& attack, const Attack& further);

}  // namespace revproxyd::testing
